"""What the scripts of a run's page draw and place, as JSON; what is read as text stands in the page already."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stackmatrix.catalog.stacks import written
from stackmatrix.formatting import MISSING
from stackmatrix.report import curves, experiment, headline
from stackmatrix.report.charts import cell as cell_charts
from stackmatrix.report.charts import level as level_charts
from stackmatrix.report.charts import sweep as sweep_charts
from stackmatrix.report.charts.experiment import experiment_chart
from stackmatrix.report.charts.level import FoundRate, ProbePoint
from stackmatrix.report.charts.style import Spec
from stackmatrix.report.html.cells import Triple
from stackmatrix.report.metrics import METRICS
from stackmatrix.report.palette import StackLook
from stackmatrix.report.reduced import Histogram
from stackmatrix.report.view import Group, MatrixCell, Pair, View

COMPARED: Final = tuple(metric for metric in METRICS if metric.key not in ("cpu_us_generator", "max_ms"))


@dataclass(frozen=True, slots=True)
class DrawnCell:
    stack: str
    group: str
    spectrum: list[tuple[float, float]]
    histogram: Histogram
    # by round: place in the window, goodput, median latency
    slices: list[tuple[int, list[tuple[float, float, float | None]]]]
    rounds: list[tuple[int, float, float | None, float | None]]  # round, goodput, p50, p99
    estimate: tuple[float, float | None, float | None]
    cpu: list[tuple[str, float]]
    show: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DrawnGroup:
    title: str
    cells: list[str]  # in the order in which they are drawn: the best last, on top
    ranked: list[str]


@dataclass(frozen=True, slots=True)
class DrawnPair:
    says: str
    value: float | None
    low: float | None
    high: float | None
    ratios: Mapping[str, str]
    why: list[str]
    settings: list[Triple]


@dataclass(frozen=True, slots=True)
class PageData:
    floor: float
    looks: Mapping[str, StackLook]
    metrics: list[tuple[str, str]]
    specs: Mapping[str, Spec]
    experiment: list[experiment.FigurePoint]
    groups: Mapping[str, DrawnGroup]
    cells: Mapping[str, DrawnCell]
    pairs: Mapping[str, DrawnPair]
    sweeps: Mapping[str, list[curves.SweepPoint]]
    levels: Mapping[str, list[FoundRate | ProbePoint]]


def page_data(view: View, looks: Mapping[str, StackLook]) -> PageData:
    return PageData(
        floor=view.floor,
        looks=looks,
        metrics=[(metric.key, f"{metric.name}, {metric.unit}" if metric.unit else metric.name) for metric in COMPARED],
        specs=specs(view),
        experiment=experiment.points(view.run.experiment) if view.run.experiment else [],
        groups={
            group.slug: DrawnGroup(view.group_title(group), slugs[::-1], slugs)
            for group in view.groups
            for slugs in ([cell.slug for cell in group.ranked],)
        },
        cells={cell.slug: drawn_cell(cell, group) for group in view.groups for cell in group.ranked},
        pairs={
            f"{one.first.slug} {one.second.slug}": drawn_pair(one, group, view)
            for group in view.groups
            for pair in group.pairs
            for one in (pair, group.versus(pair.second, pair.first))
        },
        sweeps={str(index): curves.sweep_points(groups) for index, groups in enumerate(view.sweeps())},
        levels={group.slug: points for group in view.groups if (points := level_charts.probe_points(group, view))},
    )


def specs(view: View) -> dict[str, Spec]:
    found = {
        "spectrum": cell_charts.spectrum(),
        "histogram": cell_charts.histogram(log=False),
        "histogram-log": cell_charts.histogram(log=True),
        "goodput": cell_charts.goodput_rounds(),
        "latency": cell_charts.latency_rounds(),
        "cpu": cell_charts.cpu(),
        "pair": cell_charts.pair(),
    }
    for index, groups in enumerate(view.sweeps()):
        for what in sweep_charts.CURVES:
            found[f"curves-{what}-{index}"] = sweep_charts.curves(
                what, curves.load_axis_title(groups), curves.swept_loads(groups)
            )
    if view.run.levels:
        found["level"] = level_charts.level(view.run.levels[0].level.partition("<")[0])
    if view.run.experiment:
        found["experiment"] = experiment_chart(view.run.experiment)
    return found


def drawn_cell(cell: MatrixCell, group: Group) -> DrawnCell:
    arm, shape = cell.arm, cell.shape
    assert arm.goodput is not None, "only valid cells are drawn"
    good = [trial for trial in cell.standing if not trial.reasons]
    slices = shape.slices.items() if shape else ()
    return DrawnCell(
        stack=cell.name,
        group=group.slug,
        spectrum=shape.spectrum if shape else [],
        histogram=(shape and shape.histogram) or Histogram([], [], 0, False),
        slices=[(number + 1, [(s.at, s.goodput, s.p50) for s in parts]) for number, parts in slices],
        rounds=[(t.round + 1, t.client.goodput, t.client.latency_ms.p50, t.client.latency_ms.p99) for t in good],
        estimate=(arm.goodput.value, *(arm.goodput.ci95 or (None, None))),
        cpu=[(part, us) for part, us in cell.cpu_parts.items() if us],
        show={metric.key: metric.show(arm) for metric in COMPARED},
    )


def drawn_pair(pair: Pair, group: Group, view: View) -> DrawnPair:
    interval = pair.goodput.interval if pair.goodput else None
    return DrawnPair(
        says=headline.comparison(pair, group.floor),
        value=pair.goodput.value if pair.goodput else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        ratios={"goodput": headline.times(pair.goodput), "cpu_us_stack": headline.times(pair.cpu)},
        why=view.explained(pair),
        settings=differing_settings(pair.first, pair.second),
    )


def differing_settings(first: MatrixCell, second: MatrixCell) -> list[Triple]:
    """List the settings in which two arms differ; a setting that one does not have is a dash."""
    keys = dict.fromkeys([*first.settings, *second.settings])
    lines = ((key, first.settings.get(key), second.settings.get(key)) for key in keys)
    return [(f"Setting {key}", setting(one), setting(other)) for key, one, other in lines if one != other]


def setting(value: int | str | bool | None) -> str:
    return MISSING if value is None else written(value)
