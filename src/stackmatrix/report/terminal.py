"""The table that a run ends with, for a terminal."""

from collections.abc import Iterable
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stackmatrix.catalog.stacks import variant_label
from stackmatrix.report.numbers import mib, milliseconds, percent, plus_minus, quantity
from stackmatrix.results import ArmResult, Run

LEGEND = (
    "goodput: expected answers per second, with the half-width of its 95 % interval · p50, p99: latency in ms, “–” "
    "where the sample cannot support it · CPU: µs of the stack per request · ceiling: share reached of the most that "
    "physics allows · bound by: what held it back"
)


def table(run: Run) -> RenderableType:
    """The matrix: a block per workload, a row per stack, and below it every reason why a number is missing."""
    result = Table(box=None, header_style="bold", padding=(0, 1), show_edge=False)
    for name in ("workload", "stack"):
        result.add_column(name, no_wrap=True)
    for name in ("goodput/s", "±", "p50 ms", "p99 ms", "failed", "CPU µs", "MiB", "threads", "ceiling"):
        result.add_column(name, justify="right", no_wrap=True)
    result.add_column("bound by", no_wrap=True)
    for workload, arms in groupby(run.arms, key=lambda arm: arm.workload):
        for index, arm in enumerate(arms):
            result.add_row(workload if index == 0 else "", *row(arm))
        result.add_section()
    return Group(result, *voids(run.arms), *noise(run), *answers(run), Text(LEGEND, style="dim"))


def row(arm: ArmResult) -> list[str | Text]:
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
        plus_minus(arm.goodput),
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
    return [Text(words) for words in run.answers.values()]


def noise(run: Run) -> list[Text]:
    """What the arm that was timed twice says of the run."""
    if run.aa is None or run.aa.ci95 is None:
        return []
    low, high = run.aa.ci95
    against = f"one arm against itself: ratio {run.aa.value:.3f}, between {low:.3f} and {high:.3f}"
    if run.aa.valid is False:
        return [Text(f"{against}: the machine moved the numbers, and no difference is stated; run it again", "red")]
    return [Text(f"{against}: no difference; differences below {percent(run.aa.floor)} are not told apart")]


def voids(arms: Iterable[ArmResult]) -> list[Text]:
    """One line per reason of every arm without a number, and one per kind of reason with its remedy."""
    lines: list[Text] = []
    remedies: dict[str, str] = {}
    for arm in arms:
        for reason in dict.fromkeys(arm.reasons if not arm.valid else []):
            name = f"{variant_label(arm.stack, arm.variant)} {arm.workload}"
            lines.append(Text(f"{name}: {reason.kind}: {reason.detail}", style="red"))
            remedies[reason.kind] = reason.remedy
    return [*lines, *(Text(f"{kind}: {remedy}", style="yellow") for kind, remedy in remedies.items())]
