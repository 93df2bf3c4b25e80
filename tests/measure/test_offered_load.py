"""How a trial's window is fitted to what its warm-up saw: pure functions of what the generator told."""

from itertools import pairwise
from typing import cast

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stackmatrix.http import Request
from stackmatrix.load.generator import Progress
from stackmatrix.load.job import MOST_DRAIN_S, Closed, LoadJob, RequestKind
from stackmatrix.load.recorder import Ending
from stackmatrix.load.records import ROW, Records
from stackmatrix.measure.offered_load import FIT_MARGIN, LEAST_ANSWERS, LONGEST_FITTED_S, WarmUpWatch, stuck

TICK_S = 0.1


def plan(window_s: float = 0.5, drain_s: float = MOST_DRAIN_S) -> LoadJob:
    kind = RequestKind("k", (Request("GET", "/"),))
    return LoadJob(host="h", port=1, kinds=(kind,), load=Closed(64), duration_s=window_s, drain_s=drain_s)


def seen(rate: float, seconds: float = 2.0) -> list[Progress]:
    """What a steady rate of answers looks like."""
    return [
        Progress(at=tick * TICK_S, ended=int(rate * tick * TICK_S), failed=0, under_way=64, queued=0)
        for tick in range(1, round(seconds / TICK_S) + 1)
    ]


def watched(warm_up: WarmUpWatch, rate: float) -> WarmUpWatch:
    for progress in seen(rate):
        warm_up.steady(progress)
    return warm_up


@given(rate=st.floats(1, 20_000), users=st.integers(1, 500), slots=st.none() | st.integers(1, 100))
def test_a_window_is_never_shorter_than_asked_nor_longer_than_the_most(
    rate: float, users: int, slots: int | None
) -> None:
    pace = watched(WarmUpWatch(users, slots), rate).pace(plan(0.5))
    assert 0.5 <= pace.window_s <= MOST_DRAIN_S
    assert pace.drain_s in (0.0, MOST_DRAIN_S)


@given(rate=st.floats(10, 20_000), users=st.integers(1, 500))
def test_a_window_holds_a_whole_response_time_where_nothing_orders_the_answers(rate: float, users: int) -> None:
    warm_up = watched(WarmUpWatch(users, None), rate)
    ended = int(rate * 2.0)
    response = users * 2.0 / ended
    assume(response * FIT_MARGIN < LONGEST_FITTED_S)
    pace = warm_up.pace(plan(0.1))
    assert pace.window_s >= response
    assert pace.window_s * ended / 2.0 >= LEAST_ANSWERS * 0.999
    assert pace.drain_s == MOST_DRAIN_S


def test_what_outlasts_the_drain_is_not_waited_for() -> None:
    blocked = watched(WarmUpWatch(64, slots=1), rate=10).pace(plan())
    assert blocked.drain_s == 0.0  # 64 users at 10/s: 6.4 s each
    assert blocked.window_s == pytest.approx(0.5)  # not a whole response time: one slot answers in an even stream


def test_without_any_answer_the_window_is_the_longest() -> None:
    assert WarmUpWatch(64, None).pace(plan()).window_s == MOST_DRAIN_S


@given(rate=st.floats(200, 20_000))
def test_a_steady_rate_is_seen_soon(rate: float) -> None:
    warm_up = WarmUpWatch(64, None)
    verdicts = [warm_up.steady(progress) for progress in seen(rate)]
    first = verdicts.index(True)
    assert seen(rate)[first].ended >= 64
    assert first <= max(5, 64 / rate / TICK_S + 1)


def test_a_rate_that_still_grows_is_not_steady() -> None:
    warm_up = WarmUpWatch(8, None)
    doubling = [Progress(tick * TICK_S, 100 * 2**tick, 0, 8, 0) for tick in range(1, 12)]
    assert not any(warm_up.steady(progress) for progress in doubling)
    assert all(one.ended < other.ended for one, other in pairwise(doubling))


def rows(*spans: tuple[float, float, Ending]) -> Records:
    """Records of requests that were sent and ended so."""
    records = np.zeros(len(spans), ROW)
    for row, (sent, end, verdict) in zip(records, spans, strict=True):
        row["scheduled"], row["sent"], row["end"], row["verdict"] = sent, sent, end, verdict
    return cast(Records, records)


NEVER = float("nan")


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0.0, 0.01, Ending.OK), (2.0, NEVER, Ending.UNFINISHED)], 1),
        ([(0.0, 2.0, Ending.OK), (1.0, NEVER, Ending.UNFINISHED)], 0),
        ([(0.0, 0.01, Ending.OK), (NEVER, NEVER, Ending.UNFINISHED)], 0),
        ([(0.0, NEVER, Ending.UNFINISHED)], 0),
        ([], 0),
    ],
    ids=["one hangs", "all are slow", "one was never sent", "none was answered", "no request"],
)
def test_a_request_is_stuck_when_it_waits_far_longer_than_any_answer_took(
    spans: list[tuple[float, float, Ending]], expected: int
) -> None:
    assert stuck(rows(*spans), given_up=4.0) == expected
