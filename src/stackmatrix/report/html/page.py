"""The page of one run."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from stackmatrix.report import curves, experiment, headline, method, phases, slo
from stackmatrix.report.arms import BOUND_MEANINGS
from stackmatrix.report.charts.cell import CHART_PARTS
from stackmatrix.report.html import views
from stackmatrix.report.html.cells import TRIAL_COLUMNS, Cells
from stackmatrix.report.html.data import page_data
from stackmatrix.report.html.site import render
from stackmatrix.report.metrics import METRICS
from stackmatrix.report.palette import STEPS, StackLook, stack_looks
from stackmatrix.report.view import Group, MatrixCell, View
from stackmatrix.results.experiment import ExperimentResult
from stackmatrix.results.reasons import Reason

MATRIX_METRICS: Final = (("goodput", "Goodput"), ("p99", "p99"), ("cpu", "CPU"), ("memory", "Memory"))


def run_html(view: View) -> str:
    looks = stack_looks(view.stack_names)
    cells = Cells(view, looks)
    when = moment(view.run.started)
    page = views.RunPage(
        title=f"{view.run.name}, {when} · Stack Matrix",
        home="../index.html",
        run=view.run,
        when=when,
        machine=method.machine(view.run.environment),
        headline=headline.headline(view),
        notes=method.notes(view),
        facts=method.facts(view),
        experiment=experiment_view(view.run.experiment),
        groups=[group_view(group, view, cells) for group in view.groups],
        columns=view.stack_names,
        rows=[matrix_row(group, view, cells) for group in view.groups],
        matrix_metrics=MATRIX_METRICS,
        steps=[(number, label) for number, (_, label) in enumerate(STEPS, 1)],
        bounds=BOUND_MEANINGS,
        voids=void_reasons(view, cells),
        sweeps=[sweep_view(str(index), groups, looks, cells) for index, groups in enumerate(view.sweeps())],
        levels=level_groups(view, looks, cells),
        level=slo.level_title(view.run.levels),
        level_columns=slo.SLO_COLUMNS,
        comparable=any(len(group.ranked) > 1 for group in view.groups),
        trial_columns=TRIAL_COLUMNS,
        part_colours=CHART_PARTS,
        time_colours=phases.COLOURS,
        limits=method.limits(view),
        unresolved=method.unresolved(view),
        method=[*method.measured(view), *phases.costs(view)],
        noise=method.noise(view),
        repeats=method.repeats(view),
        metrics=METRICS,
        stacks=view.stacks,
        environment=method.environment(view),
    )
    return render("report.html", ("report.js",), page_data(view, looks), page)


def group_view(group: Group, view: View, cells: Cells) -> views.GroupView:
    return views.GroupView(
        slug=group.slug,
        title=view.group_title(group),
        detail="" if view.several_loads else group.load.label,
        about=group.summary,
        answer=headline.group_sentence(group),
        ordered=[(cells.brief(cell), cells.detail(cell)) for cell in group.ordered],
    )


def matrix_row(group: Group, view: View, cells: Cells) -> views.MatrixRow:
    by_name = {cell.name: cell for cell in group.cells}
    return views.MatrixRow(
        slug=group.slug,
        title=view.group_title(group),
        detail=" ".join(f"{key}={value}" for key, value in group.params.items()),
        cells=[cells.brief(by_name[name]) if name in by_name else None for name in view.stack_names],
    )


def sweep_view(key: str, groups: list[Group], looks: Mapping[str, StackLook], cells: Cells) -> views.SweepView:
    members = [cell for group in groups for cell in group.cells]
    return views.SweepView(
        key=key,
        title=curves.sweep_title(groups),
        cells=[cells.brief(cell) for cell in members],
        peaks=curves.peaks(groups),
        looks=[looks[name] for name in dict.fromkeys(cell.name for cell in members)],
    )


def level_groups(view: View, looks: Mapping[str, StackLook], cells: Cells) -> list[views.LevelGroup]:
    found = slo.by_arm(view.run.levels)
    groups: list[views.LevelGroup] = []
    for group in view.groups:
        members = {cell.arm.id: cell for cell in group.cells if cell.arm.id in found}
        if members:
            rows = [
                views.LevelRow(cells.brief(members[level.arm]), slo.level_cells(level), level.words)
                for level in slo.ordered([found[arm] for arm in members])
            ]
            shown = [looks[cell.name] for cell in members.values()]
            groups.append(views.LevelGroup(group.slug, view.group_title(group), shown, rows))
    return groups


def void_reasons(view: View, cells: Cells) -> list[views.VoidReason]:
    found: dict[tuple[Reason, str | None], list[MatrixCell]] = {}
    for cell in view.cells:
        for reason in dict.fromkeys(cell.arm.reasons if cell.arm.goodput is None else []):
            found.setdefault((reason, reason.log), []).append(cell)
    return [views.VoidReason(reason, [cells.brief(cell) for cell in members]) for (reason, _), members in found.items()]


def experiment_view(result: ExperimentResult | None) -> views.ExperimentView | None:
    if result is None:
        return None
    head, lines = experiment.experiment_table(result)
    return views.ExperimentView(
        source=experiment.as_sentence(result.source),
        command=result.command,
        scale=experiment.scale(result),
        claims=[(experiment.CLAIM_WORDS[claim.outcome], claim.outcome, claim.words) for claim in result.claims],
        series=experiment.POINT_SERIES if experiment.points(result) else {},
        head=head,
        lines=lines,
        differences=result.differences,
        exceptions=experiment.exceptions(result),
    )


def moment(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%-d %B %Y, %H:%M UTC")
