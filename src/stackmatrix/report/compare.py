"""A comparison of two arms for a terminal and for a pull request: the answers first, then the table."""

from collections.abc import Iterable
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from stackmatrix.formatting import MISSING, each_text, factor, percent, printable, quantity
from stackmatrix.report import markdown, method
from stackmatrix.report.fitted import FittedColumn, FittedTable
from stackmatrix.results.compare import CellComparison, ComparisonReport, MetricRatio

LIMITED: Final = {"goodput": "goodput", "cpu": "CPU per request", "instructions": "instructions"}
COMPARE_COLUMNS: Final = (
    FittedColumn("workload", 1, least=18),
    FittedColumn("answer", 2, least=10),
    FittedColumn("A /s", 5),
    FittedColumn("B /s", 6),
    FittedColumn("B ÷ A", 3, meaning="of goodput, the more the better"),
    FittedColumn("95 %", 4, meaning="interval of that ratio"),
    FittedColumn("floor", 7, meaning="what two copies of A differ by: a difference counts beyond it"),
    FittedColumn("CPU A µs", 10, meaning="of the stack per request"),
    FittedColumn("CPU B µs", 11),
    FittedColumn("CPU B ÷ A", 8, meaning="the less the better"),
    FittedColumn("CPU 95 %", 9),
    FittedColumn("CPU floor", 14),
    FittedColumn("A, B bound by", 12, least=10),
    FittedColumn("rounds", 13),
    FittedColumn("more", 15, meaning="rounds that would settle it, if the ratio holds"),
)
STYLES = {"faster": "green", "cheaper": "green", "slower": "red", "dearer": "red", "can't tell": "yellow"}
HOW_MEASURED: Final = {  # by whether the rounds were interleaved
    True: "Both were timed in the same rounds, in random order, each time with a server that was just started.",
    False: "The rounds of two runs are no pairs: what changed on the machine in between cannot be told from what "
    "changed in the stack. The interval is that of the Hodges–Lehmann shift; the noise floor is the larger of both "
    "runs'.",
}


def terminal(report: ComparisonReport) -> RenderableType:
    table = FittedTable(COMPARE_COLUMNS, "--markdown FILE has every column")
    for answer in report.answers:
        table.row(compare_row(answer))
    said = [
        Text(f"{cell_title(answer)}: {answer_line(answer)}", style=STYLES.get(answer.verdict, ""))
        for answer in report.answers
    ]
    sides = [Text(f"A  {report.a}"), Text(f"B  {report.b}")]
    held = [] if report.outcome is None else [Text(limit(report), style="bold")]
    notes = [Text(note, style="dim") for note in (HOW_MEASURED[report.interleaved], *report.remarks)]
    return Group(*sides, *said, *held, Text(), table, Text(), *notes)


def compare_markdown(report: ComparisonReport) -> str:
    report = each_text(each_text(report, printable), markdown.no_markup)
    legend = [f"{column.name}: {column.meaning}" for column in COMPARE_COLUMNS if column.meaning]
    parts = [
        f"## {compare_headline(report)}",
        f"A is `{report.a}`, B is `{report.b}`.",
        markdown.bullets(f"**{cell_title(answer)}**: {answer_line(answer)}" for answer in report.answers),
        *([] if report.outcome is None else [f"**{limit(report)}**"]),
        markdown.markdown_table([column.name for column in COMPARE_COLUMNS], map(compare_row, report.answers)),
        "<details><summary>How to read it</summary>",
        markdown.bullets([HOW_MEASURED[report.interleaved], *report.remarks, *legend]),
        f"{report.started} · {method.machine(report.environment)} · {', '.join(f'`{run}`' for run in report.runs)}",
        "</details>",
    ]
    return "\n\n".join(parts) + "\n"


def compare_headline(report: ComparisonReport) -> str:
    """Hold B against A in a few words: the verdicts, each with its workloads."""
    verdicts: dict[str, list[str]] = {}
    for answer in report.answers:
        name = f"{answer.stack}/{answer.workload}" if answer.stack else answer.workload
        verdicts.setdefault(answer.verdict, []).append(name)
    said = "; ".join(f"{verdict} under {', '.join(dict.fromkeys(names))}" for verdict, names in verdicts.items())
    return f"B against A: {said or 'nothing was compared'}"


def cell_title(answer: CellComparison) -> str:
    return f"{f'{answer.stack} under ' if answer.stack else ''}{answer.workload}, {answer.load.label}"


def answer_line(answer: CellComparison) -> str:
    return f"{answer.verdict}: {answer.words}" if answer.words else answer.verdict


def limit(report: ComparisonReport) -> str:
    """Say what `--fail-if-worse` asked for, and which workloads decide it."""
    assert report.limit is not None
    of = "" if report.limit_of is None else f" in {LIMITED[report.limit_of]}"
    which = [cell_title(answer) for answer in report.answers if answer.outcome == report.outcome != "no worse"]
    where = f" ({'; '.join(which)})" if which else ""
    return f"worse by more than {percent(report.limit)}{of}: {report.outcome}{where}"


def compare_row(answer: CellComparison) -> list[str]:
    more = answer.goodput.further_rounds
    return [
        cell_title(answer),
        answer.verdict,
        *metric_cells(answer.goodput),
        *metric_cells(answer.cpu_us),
        ", ".join(dict.fromkeys(answer.bound)),
        str(answer.goodput.rounds),
        MISSING if more is None else f"≈ {more}",
    ]


def metric_cells(metric: MetricRatio) -> Iterable[str]:
    found = metric.ratio
    if found is None:
        return [MISSING] * 5
    interval = f"{factor(found.ci95[0])}–{factor(found.ci95[1])}" if found.ci95 else MISSING
    return quantity(metric.a), quantity(metric.b), factor(found.value), interval, percent(metric.floor)
