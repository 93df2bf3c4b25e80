"""When a warm-up ends, and how window and drain are fitted to what it saw: pure functions of what was told."""

import math
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stackmatrix.http import Request
from stackmatrix.load.generator import Progress
from stackmatrix.load.job import MOST_DRAIN_S, WHOLE_RESPONSES, Closed, LoadJob, Open, RequestKind
from stackmatrix.load.warm_up import (
    LEAST_ANSWERS,
    LONGEST_FITTED_S,
    LONGEST_RESPONSE_S,
    LONGEST_WARM_UP_S,
    SILENT_WINDOW_S,
    WARM_RESPONSES,
    WarmUp,
)

TICK_S = 0.1


def job(window_s: float = 0.5, load: Closed | Open | None = None) -> LoadJob:
    kind = RequestKind("k", (Request("GET", "/"),))
    return LoadJob(host="h", port=1, kinds=(kind,), load=load or Closed(64), duration_s=window_s, drain_s=MOST_DRAIN_S)


def seen(rate: float, response_s: float, seconds: float = 12.0) -> list[Progress]:
    """What a steady rate of answers looks like, each after the same time."""
    return [
        Progress(
            tick * TICK_S, int(rate * max(0.0, at - response_s)), 0, 64, 0, response_s if at > response_s else None
        )
        for tick in range(1, round(seconds / TICK_S) + 1)
        if (at := tick * TICK_S)
    ]


def warmed(rate: float, users: int, fit: bool = True) -> tuple[WarmUp, float]:
    """A warm-up that saw users answered at a rate, and when it ended."""
    warm_up = WarmUp(1.0, LONGEST_WARM_UP_S, fit)
    for progress in seen(rate, users / rate):
        if warm_up.steady(progress._replace(under_way=users)):
            return warm_up, progress.at
    return warm_up, warm_up.longest_s


@given(rate=st.floats(5, 20_000), users=st.integers(1, 500))
def test_it_lasts_two_response_times_and_no_longer_than_its_time_where_those_are_short(rate: float, users: int) -> None:
    assume(users / rate < LONGEST_RESPONSE_S)
    at = warmed(rate, users)[1]
    assert min(WARM_RESPONSES * users / rate, LONGEST_WARM_UP_S) <= at + 1e-9
    assert at <= max(1.0, WARM_RESPONSES * users / rate + 2 * TICK_S) + TICK_S


@given(rate=st.floats(1, 20_000), users=st.integers(1, 500), window_s=st.floats(0.1, 30))
def test_a_window_holds_three_response_times_and_ten_answers_up_to_the_longest(
    rate: float, users: int, window_s: float
) -> None:
    assume(users / rate < LONGEST_RESPONSE_S)
    pace = warmed(rate, users)[0].pace(job(window_s))
    assert window_s <= pace.window_s <= max(window_s, LONGEST_FITTED_S)
    if pace.window_s < LONGEST_FITTED_S:
        assert pace.window_s >= WHOLE_RESPONSES * users / rate * 0.99
        assert pace.window_s * rate >= LEAST_ANSWERS * 0.99
    assert pace.drain_s in (0.0, MOST_DRAIN_S)


@given(rate=st.floats(1, 20_000), users=st.integers(1, 500))
def test_a_window_that_somebody_fixed_stays_as_it_is(rate: float, users: int) -> None:
    assert warmed(rate, users, fit=False)[0].pace(job(0.3)).window_s == 0.3


def test_answers_of_users_that_outlast_the_drain_are_not_waited_for() -> None:
    assert warmed(10, 64)[0].pace(job()).drain_s == 0.0  # 6.4 s each
    assert warmed(20, 64)[0].pace(job()).drain_s == MOST_DRAIN_S
    assert warmed(10, 64)[0].pace(job(load=Open(5))).drain_s == MOST_DRAIN_S


def test_response_times_that_no_window_holds_are_not_waited_for() -> None:
    """A loop that waits block answers 64 users at 10/s: 6.4 s each, in an even stream."""
    warm_up = WarmUp(1.0, LONGEST_WARM_UP_S, fit_window=True)
    first = next(
        at for tick in range(1, 100) if warm_up.steady(Progress(at := tick * TICK_S, tick, 0, 64, 0, response_s=at))
    )
    assert first == pytest.approx(LONGEST_RESPONSE_S, abs=2 * TICK_S)
    pace = warm_up.pace(job())
    assert pace.window_s == pytest.approx(LEAST_ANSWERS / 10 * 1.1)
    assert pace.drain_s == 0.0


def test_without_any_answer_it_lasts_to_the_end_and_the_window_is_short() -> None:
    warm_up = WarmUp(1.0, LONGEST_WARM_UP_S, fit_window=True)
    assert not any(warm_up.steady(Progress(tick * TICK_S, 0, 0, 64, 0)) for tick in range(1, 100))
    assert warm_up.pace(job()).window_s == SILENT_WINDOW_S
    assert WarmUp(1.0, 1.0, fit_window=False).pace(job()).window_s == 0.5


@given(rate=st.floats(200, 20_000))
def test_a_steady_rate_is_seen_soon(rate: float) -> None:
    assume(rate > 64)
    assert warmed(rate, 64)[1] <= max(0.6, WARM_RESPONSES * 64 / rate + 3 * TICK_S) + TICK_S


def test_a_rate_that_still_grows_is_not_steady_before_its_time() -> None:
    warm_up = WarmUp(math.inf, math.inf, fit_window=True)
    doubling = [Progress(tick * TICK_S, 100 * 2**tick, 0, 8, 0, 0.001) for tick in range(1, 12)]
    assert not any(warm_up.steady(progress) for progress in doubling)
    assert all(one.ended < other.ended for one, other in pairwise(doubling))
    on_time = WarmUp(0.7, 0.7, fit_window=True)
    assert [on_time.steady(progress) for progress in doubling].index(True) == 6


def test_one_slow_answer_among_the_latest_is_believed() -> None:
    quick = seen(1000, 0.01, seconds=1)
    warm_up = WarmUp(1.0, LONGEST_WARM_UP_S, fit_window=True)
    assert not any(warm_up.steady(progress._replace(response_s=0.9)) for progress in quick)
    assert warm_up.pace(job()).window_s == pytest.approx(WHOLE_RESPONSES * 0.9 * 1.1)
