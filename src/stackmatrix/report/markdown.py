"""`report.md`: the run for a pull request, with the matrix as a picture and every number in tables."""

import re
from collections.abc import Iterable, Sequence

from stackmatrix.analysis.explain.phases import PARTS, time_by_part
from stackmatrix.formatting import MISSING, duration, each_text, percent
from stackmatrix.report import curves, experiment, headline, method, slo
from stackmatrix.report import phases as times
from stackmatrix.report.arms import BOUND_MEANINGS, bound_words, mark_words, marked_name, place_of, void_kinds
from stackmatrix.report.metrics import BY_KEY, METRICS
from stackmatrix.report.view import Group, MatrixCell, View
from stackmatrix.results.experiment import ExperimentResult
from stackmatrix.results.run import ArmResult

SHOWN_METRICS = ("p50_ms", "p99_ms", "failed", "cpu_us_stack", "memory_mib", "threads", "share")


def run_markdown(view: View) -> str:
    view = each_text(view, no_markup)
    parts = [
        f"# {headline.headline(view).replace('**', '')}",
        f"{view.run.name} · {view.run.started} · {method.machine(view.run.environment)}",
        *(f"> **{title}** {text}" for _, title, text in method.notes(view)),
        "\n".join(f"- **{name}** {value}{f', {more}' if more else ''}" for name, value, more in method.facts(view)),
        *experiment_section(view.run.experiment),
        *level_sections(view),
        themed("figures/matrix", "Goodput of every stack under every workload; the tables below have the numbers"),
        *load_curves(view),
        *(part for group in view.groups for part in workload(view, group)),
        *void_section(view),
        "## Method",
        "### Limits first",
        bullets(method.limits(view)),
        "### What this run could not resolve",
        bullets(method.unresolved(view)) or "Nothing.",
        "### How it was measured",
        bullets([*method.measured(view), *times.costs(view), method.noise(view), method.repeats(view)]),
        "<details><summary>What the numbers mean</summary>",
        bullets(f"**{m.name}**{f' ({m.unit})' if m.unit else ''}: {m.meaning}" for m in METRICS),
        bullets(f"bound by **{name}**: {meaning}" for name, meaning in BOUND_MEANINGS.items()),
        "</details>",
        "<details><summary>Environment</summary>",
        markdown_table(("what", "value"), method.environment(view)),
        "</details>",
        f"The whole run again: `{view.run.command}`",
    ]
    return "\n\n".join(parts) + "\n"


def experiment_section(result: ExperimentResult | None) -> list[str]:
    if result is None:
        return []
    return [f"## {result.question}", *experiment_parts(result, bullets(result.answer), "figures/experiment", "### {}")]


def experiment_parts(result: ExperimentResult, answer: str, figure: str, heading: str) -> list[str]:
    """Write what stands below an experiment's question: the figure is a picture without its ending."""
    return [
        f"{experiment.as_sentence(result.source)} Published command: `{result.command}`. {experiment.scale(result)}",
        answer,
        themed(figure, "Published, predicted and measured figures of every arm; the table has them too"),
        markdown_table(*experiment.experiment_table(result)),
        heading.format("Where the tool and the project's own generator differ"),
        bullets(result.differences),
        heading.format("What is not as predicted"),
        bullets(experiment.exceptions(result)),
    ]


def level_sections(view: View) -> list[str]:
    """Write the largest rates that keep a service level; nothing where none was asked for."""
    if not view.run.levels:
        return []
    parts = [f"## Service level: {slo.level_title(view.run.levels)}"]
    for group, found in view.levels():
        head = (group.workload, *(column.name for column in slo.SLO_COLUMNS))
        rows = [(cell.name, *slo.level_cells(level)) for cell, level in found]
        parts += [bullets(level.words for _, level in found), markdown_table(head, rows, words=(0,))]
    return [*parts, bullets(f"**{column.name}**: {column.meaning}" for column in slo.SLO_COLUMNS)]


def load_curves(view: View) -> list[str]:
    swept = [groups for groups in view.sweeps() if curves.sweep_points(groups)]
    about = "Goodput with its ceiling (dotted), and p99 latency with p50 (dotted), against the load"
    drawn = [themed(curves.figure(groups), f"{about}: {curves.peaks(groups)}") for groups in swept]
    return ["## Load curves", *drawn] if drawn else []


def themed(stem: str, about: str) -> str:
    """Show a picture, light or dark as the reader's page is."""
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{stem}-dark.svg">'
        f'<img alt="{about}" src="{stem}.svg"></picture>'
    )


def workload(view: View, group: Group) -> list[str]:
    about = " · ".join(part for part in (group.summary, group.params_text, group.load.label) if part)
    names = [f"{BY_KEY[key].name}{f', {BY_KEY[key].unit}' if BY_KEY[key].unit else ''}" for key in SHOWN_METRICS]
    head = ("", "stack", "goodput/s", "±", *names, "bound by")
    arms = [cell.arm for cell in group.ranked]
    rows = [markdown_row(cell, arms, len(head)) for cell in group.ordered]
    reasons = "\n".join(explanation_bullets(cell) for cell in group.ranked if cell.arm.explanation)
    parts = [
        f"## {view.group_title(group)}",
        about,
        headline.group_sentence(group),
        markdown_table(head, rows, words=(0, 1, len(head) - 1)),
        "\n".join(mark_words(arms)),
        reasons,
        *spent(group),
    ]
    return [part for part in parts if part]


def explanation_bullets(cell: MatrixCell) -> str:
    """List one arm's explanation: its first line is the answer, and the rest hangs below it."""
    answer, *rest = cell.arm.explanation
    return "\n".join([f"- {answer}", *(f"  - {line}" for line in rest)])


def spent(group: Group) -> list[str]:
    rows: list[list[str]] = []
    for cell in group.ranked:
        if phases := cell.arm.phases:
            seconds = time_by_part(phases)
            shares = (percent(seconds[part] / phases.response_s) if part in seconds else MISSING for part in PARTS)
            rows.append(["", cell.name, duration(phases.response_s), *shares])
    table = markdown_table(("", "stack", "response", *PARTS), rows)
    drawn = [f"[{cell.name}]({cell.arm.profile.file})" for cell in group.ranked if cell.arm.profile]
    return [
        *(["Where the time of a request goes, with SERVER_TIMING on:", table] if rows else []),
        *([f"Flame graphs: {', '.join(drawn)}"] if drawn else []),
    ]


def markdown_row(cell: MatrixCell, group: Sequence[ArmResult], width: int) -> list[str]:
    """Write one arm; a void one has its reasons where the numbers would stand."""
    arm = cell.arm
    if arm.goodput is None:
        return [MISSING, cell.name, f"void: {void_kinds(arm)}", *[""] * (width - 3)]
    goodput = BY_KEY["goodput"].show(arm)
    shown = [BY_KEY[key].show(arm) for key in SHOWN_METRICS]
    name = f"**{marked_name(arm)}**" if arm.rank == 1 else marked_name(arm)
    return [place_of(arm, group), name, goodput, percent(arm.goodput.half_width), *shown, bound_words(arm)]


def void_section(view: View) -> list[str]:
    lines = [
        f"{cell.name}, {cell.arm.workload}, {cell.arm.load.label}: **{reason.kind}**: {reason.detail}. {reason.remedy}"
        for cell in view.cells
        for reason in dict.fromkeys(cell.arm.reasons if cell.arm.goodput is None else [])
    ]
    return ["## Cells without a number", bullets(lines)] if lines else []


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = (0, 1)) -> str:
    rule = ["---" if place in words else "--:" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(escape(word) for word in line)} |" for line in (head, rule, *rows))


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def no_markup(text: str) -> str:
    """Keep a text from being read as HTML; `p99<200ms` begins no tag."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)


def escape(word: str) -> str:
    return word.replace("|", "\\|").replace("\n", " ")
