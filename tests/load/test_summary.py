"""The definitions: what is counted, what a percentile needs, and windows that cut through rounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.http import Request
from stackmatrix.load.generator import LoadRun
from stackmatrix.load.job import Closed, LoadJob, Open, RequestKind
from stackmatrix.load.latency import BEYOND, supported
from stackmatrix.load.recorder import NEVER, Ending
from stackmatrix.load.records import ROW, Records
from stackmatrix.load.summary import Summary, percentile, summarise


def rows(*requests: tuple[float, float, Ending]) -> Records:
    """Records from (scheduled, end, verdict)."""
    records = np.zeros(len(requests), ROW)
    for name, column in zip(("scheduled", "end", "verdict"), zip(*requests, strict=True), strict=True):
        records[name] = column
    records["sent"] = records["scheduled"] + 0.001
    return records


def summary(records: Records, load: Closed | Open, start: float = 10.0, end: float = 20.0) -> Summary:
    """The summary of such a window."""
    kind = RequestKind("k", (Request("GET", "/"),))
    plan = LoadJob(host="h", port=1, kinds=(kind,), load=load, duration_s=end - start)
    nothing = {"connections": 1, "peak": 1, "refused": 0, "strays": 0, "queue_max": 0, "shards": 1}
    return summarise(
        LoadRun(
            job=plan,
            records=records,
            began=0.0,
            start=start,
            end=end,
            given_up=end,
            cpu_s=0.001,
            busiest=0.1,
            lifetime_cpu_s=0.2,
            interrupted=False,
            **nothing,
        )
    )


@pytest.mark.parametrize(("percent", "least"), [(50, 20), (90, 100), (95, 200), (99, 1000), (99.9, 10_000)])
def test_a_percentile_needs_records_beyond_it(percent: float, least: int) -> None:
    assert supported(least, percent)
    assert not supported(least - 1, percent)
    assert percentile(np.zeros(least - 1), percent) is None


@given(st.lists(st.floats(0, 1e3), min_size=20, max_size=400), st.sampled_from([50, 90, 95]))
def test_a_percentile_is_the_nearest_rank(values: list[float], percent: float) -> None:
    found = percentile(np.sort(values), percent)
    if found is None:
        assert len(values) * (100 - percent) / 100 < BEYOND
    else:
        assert sum(value <= found for value in values) >= len(values) * percent / 100 - 1e-9
        assert sum(value < found for value in values) < len(values) * percent / 100


def test_a_closed_loop_counts_what_ended_in_the_window() -> None:
    records = rows((9, 10, Ending.OK), (9, 9.9, Ending.OK), (19, 20, Ending.OK), (15, 16, Ending.BODY))
    found = summary(records, Closed(1))
    assert (found.n, found.rps, found.errors, found.under_way) == (1, 0.1, {"body": 1}, 1)
    assert found.latency.mean == pytest.approx(1000)


def test_an_open_loop_counts_what_was_due_in_the_window_however_late_it_ended() -> None:
    records = rows((9, 12, Ending.OK), (19, 25, Ending.OK), (12, NEVER, Ending.UNFINISHED))
    found = summary(records, Open(1))
    assert (found.n, found.rps, found.errors, found.under_way) == (1, 0.1, {"unfinished": 1}, 2)
    assert found.latency.max == pytest.approx(6000)
    assert found.offered_rps == pytest.approx(0.2)


@given(st.floats(0.3, 3.0), st.floats(0, 1), st.integers(1, 20))
def test_users_in_step_are_counted_rightly_whatever_the_window_cuts_through(
    service: float, phase: float, users: int
) -> None:
    begins = np.arange(-1, 30 / service) * service + phase
    records = rows(*((at, at + service, Ending.OK) for at in begins for _ in range(users)))
    found = summary(records, Closed(users))
    assert found.rps == pytest.approx(users / service, rel=1e-6)
    assert found.answers == pytest.approx(10 * users / service, rel=1e-6)
    assert found.cpu_us_per_request == pytest.approx(1000 / found.answers, rel=1e-6)  # the same count


@given(st.floats(0.3, 3.0), st.integers(1, 20))
def test_ends_are_counted_where_a_drain_was_cut(service: float, users: int) -> None:
    begins = np.arange(0, 20 / service - 1) * service
    whole = rows(*((at, at + service, Ending.OK) for at in begins for _ in range(users)))
    cut = rows(*((19.9, NEVER, Ending.UNFINISHED) for _ in range(users)))
    found = summary(np.concatenate([whole, cut]), Closed(users))
    ended = users * int(((begins + service >= 10) & (begins + service < 20)).sum())
    assert found.answers == ended
    assert found.rps == pytest.approx(ended / 10)


def test_nothing_in_the_window_is_none_and_not_zero() -> None:
    found = summary(rows((1, 2, Ending.OK)), Closed(1))
    assert (found.n, found.rps) == (0, 0)
    assert found.latency.mean is found.latency.max is found.little is found.cpu_us_per_request is None


def test_littles_law() -> None:
    records = rows(*((10 + i, 11 + i, Ending.OK) for i in range(-1, 10) for _ in range(4)))
    assert summary(records, Closed(4)).little == pytest.approx(1)
    assert summary(records, Closed(64)).little == pytest.approx(4 / 64)  # sixty are not being served
    assert summary(records, Open(4)).little is None


@given(st.floats(0.3, 3.0), st.floats(0.1, 2.0), st.floats(0, 1), st.integers(1, 20))
def test_users_in_step_who_think_are_counted_by_their_cycles(
    service: float, think: float, phase: float, users: int
) -> None:
    """150 users who think 150 ms after answers of 1 s are 130/s, whatever a window of 6 s cuts through."""
    cycle = service + think
    begins = np.arange(-1, 30 / cycle) * cycle + phase
    found = summary(rows(*((at, at + service, Ending.OK) for at in begins for _ in range(users))), Closed(users, think))
    assert found.rps == pytest.approx(users / cycle, rel=1e-6)
    if found.little is not None:
        assert found.little == pytest.approx(1, rel=1e-6)
