"""What a trial's client says of a load."""

from typing import cast

import numpy as np
import pytest

from stackmatrix.http import Request
from stackmatrix.load.job import RequestKind
from stackmatrix.load.recorder import Ending
from stackmatrix.load.records import ROW, Floats, Records
from stackmatrix.measure.offered_load import even, failed_alike, least_s, stuck
from stackmatrix.results.trial import Failure


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


@pytest.mark.parametrize(("wait_s", "least"), [(0.1, 0.099), (1.0, 0.99), (0.05, 0.049), (0.007, 0.006)])
def test_timers_may_ring_a_little_early(wait_s: float, least: float) -> None:
    assert least_s(wait_s) == pytest.approx(least)
    assert least_s(0.0) < 0


@pytest.mark.parametrize(
    ("ends", "is_even"),
    [
        (np.arange(0.05, 1.0, 0.1), True),  # ten answers, one each 100 ms
        (np.arange(0.05, 0.9, 0.1), False),  # nine
        (np.repeat([0.3, 0.6, 0.9], 20), False),  # users in step
        (np.append(np.arange(0.05, 0.75, 0.05), 0.99), False),  # a pause
        (np.array([]), False),
    ],
)
def test_an_even_stream_has_enough_answers_and_no_long_gap(ends: Floats, is_even: bool) -> None:
    assert even(ends, 0.0, 1.0) is is_even


def test_failed_requests_are_grouped_by_ending_and_status_with_the_one_in_the_middle() -> None:
    ok, status, closed = Ending.OK, Ending.STATUS, Ending.CLOSED
    spans = [(1.0, 1.1, ok), (1.0, 1.3, status), (2.0, 7.0, status), (3.0, 8.1, status), (3.0, 3.5, status)]
    records = rows(*spans, (4.0, 4.2, closed), (5.0, NEVER, Ending.UNFINISHED), (NEVER, 9.0, Ending.CONNECT))
    records["status"] = [200, 500, 503, 503, 503, 0, 0, 0]
    records["kind"] = [0, 0, 0, 1, 0, 0, 0, 0]
    records["scheduled"] += -0.2  # they queued in the client before they were sent
    records["scheduled"][-1] = 8.0  # it never was
    read, write = (RequestKind(name, (Request("GET", "/"),)) for name in ("read", "write"))
    found = failed_alike(records, [read, write])
    assert found[0] == Failure("status", 503, 3, "read", 5000.0)
    rest = {(each.ending, each.status, each.count, round(each.after_ms)) for each in found[1:]}
    assert rest == {("status", 500, 1, 300), ("closed", 0, 1, 200), ("connect", 0, 1, 1000)}
    assert failed_alike(rows((1.0, 1.1, ok)), [read]) == []
