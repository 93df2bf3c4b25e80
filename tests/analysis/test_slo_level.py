"""The words of a service level, and what a window's requests say of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from stackmatrix.analysis.slo.level import IN_A_ROW, LEVEL_METRICS, Level, judge_window, parse_level, recovery_s
from stackmatrix.errors import UserError
from stackmatrix.load.recorder import Ending
from stackmatrix.load.records import ROW, Records


def answers(ms: list[float], verdicts: dict[int, Ending] | None = None, every_s: float = 0.001) -> Records:
    """One request each `every_s` from 100 s on, with these latencies."""
    records = np.zeros(len(ms), ROW)
    records["scheduled"] = 100 + np.arange(len(ms)) * every_s
    records["end"] = records["scheduled"] + np.array(ms) / 1e3
    for place, verdict in (verdicts or {}).items():
        records["verdict"][place] = verdict
        if verdict == Ending.UNFINISHED:
            records["end"][place] = math.nan
    return records


@given(st.sampled_from(LEVEL_METRICS), st.integers(1, 30_000))
def test_a_level_reads_back_as_it_is_written(metric: str, ms: int) -> None:
    level = Level(metric, float(ms))
    assert parse_level(str(level)) == level
    assert parse_level(f" {metric} < {ms / 1000:.6f}s ").limit_ms == pytest.approx(ms)


@pytest.mark.parametrize(
    "text",
    ["", "p99", "p99<", "p99<200", "p99>200ms", "p98<1s", "p99<-1ms", "p99<0ms", "p99<31s", "p99<1e3ms", "p99<١s"],
)
def test_other_words_are_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(UserError, match="--slo"):
        parse_level(text)


@given(st.text(max_size=20))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        level = parse_level(text)
    except UserError:
        return
    assert 0 < level.limit_ms <= 30_000


def test_a_percentile_is_judged_by_requests_that_can_support_it() -> None:
    level = parse_level("p99<100ms")
    assert level.requests == 1000
    assert parse_level("p99.9<100ms").requests == 10_000
    assert judge_window(answers([10.0] * 999), 100, 200, level).kept is None
    assert judge_window(answers([10.0] * 1000), 100, 200, level).kept is True


@given(st.sampled_from(LEVEL_METRICS), st.floats(20, 5000))
def test_a_window_holds_as_many_requests_as_it_must(metric: str, rate: float) -> None:
    level = Level(metric, 200)
    assert stats.poisson.cdf(level.requests - 1, level.window_s(rate) * rate) < 0.001


@pytest.mark.parametrize(("slow", "kept"), [(10, True), (11, False)])
def test_p99_lets_one_in_a_hundred_be_slow(slow: int, kept: bool) -> None:
    assert (
        judge_window(answers([150.0] * slow + [10.0] * (1000 - slow)), 100, 200, parse_level("p99<100ms")).kept is kept
    )


@pytest.mark.parametrize("verdict", [Ending.UNFINISHED, Ending.TIMEOUT, Ending.CLOSED])
def test_what_never_came_is_slower_than_any_limit(verdict: Ending) -> None:
    records = answers([10.0] * 1000, dict.fromkeys(range(11), verdict))
    seen = judge_window(records, 100, 200, parse_level("p99<100ms"))
    assert seen.kept is False
    assert seen.value_ms is None
    assert seen.failed == (0 if verdict == Ending.UNFINISHED else 11)


@pytest.mark.parametrize(("failed", "kept"), [(1, True), (2, False)])
def test_one_in_a_thousand_may_fail(failed: int, kept: bool) -> None:
    records = answers([10.0] * 1000, dict.fromkeys(range(failed), Ending.STATUS))
    assert judge_window(records, 100, 200, parse_level("p99<100ms")).kept is kept


def test_requests_before_and_after_the_window_do_not_count() -> None:
    records = answers([500.0] * 500 + [10.0] * 1000 + [500.0] * 500)
    assert judge_window(records, 100.5, 101.5, parse_level("max<100ms")).kept is True
    assert judge_window(records, 100.4, 101.5, parse_level("max<100ms")).kept is False


def test_mean_and_maximum() -> None:
    records = answers([10.0] * 99 + [1000.0])
    assert judge_window(records, 100, 200, parse_level("mean<20ms")).value_ms == pytest.approx(19.9)
    assert judge_window(records, 100, 200, parse_level("max<1s")).kept is False


def test_a_limit_beyond_the_drain_leaves_out_what_had_less_time_than_that() -> None:
    records = answers([10.0] * 2000, dict.fromkeys(range(1500, 2000), Ending.UNFINISHED), every_s=0.01)
    assert judge_window(records, 100, 120, parse_level("p90<4s")).kept is False
    assert judge_window(records, 100, 120, parse_level("p90<10s")).kept is True


def test_recovery_ends_with_the_backlog() -> None:
    ms = [300.0] * 100 + [90.0] * 5 + [300.0] * 5 + [50.0] * 200
    assert recovery_s(answers(ms), 100.05, 101, parse_level("p99<100ms")) == pytest.approx(0.06)
    assert recovery_s(answers([300.0] * 500), 100.0, 101, parse_level("p99<100ms")) is None
    assert recovery_s(answers([1.0] * (IN_A_ROW - 1)), 100.0, 101, parse_level("p99<100ms")) is None
    assert recovery_s(answers([1.0] * IN_A_ROW), 100.0, 101, parse_level("p99<100ms")) == 0
