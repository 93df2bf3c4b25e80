"""The table that a run ends with, for a terminal."""

from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from stackmatrix.catalog.stacks import variant_label
from stackmatrix.formatting import mib, milliseconds, percent, quantity
from stackmatrix.report import experiment, slo
from stackmatrix.report.fitted import FittedColumn, FittedTable
from stackmatrix.results.experiment import ExperimentResult
from stackmatrix.results.run import ArmResult, Run

MATRIX_LEGEND = (
    "goodput: expected answers per second, with the half-width of its 95 % interval · p50, p99: latency in ms, “–” "
    "where the sample cannot support it · CPU: µs of the stack per request · ceiling: share reached of the most that "
    "physics allows · bound by: what held it back"
)

MATRIX_COLUMNS = (
    FittedColumn("goodput/s"),
    FittedColumn("±", 8),
    FittedColumn("p50 ms", 5),
    FittedColumn("p99 ms", 7),
    FittedColumn("failed", 2),
    FittedColumn("CPU µs", 6),
    FittedColumn("MiB", 3),
    FittedColumn("threads", 1),
    FittedColumn("ceiling", 4),
    FittedColumn("bound by", 9, "left"),
)
IN_REPORTS = "report.html and report.csv have all of them"


def run_table(run: Run) -> RenderableType:
    """The matrix: a block per workload and load, a row per stack, and below it every reason why a number is missing.

    An experiment's answer stands in its place, for its arms are not one matrix.
    """
    if run.experiment is not None:
        return Group(*experiment_answer(run.experiment), *void_lines(run))
    named = ("workload", "load", "stack") if several_loads(run) else ("workload", "stack")
    result = FittedTable([*naming(*named), *MATRIX_COLUMNS], IN_REPORTS)
    for (workload, load), arms in groupby(run.arms, key=lambda arm: (arm.workload, arm.load.label)):
        names = (workload, load) if several_loads(run) else (workload,)
        for index, arm in enumerate(arms):
            result.add_row(*(names if index == 0 else [""] * len(names)), *terminal_row(arm))
        result.add_section()
    found = [*void_lines(run), *noise_line(run), *answers(run), Text(MATRIX_LEGEND, style="dim")]
    return Group(result, *found, *level_table(run))


def experiment_answer(result: ExperimentResult) -> list[RenderableType]:
    """The question of an experiment, the figures of its arms, and its answer."""
    head, lines = experiment.experiment_table(result)
    optional = range(len(head) - 3, 0, -1)
    figures = FittedTable(
        [*naming(*head[:2]), *(FittedColumn(name, rank) for name, rank in zip(head[2:], [*optional, 0], strict=False))],
        IN_REPORTS,
    )
    for line in lines:
        figures.add_row(*line)
    styles = {"holds": "", "fails": "red", "unknown": "yellow"}
    told = [Text(claim.words, style=styles[claim.outcome]) for claim in result.claims]
    notes = [Text(words, style="dim") for words in (*result.differences, *experiment.exceptions(result))]
    return [Text(f"\n{result.question}", style="bold"), figures, *told, *notes]


def naming(*names: str) -> list[FittedColumn]:
    """Columns that say what a row is about, and are never left out."""
    return [FittedColumn(name, None, "left") for name in names]


def several_loads(run: Run) -> bool:
    """Whether a workload was offered in more than one way."""
    return len({arm.load for arm in run.arms}) > 1


def level_table(run: Run) -> list[RenderableType]:
    """The largest rates that keep a service level, where one was asked for; and in words what each arm came to."""
    if not run.levels:
        return []
    count = len(slo.SLO_COLUMNS)
    figures = [FittedColumn(column.name, count - place) for place, column in enumerate(slo.SLO_COLUMNS)]
    result = FittedTable([*naming("workload", "stack"), *figures], IN_REPORTS)
    found = slo.by_arm(run.levels)
    for workload, arms in groupby(run.arms, key=lambda arm: arm.workload):
        names = {arm.id: variant_label(arm.stack, arm.variant) for arm in arms}
        for index, level in enumerate(slo.ordered([found[arm] for arm in names if arm in found])):
            result.add_row(workload if index == 0 else "", names[level.arm], *slo.level_cells(level))
        result.add_section()
    title = Text(f"\nThe largest rate that keeps {slo.level_title(run.levels)}", style="bold")
    return [title, result, *(Text(f"{level.arm.split('/')[1]}: {level.words}") for level in run.levels)]


def terminal_row(arm: ArmResult) -> list[str | Text]:
    """One arm's cells; an arm that is not valid shows no number."""
    name = variant_label(arm.stack, arm.variant)
    if not arm.valid or arm.goodput is None:
        kinds = ", ".join(dict.fromkeys(reason.kind for reason in arm.reasons))
        spent = arm.cpu_us_per_request.stack
        cpu = quantity(spent) if spent is not None else ""
        return [name, Text("void", style="red"), *[""] * 4, cpu, *[""] * 3, Text(kinds, style="red")]
    ceiling = arm.ceiling
    return [
        name,
        quantity(arm.goodput.value),
        percent(arm.goodput.half_width),
        milliseconds(arm.latency_ms.p50),
        milliseconds(arm.latency_ms.p99),
        str(arm.errors.total),
        quantity(arm.cpu_us_per_request.stack),
        mib(arm.memory_mib),
        "–" if arm.threads is None else str(arm.threads),
        percent(ceiling.share) if ceiling else "–",
        f"{arm.verdict} ({arm.pool})" if arm.pool else arm.verdict,
    ]


def answers(run: Run) -> list[Text]:
    """The sentence that each workload comes down to."""
    if not several_loads(run):
        return [Text(words) for words in run.answers.values()]
    loads = {name: name.partition("/")[2] for name in run.answers}
    return [Text(words.replace(": ", f", {loads[name]}: ", 1)) for name, words in run.answers.items()]


def noise_line(run: Run) -> list[Text]:
    """What the arm that was timed twice says of the run."""
    if run.aa is None or run.aa.ci95 is None:
        return []
    low, high = run.aa.ci95
    against = f"one arm against itself: ratio {run.aa.value:.3f}, between {low:.3f} and {high:.3f}"
    if run.aa.valid is False:
        return [Text(f"{against}: the machine moved the numbers, and no difference is stated; run it again", "red")]
    return [Text(f"{against}: no difference; differences below {percent(run.aa.floor)} are not told apart")]


def void_lines(run: Run) -> list[Text]:
    """One line per reason of every arm without a number, and one per kind of reason with its remedy."""
    lines: list[Text] = []
    remedies: dict[str, str] = {}
    for arm in run.arms:
        for reason in dict.fromkeys(arm.reasons if not arm.valid else []):
            load = f" {arm.load.label}" if several_loads(run) else ""
            name = f"{variant_label(arm.stack, arm.variant)} {arm.workload}{load}"
            lines.append(Text(f"{name}: {reason.kind}: {reason.detail}", style="red"))
            remedies[reason.kind] = reason.remedy
    return [*lines, *(Text(f"{kind}: {remedy}", style="yellow") for kind, remedy in remedies.items())]
