"""What a run ends with in a terminal of any width: tables of real runs, whole figures, and what was left out."""

from dataclasses import replace
from typing import Any, get_args

import pytest
from rich.cells import cell_len

from stackmatrix.analysis.model.bottleneck import Name
from stackmatrix.catalog import ROOT
from stackmatrix.formatting import factor, percent, quantity
from stackmatrix.report.arms import BOUND_MEANINGS, best_first, marked_name, place_of
from stackmatrix.report.compare import COMPARE_COLUMNS, terminal
from stackmatrix.report.experiment import experiment_table
from stackmatrix.report.slo import SLO_COLUMNS, level_cells
from stackmatrix.report.terminal import MATRIX_COLUMNS, run_table
from stackmatrix.results.compare import CellComparison, ComparisonReport, MetricRatio
from stackmatrix.results.directory import RESULTS, RunDirectory
from stackmatrix.results.explain import SustainedRate
from stackmatrix.results.interval import Interval
from stackmatrix.results.plan import Load
from stackmatrix.results.run import Run
from stackmatrix.results.trial import LedgerLine

from .sample import Runs
from .test_fitted import WIDTHS, columns_left_out, printed


def kept_run(name: str) -> Run:
    """A run that was measured, and is kept."""
    return RunDirectory(next(RESULTS.glob(f"*Z-{name}"))).read("run.json", Run)


@pytest.fixture(scope="module")
def reference() -> Run:
    return kept_run("reference")


def table_part(lines: list[str]) -> list[str]:
    """The lines before the first remark."""
    ends = (
        place
        for place, line in enumerate(lines)
        if line.startswith(("too narrow", "place: ", "goodput/s: ", "B ÷ A: "))
    )
    return lines[: next(ends, len(lines))]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_real_matrix_fits(reference: Run, width: int) -> None:
    lines = printed(run_table(reference), width)
    gone, table = columns_left_out(lines), table_part(lines)
    assert all(cell_len(line) <= width for line in table)
    assert not any("…" in line for line in lines)
    assert set(gone) < {column.name for column in MATRIX_COLUMNS}
    assert "goodput/s" not in gone and "stack" not in gone
    text = "\n".join(table)
    for arm in reference.arms:
        assert arm.goodput is not None and quantity(arm.goodput.value) in text
        assert "CPU µs" in gone or quantity(arm.cpu_us_per_request.stack) in text


@pytest.mark.parametrize(
    ("width", "gone"),
    [
        (40, ["place", "p50 ms", "p99 ms", "failed", "CPU µs", "MiB", "threads", "ceiling", "bound by"]),
        (60, ["place", "p50 ms", "failed", "CPU µs", "MiB", "threads", "ceiling"]),
        (80, ["failed", "MiB", "threads", "ceiling"]),
        (100, ["MiB", "threads"]),
        (126, []),
    ],
)
def test_the_columns_that_matter_most_stay(reference: Run, width: int, gone: list[str]) -> None:
    assert columns_left_out(printed(run_table(reference), width)) == gone


def test_every_void_arm_names_its_own_log(runs: Runs) -> None:
    run = runs["void"].read("run.json", Run)
    text = " ".join(" ".join(printed(run_table(run), 200)).split())
    for arm in run.arms:
        (reason,) = arm.reasons
        assert f"{arm.variant_label} {arm.workload}: errors: {reason.detail}" in text
        assert reason.log is not None and f"errors: read {reason.log} and run" in text


def test_the_best_stand_first_with_their_place(reference: Run) -> None:
    http = best_first([arm for arm in reference.arms if arm.workload == "http"])
    assert [place_of(arm, http) for arm in http] == ["1=", "1=", "3", "4"]
    few = [replace(arm, goodput=Interval(arm.goodput.value)) for arm in http if arm.goodput]
    assert {place_of(arm, few) for arm in few} == {"–"}
    lines = printed(run_table(reference), 126)
    below = lines[lines.index("http") + 1 :][:4]
    assert [line.split()[:2] for line in below] == [[place_of(arm, http), arm.stack] for arm in http]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["workers-threads-findings", "gather-data-findings"])
def test_a_real_experiment_fits(name: str, width: int) -> None:
    result = kept_run(name).experiment
    assert result is not None
    lines = printed(run_table(kept_run(name)), width)
    head, rows = experiment_table(result)
    gone = columns_left_out(lines)
    if gone:
        assert all(cell_len(line) <= width for line in table_part(lines)[2:])
    assert set(gone) < set(head) and "arm" not in gone
    for place, column in enumerate(head):
        if column not in gone and place > 1:
            assert all(row[place] in "\n".join(lines) for row in rows)


@pytest.mark.parametrize("width", WIDTHS)
def test_service_levels_fit(runs: Runs, width: int) -> None:
    run = runs["levels"].read("run.json", Run)
    lines = printed(run_table(run), width)
    start = next(place for place, line in enumerate(lines) if line.startswith("The largest rate that keeps"))
    gone = columns_left_out(lines[start:])
    assert "rate kept/s" not in gone
    for level in run.levels:
        for column, figure in zip(SLO_COLUMNS, level_cells(level), strict=True):
            assert column.name in gone or figure in "\n".join(lines[start:])


TOLD: Any = {"sense": "better", "trusted": True, "further_rounds": None, "against": []}


def comparison() -> ComparisonReport:
    """Two stacks that differ, under one workload with a long name."""
    goodput = MetricRatio(a=1234.5, b=2345.6, ratio=Interval(1.9, (1.88, 1.92)), floor=0.02, rounds=8, **TOLD)
    cpu = MetricRatio(a=812.0, b=401.0, ratio=Interval(0.494, (0.49, 0.5)), floor=0.031, rounds=8, **TOLD)
    load = Load("closed", users=64)
    words, bound = "goodput B ÷ A 1.90", ("slots", "server-cpu")
    answer = CellComparison(None, "http-parallel", {}, load, "faster", words, goodput, cpu, bound)
    return ComparisonReport(2, "one", "other", True, [], "", {}, [answer], None, None, [])


@pytest.mark.parametrize("width", WIDTHS)
def test_a_comparison_fits(width: int) -> None:
    lines = printed(terminal(comparison()), width)
    gone = columns_left_out(lines)
    assert set(gone) < {column.name for column in COMPARE_COLUMNS}
    assert "B ÷ A" not in gone and factor(1.9) in "\n".join(lines)
    assert "CPU floor" in gone or percent(0.031) in "\n".join(lines)


def test_a_cell_whose_ledger_could_not_be_counted_in_full_is_marked(reference: Run) -> None:
    silent = [LedgerLine("SQL statements", 1500, None), LedgerLine("pages of the database", 1485, None, at_least=True)]
    idle = [LedgerLine("SQL statements", 0, None), LedgerLine("new rows", 10, 10)]
    first, second, *others = reference.arms
    arms = [replace(first, ledger=silent), replace(second, ledger=idle), *others]
    text = "\n".join(printed(run_table(replace(reference, arms=arms)), 160))
    assert f"{first.variant_label} †" in text
    assert text.count("†") == 2
    assert "†: nobody counted what its answers imply: SQL statements and pages of the database" in text
    assert "†" not in "\n".join(printed(run_table(reference), 160))
    assert [marked_name(arm) for arm in arms if "†" in marked_name(arm)] == [f"{first.variant_label} †"]


def test_a_rate_that_does_not_last_is_marked(reference: Run) -> None:
    first, second, *others = reference.arms
    fades, lasts = SustainedRate(400.0, 20.0, False), SustainedRate(400.0, 20.0, True)
    arms = [replace(first, sustained=fades), replace(second, sustained=lasts), *others]
    text = "\n".join(printed(run_table(replace(reference, arms=arms)), 160))
    assert f"{first.variant_label} ‡" in text
    assert text.count("‡") == 2
    assert "‡: one long window showed another rate than the short ones" in text


def test_every_verdict_has_its_meaning_and_its_sign() -> None:
    icons = (ROOT / "src/stackmatrix/report/html/templates/icons.html").read_text()
    names = set(get_args(Name)) - {"void"}
    assert set(BOUND_MEANINGS) == names
    assert all(f'id="sign-{name}"' in icons for name in names)
