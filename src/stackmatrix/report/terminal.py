"""The table that a run ends with, for a terminal."""

from itertools import groupby
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from stackmatrix.formatting import MISSING, factor, mib, milliseconds, percent, quantity
from stackmatrix.report import experiment, slo
from stackmatrix.report.arms import (
    best_first,
    bound_words,
    mark_words,
    marked_name,
    place_of,
    share_of_ceiling,
    void_kinds,
)
from stackmatrix.report.fitted import FittedColumn, FittedTable
from stackmatrix.results.experiment import ExperimentResult
from stackmatrix.results.run import ArmResult, Run

ALL_COLUMNS: Final = "report.md has every column"
MATRIX_COLUMNS: Final = (
    FittedColumn("place", 7, meaning="“=” where no difference was shown"),
    FittedColumn("stack", 1, least=18),
    FittedColumn("goodput/s", 2, meaning="expected answers per second"),
    FittedColumn("±", 3, meaning="half-width of its 95 % interval"),
    FittedColumn("p50 ms", 8, meaning="median latency"),
    FittedColumn("p99 ms", 5, meaning="its 99th percentile, “–” where the sample cannot support it"),
    FittedColumn("failed", 10),
    FittedColumn("CPU µs", 6, meaning="of the stack per request"),
    FittedColumn("MiB", 11),
    FittedColumn("threads", 12),
    FittedColumn("ceiling", 9, meaning="share reached of the most that physics allows, “–” on the CPU"),
    FittedColumn("bound by", 4, least=10, meaning="what held it back"),
)


def run_table(run: Run) -> RenderableType:
    """Show the matrix, a block per workload and load, and why numbers are missing; or an experiment's answer."""
    if run.experiment is not None:
        return Group(*experiment_answer(run.experiment), *void_lines(run))
    result = FittedTable(MATRIX_COLUMNS, ALL_COLUMNS)
    for (workload, load), arms in groupby(run.arms, key=lambda arm: (arm.workload, arm.load.label)):
        result.heading(f"{workload}, {load}" if several_loads(run) else workload)
        members = list(arms)
        for arm in best_first(members):
            result.row([place_of(arm, members), *terminal_row(arm)])
    marks = [Text(words, style="dim") for words in mark_words(run.arms)]
    return Group(result, *marks, *void_lines(run), *noise_line(run), *level_table(run))


def experiment_answer(result: ExperimentResult) -> list[RenderableType]:
    head, lines = experiment.experiment_table(result)
    figures = FittedTable([figure_column(place, name) for place, name in enumerate(head)], ALL_COLUMNS)
    for line in lines:
        figures.row(line)
    styles = {"holds": "", "fails": "red", "unknown": "yellow"}
    told = [Text(claim.words, style=styles[claim.outcome]) for claim in result.claims]
    notes = [Text(words, style="dim") for words in (*result.differences, *experiment.exceptions(result))]
    return [Text(f"\n{result.question}", style="bold"), figures, *told, *notes]


def figure_column(place: int, name: str) -> FittedColumn:
    """Rank a column of an experiment: who has which figure, published and measured, before what the model says."""
    kinds = ("arm", "figure", "published", "measured", "÷", "predicted", "as published", "by the model")
    rank = next(rank for rank, kind in enumerate(kinds) if name == kind or name.endswith(f", {kind}"))
    return FittedColumn(name, rank, least=(18, 12)[place] if place < 2 else None)


def several_loads(run: Run) -> bool:
    return len({arm.load for arm in run.arms}) > 1


def level_table(run: Run) -> list[RenderableType]:
    if not run.levels:
        return []
    figures = [FittedColumn(column.name, place) for place, column in enumerate(slo.SLO_COLUMNS, 2)]
    result = FittedTable([FittedColumn("stack", 1, least=18), *figures], ALL_COLUMNS)
    found = slo.by_arm(run.levels)
    for workload, arms in groupby(run.arms, key=lambda arm: arm.workload):
        names = {arm.id: arm.variant_label for arm in arms}
        result.heading(workload)
        for level in slo.ordered([found[arm] for arm in names if arm in found]):
            result.row([names[level.arm], *slo.level_cells(level)])
    title = Text(f"\nThe largest rate that keeps {slo.level_title(run.levels)}", style="bold")
    return [title, result, *(Text(f"{level.arm.split('/')[1]}: {level.words}") for level in run.levels)]


def terminal_row(arm: ArmResult) -> list[str | Text]:
    name = marked_name(arm)
    if not arm.valid or arm.goodput is None:
        spent = arm.cpu_us_per_request.stack
        cpu = quantity(spent) if spent is not None else ""
        return [name, Text("void", style="red"), *[""] * 4, cpu, *[""] * 3, Text(void_kinds(arm), style="red")]
    return [
        name,
        quantity(arm.goodput.value),
        percent(arm.goodput.half_width),
        milliseconds(arm.latency_ms.p50),
        milliseconds(arm.latency_ms.p99),
        str(arm.errors.total),
        quantity(arm.cpu_us_per_request.stack),
        mib(arm.memory_mib),
        MISSING if arm.threads is None else str(arm.threads),
        percent(share_of_ceiling(arm)),
        bound_words(arm),
    ]


def noise_line(run: Run) -> list[Text]:
    if run.aa is None or run.aa.ci95 is None:
        return []
    low, high = run.aa.ci95
    against = f"one arm against itself: ratio {factor(run.aa.value)}, between {factor(low)} and {factor(high)}"
    if run.aa.valid is False:
        return [Text(f"{against}: the machine moved the numbers, and no difference is stated; run it again", "red")]
    return [Text(f"{against}: no difference; differences below {percent(run.aa.floor)} are not told apart")]


def void_lines(run: Run) -> list[Text]:
    lines: list[Text] = []
    remedies: dict[str, None] = {}
    for arm in run.arms:
        for reason in dict.fromkeys(arm.reasons if not arm.valid else []):
            load = f" {arm.load.label}" if several_loads(run) else ""
            name = f"{arm.variant_label} {arm.workload}{load}"
            lines.append(Text(f"{name}: {reason.kind}: {reason.detail}", style="red"))
            remedies[f"{reason.kind}: {reason.remedy}"] = None
    return [*lines, *(Text(remedy, style="yellow") for remedy in remedies)]
