"""The gates: what each lets through and what it stops, on trials that are made up."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.analysis import validity
from stackmatrix.load.latency import Latency
from stackmatrix.results.plan import Load
from stackmatrix.results.reasons import REMEDIES, ReasonKind
from stackmatrix.results.trial import Errors, Failure, LedgerLine

from ..made_trials import altered, made

CLOSED = Load("closed", users=64)
OPEN = Load("open", rate=500.0, arrivals="poisson")
GOOD = made(
    window_s=1.0,
    offered=1000,
    answered=1000,
    goodput=1000.0,
    little=1.0,
    halves=(990.0, 1010.0),
    latency_ms=Latency(p50=10.0),
    connections=64,
    right=1500,
    generator_share=0.3,
    drift_p99_ms=0.2,
    foreign_share=0.05,
    ledger=[LedgerLine("new rows", 1500, 1500), LedgerLine("SQL statements", 1500, None)],
)


def kinds(load: Load = CLOSED, **changed: Any) -> list[ReasonKind]:
    """The kinds of reasons against a good trial that was changed."""
    return [reason.kind for reason in validity.gate_reasons(altered(GOOD, **changed), load)]


def test_a_good_trial_passes() -> None:
    assert kinds() == []
    assert kinds(OPEN, offered=500) == []


def test_a_window_that_somebody_published_may_be_short() -> None:
    slow = altered(GOOD, latency_ms=Latency(mean=900.0))
    assert validity.gate_reasons(slow, CLOSED, fitted=False) == []
    assert validity.gate_reasons(slow, replace(CLOSED, tool="wrk")) == []
    (reason,) = validity.gate_reasons(slow, CLOSED)
    assert reason.detail == "a window of 1.0 s holds 1.1 response times, not 3"


def test_every_kind_has_a_remedy() -> None:
    assert set(REMEDIES) == set(get_args(ReasonKind))


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("errors", {"errors": Errors(status=1)}),
        ("errors", {"errors_outside": Errors(closed=1)}),
        ("unfinished", {"answered": 0}),
        ("stuck", {"stuck": 1}),
        ("reconnects", {"reconnects": 1}),
        ("ledger", {"ledger": [LedgerLine("new rows", 1500, 1499)]}),
        ("ledger", {"ledger": [LedgerLine("new rows", 1500, 1504, slack=3)]}),
        ("unsteady", {"halves": (400.0, 1600.0)}),
        ("unsteady", {"halves": (1600.0, 0.0)}),
        ("restart", {"started_processes": 1}),
        ("restart", {"ended_processes": 1}),
        ("throttled", {"throttled": {"postgres": 3}}),
        ("oom", {"oom_kills": {"fastapi-sync": 1}}),
        ("little", {"little": 0.8}),
        ("generator", {"generator_share": 0.71}),
        ("neighbour", {"foreign_share": 0.26}),
        ("steal", {"steal_share": 0.021}),
        ("short", {"latency_ms": Latency(mean=345.0)}),
        ("early", {"early": 1}),
        ("early", {"first_byte_p50_ms": 4.9}),
        ("ledger", {"ledger": [LedgerLine("bytes from Nginx", 9900, 9899, at_least=True)]}),
    ],
)
def test_a_bad_trial_is_stopped_by_its_gate_alone(kind: str, changed: Mapping[str, Any]) -> None:
    assert kinds(**changed) == [kind]


@pytest.mark.parametrize(
    "changed",
    [
        {"ledger": [LedgerLine("new rows", 1500, 1503, slack=3)]},
        {"halves": None},
        {"halves": (700.0, 1300.0)},
        {"halves": (2.0, 8.0), "answered": 5},
        {"generator_share": 0.70},
        {"foreign_share": None},
        {"little": 0.8, "answered": 200},
        {"connections_per_worker": [40, 24]},
        {"latency_ms": Latency(mean=6400.0), "even": True},
        {"first_byte_p50_ms": 5.0},
        {"first_byte_p50_ms": 0.4, "bytes": 4097 * 1000},  # a body that takes time to send
        {"first_byte_p50_ms": 1.0, "latency_ms": Latency(p50=2.0)},
        {"first_byte_p50_ms": 2.0, "latency_ms": Latency(p50=42.0)},  # TCP's own delay
        {"ledger": [LedgerLine("bytes from Nginx", 9900, 10**9, at_least=True)]},
    ],
)
def test_what_is_no_fault_passes(changed: Mapping[str, Any]) -> None:
    assert kinds(**changed) == []


def test_a_rate_near_what_the_generator_can_do_is_not_the_stack_s() -> None:
    fast = altered(GOOD, goodput=29_000.0, halves=None, generator_share=0.5)
    assert not validity.gate_reasons(fast, CLOSED, generator_rps=60_000.0)
    (reason,) = validity.gate_reasons(fast, CLOSED, generator_rps=40_000.0)
    assert reason.kind == "generator"
    assert "72 % of what the generator can do here" in reason.detail
    by_tool = replace(CLOSED, tool="wrk")  # whose own limit nobody has measured
    assert not validity.gate_reasons(fast, by_tool, generator_rps=40_000.0)


def test_an_early_answer_is_told_with_its_figures() -> None:
    (reason,) = validity.gate_reasons(altered(GOOD, early=412, right=4000, fastest_ms=50.12), CLOSED)
    assert reason.detail == "412 of 4000 answers began before their wait was over, the first after 50.1 ms"
    (reason,) = validity.gate_reasons(altered(GOOD, first_byte_p50_ms=0.4), CLOSED)
    assert reason.detail == "half the answers began after 0.4 ms and ended after 10.0 ms: the head came alone"


def test_each_kind_of_failure_is_a_reason_of_its_own() -> None:
    failures = [Failure("status", 503, 24, "w", 5004.0), Failure("status", 500, 2, "w", 12.0)]
    late = [Failure("status", 504, 1, "w", 65_000.0)]
    trial = altered(
        GOOD, errors=Errors(status=26), failures=failures, errors_outside=Errors(status=1), failures_outside=late
    )
    assert [reason.detail for reason in validity.gate_reasons(trial, CLOSED, settings={"http_timeout": 65})] == [
        "24 of 1000 requests failed with status 503 after 5.00 s: the wait for a database connection",
        "2 of 1000 requests failed with status 500 after 12.0 ms",
        "1 of the requests before or after the window failed with status 504 after 65.0 s: "
        "the wait for an upstream (HTTP_TIMEOUT=65)",
    ]
    (reason,) = validity.gate_reasons(altered(GOOD, errors=Errors(status=3, closed=1)), CLOSED)
    assert reason.detail == "4 of 1000 requests failed: 3 status, 1 closed"  # of a tool that only counts


def test_a_stack_that_was_not_ready_is_unsteady() -> None:
    late: dict[str, Any] = {"warmup_s": 2.0, "first_answer_s": 2.4, "latency_ms": Latency(p50=100.0)}
    assert kinds(**late) == ["unsteady"]
    assert kinds(**late | {"first_answer_s": 0.4}) == []
    assert kinds(**late | {"latency_ms": Latency(p50=1200.0)}) == []  # it answers as slowly as it began


def test_an_open_load_must_leave_when_it_is_due() -> None:
    assert kinds(OPEN, offered=500, drift_p99_ms=6.0) == ["drift"]
    assert kinds(OPEN, offered=500, drift_p99_ms=6.0, latency_ms=Latency(p50=200.0)) == []
    assert kinds(OPEN, offered=400) == ["drift"]


P50_100 = Latency(p50=100.0)


@pytest.mark.parametrize(
    ("kind", "still_passes", "just_stopped"),
    [
        ("generator", {"generator_share": 0.70}, {"generator_share": 0.7001}),
        ("neighbour", {"foreign_share": 0.25}, {"foreign_share": 0.2501}),
        ("steal", {"steal_share": 0.02}, {"steal_share": 0.0201}),
        ("short", {"latency_ms": Latency(mean=338.9)}, {"latency_ms": Latency(mean=339.1)}),  # 2.95 rounds
        ("little", {"answered": 6400, "little": 1.0299}, {"answered": 6400, "little": 1.0301}),
        ("little", {"answered": 6400, "little": 0.9701}, {"answered": 6400, "little": 0.9699}),
        ("little", {"answered": 1024, "little": 1.125}, {"answered": 1024, "little": 1.1251}),  # 2 ÷ 16 rounds
        ("little", {"answered": 639, "little": 0.75}, {"answered": 640, "little": 0.75}),  # ten rounds say enough
        ("unsteady", {"halves": (400.0, 800.0)}, {"halves": (400.0, 802.0)}),  # twice as much
        ("unsteady", {"halves": (18.0, 54.0)}, {"halves": (18.0, 56.0)}),  # 3 sigmas of 36 requests: 18
        (
            "unsteady",
            {"warmup_s": 2.0, "first_answer_s": 2.0, "latency_ms": P50_100},
            {"warmup_s": 2.0, "first_answer_s": 2.01, "latency_ms": P50_100},
        ),
        (
            "unsteady",
            {"warmup_s": 9.0, "first_answer_s": 3.0, "latency_ms": Latency(p50=300.0)},
            {"warmup_s": 9.0, "first_answer_s": 3.01, "latency_ms": Latency(p50=300.0)},
        ),
        (
            "early",  # the body fits one segment or takes time to send
            {"first_byte_p50_ms": 0.4, "bytes": 4096 * 1000 + 1},
            {"first_byte_p50_ms": 0.4, "bytes": 4096 * 1000},
        ),
    ],
)
def test_a_gate_of_a_closed_load_closes_just_above_its_threshold(
    kind: str, still_passes: Mapping[str, Any], just_stopped: Mapping[str, Any]
) -> None:
    assert kinds(**still_passes) == []
    assert kinds(**just_stopped) == [kind]


@pytest.mark.parametrize(
    ("rate", "still_passes", "just_stopped"),
    [
        (500, {"drift_p99_ms": 5.0}, {"drift_p99_ms": 5.01}),
        (500, {"drift_p99_ms": 10.0, "latency_ms": Latency(p50=200.0)},
         {"drift_p99_ms": 10.1, "latency_ms": Latency(p50=200.0)}),
        (400, {"offered": 336}, {"offered": 335}),  # 99 % of 400, and three sigmas of 20 less
        (101, {"offered": 70}, {"offered": 69}),
    ],
)  # fmt: skip
def test_a_gate_of_an_open_load_closes_just_above_its_threshold(
    rate: float, still_passes: Mapping[str, Any], just_stopped: Mapping[str, Any]
) -> None:
    load = replace(OPEN, rate=float(rate))
    assert kinds(load, **{"offered": rate, **still_passes}) == []
    assert kinds(load, **{"offered": rate, **just_stopped}) == ["drift"]


def test_of_a_hundred_requests_due_too_many_may_be_missing_by_chance() -> None:
    assert kinds(replace(OPEN, rate=100.0), offered=1) == []


def test_a_rate_at_the_generator_s_limit_passes_and_the_next_does_not() -> None:
    for goodput, stopped in ((700.0, False), (700.1, True)):
        trial = altered(GOOD, goodput=goodput, generator_share=None)
        assert bool(validity.gate_reasons(trial, CLOSED, generator_rps=1000.0)) is stopped


def test_figures_that_were_not_measured_stop_nothing() -> None:
    assert kinds(little=None, generator_share=None, foreign_share=None, drift_p99_ms=None, latency_ms=Latency()) == []
    assert kinds(OPEN, offered=500, drift_p99_ms=None, latency_ms=Latency()) == []
    assert kinds(first_answer_s=9.0, latency_ms=Latency()) == []


@given(rate=st.floats(1, 1e5), window=st.floats(0.5, 10), data=st.data())
def test_the_halves_of_a_steady_stack_are_never_called_unsteady(
    rate: float, window: float, data: st.DataObject
) -> None:
    mean = rate * window / 2
    spread = 2 * mean**0.5  # of a Poisson count, two sigma to either side
    halves = tuple(max(0.0, data.draw(st.floats(mean - spread, mean + spread))) * 2 / window for _ in range(2))
    assert "unsteady" not in kinds(halves=halves, window_s=window)
