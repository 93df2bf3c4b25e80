"""The gate on stalls: no honest stream is stopped by it, whatever its load and speed, and one that stood still is."""

import heapq
import itertools
import math
import random
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.analysis.validity import stalls
from stackmatrix.http import Request
from stackmatrix.load.generator import LoadRun
from stackmatrix.load.job import Closed, LoadJob, Open, RequestKind
from stackmatrix.load.records import ROW, Records
from stackmatrix.load.summary import LEAST_GAPS, longest_gaps

from ..made_trials import made

BEGAN, WINDOW_S = 2.0, 4.0
Freeze = tuple[float, float]
NEVER = (math.inf, 0.0)


def served(load: Closed | Open, slots: int, took_s: float, seed: int, freeze: Freeze = NEVER) -> list[Freeze]:
    """Spans of the requests that a first-come server with `slots` answers; it stands still from, and for so long."""
    draw = random.Random(seed)
    at, length = freeze
    free, spans = [0.0] * slots, list[Freeze]()
    due = [0.0] * load.users if isinstance(load, Closed) else list(arrivals(load, draw))
    while due:
        scheduled = heapq.heappop(due)
        began = max(scheduled, heapq.heappop(free))
        began = at + length if at <= began < at + length else began
        end = began + took_s * min(3.0, max(0.5, draw.lognormvariate(0, 0.3)))
        end += length if began < at <= end else 0.0
        heapq.heappush(free, end)
        spans.append((scheduled, end))
        if isinstance(load, Closed) and end < BEGAN + WINDOW_S:
            heapq.heappush(due, end + load.think_s)
    return spans


def arrivals(load: Open, draw: random.Random) -> list[float]:
    """The instants at which a Poisson load is due."""
    gaps = (draw.expovariate(load.rate) for _ in itertools.count())
    return list(itertools.takewhile(lambda at: at < BEGAN + WINDOW_S, itertools.accumulate(gaps)))


def outcome_of(load: Closed | Open, spans: list[Freeze], window_s: float = WINDOW_S) -> LoadRun:
    """What the generator hands back."""
    records = np.zeros(len(spans), ROW)
    records["scheduled"], records["end"] = zip(*spans, strict=True)
    kinds = (RequestKind("any", (Request("GET", "/"),)),)
    job = LoadJob(host="h", port=1, kinds=kinds, load=load, warmup_s=BEGAN, duration_s=window_s)
    end, last = BEGAN + window_s, max(end for _, end in spans)
    return LoadRun(
        job, cast(Records, records), 0.0, BEGAN, end, last, 0.0, 0.0, 0.0, 1, 1, 0, 0, 0, 1, interrupted=False
    )


def stalled(load: Closed | Open, spans: list[Freeze], window_s: float = WINDOW_S) -> bool:
    """Whether the gate stops it."""
    gaps = longest_gaps(outcome_of(load, spans, window_s))
    return bool(list(stalls(made(window_s=window_s, gaps_s=gaps))))


def closed(*think_s: float) -> st.SearchStrategy[Closed]:
    """Closed loops of up to 64 users."""
    return st.builds(Closed, st.integers(1, 64), st.sampled_from(think_s))


@given(
    load=closed(0.0, 0.2) | st.builds(Open, st.floats(1, 300)),
    slots=st.integers(1, 64),
    took_s=st.sampled_from([0.002, 0.02, 0.1, 0.4, 1.0]),
    window_s=st.sampled_from([0.4, 1.0, WINDOW_S]),
    seed=st.integers(0, 2**32),
)
def test_no_honest_stream_stalls(load: Closed | Open, slots: int, took_s: float, window_s: float, seed: int) -> None:
    spans = served(load, slots, took_s, seed)
    if any(end >= BEGAN for _, end in spans):
        assert not stalled(load, spans, window_s)


@given(
    load=closed(0.0, 0.05) | st.builds(Open, st.floats(20, 300)),
    slots=st.integers(1, 64),
    took_s=st.sampled_from([0.002, 0.02, 0.1]),
    at=st.floats(BEGAN, BEGAN + WINDOW_S - 2.0),
    seed=st.integers(0, 2**32),
)
def test_a_window_of_4_s_that_stood_still_for_2_s_does(
    load: Closed | Open, slots: int, took_s: float, at: float, seed: int
) -> None:
    assert stalled(load, served(load, slots, took_s, seed, (at, 2.0)))


@pytest.mark.parametrize(
    ("gaps_s", "window_s", "stops"),
    [
        ((0.25, 0.01), 1.0, False),
        ((0.26, 0.01), 1.0, True),
        ((0.4, 0.01), 4.0, False),
        ((0.41, 0.01), 4.0, True),
        ((1.2, 0.3), 4.0, False),
        ((1.21, 0.3), 4.0, True),
        (None, 4.0, False),
    ],
)
def test_the_gate_closes_just_above_its_thresholds(
    gaps_s: tuple[float, float] | None, window_s: float, stops: bool
) -> None:
    assert [reason.kind for reason in stalls(made(gaps_s=gaps_s, window_s=window_s))] == ["stall"] * stops


def test_a_stall_is_told_with_what_is_usual() -> None:
    (reason,) = stalls(made(gaps_s=(2.01, 0.0123), window_s=4.0))
    assert reason.detail == (
        "no answer came for 2.01 s of the window of 4.00 s, and otherwise never for longer than 12.3 ms"
    )


def test_time_in_which_nobody_waits_is_no_gap() -> None:
    spans = [(BEGAN + at, BEGAN + at + 0.01) for at in (*np.arange(0.0, 1.0, 0.05), *np.arange(3.0, 4.0, 0.05))]
    assert longest_gaps(outcome_of(Open(10), spans)) == pytest.approx((0.01, 0.01))


def test_few_answers_tell_nothing() -> None:
    spans = [(BEGAN + at / 10, BEGAN + at / 10 + 0.05) for at in range(LEAST_GAPS + 1)]
    assert longest_gaps(outcome_of(Open(10), spans)) == pytest.approx((0.05, 0.05))
    assert longest_gaps(outcome_of(Open(10), spans[1:])) is None
