"""Numbers that cannot be: each certain term, at its edge and with its words."""

from dataclasses import replace

import pytest

from stackmatrix.analysis.model.ceiling import Demand
from stackmatrix.analysis.model.facts import CpuTimes, Facts, Pool
from stackmatrix.analysis.model.physics import beyond_physics
from stackmatrix.results.interval import Interval

SLEEP = Facts(
    arm="fastapi-sync",
    workload="sleep",
    demand=Demand(wait_s=0.1, cpu_s=0.0004, users=64, slots=40),
    waits_on="timer",
    least_s=0.1,
    pools=(Pool("threads", 40),),
    goodput=Interval(398.0, (396.0, 400.0)),
    cpu=CpuTimes(stack=400),
)


def kind(facts: Facts) -> str | None:
    found = beyond_physics(facts)
    return found.detail if found else None


@pytest.mark.parametrize(
    ("goodput", "impossible"),
    [
        (Interval(398.0, (396.0, 400.0)), False),
        (Interval(405.3, (403.9, 405.8)), False),  # a timer may ring 1 % early
        (Interval(405.3, (404.5, 405.8)), True),  # 40 threads × 100 ms allow 400
        (Interval(450.0, (390.0, 510.0)), False),  # the interval does not exclude it
        (Interval(464.0, None), False),  # one round may be off by 15 % more
        (Interval(465.0, None), True),
    ],
)
def test_slots_and_waits_allow_no_more(goodput: Interval, impossible: bool) -> None:
    words = kind(replace(SLEEP, goodput=goodput))
    assert (words is not None) is impossible
    if words:
        assert words.endswith("is beyond the 400/s that 40 threads and waits of 100 ms for the timer allow")


def test_half_of_the_wait_leads_no_table() -> None:
    loop = replace(SLEEP, demand=Demand(wait_s=0.1, cpu_s=0.0002, users=64), pools=(), goodput=Interval(1230.0))
    assert kind(loop) == "1\u202f230/s is beyond the 640/s that 64 users and waits of 100 ms for the timer allow"


def test_users_who_think_ask_for_less() -> None:
    thinks = replace(SLEEP, demand=Demand(wait_s=0.1, users=64, think_s=0.1), pools=(), goodput=Interval(372.0))
    assert kind(thinks) == "372/s is beyond the 320/s that 64 users and waits of 100 ms for the timer allow"
    assert kind(replace(thinks, goodput=Interval(371.0))) is None


def test_a_deal_of_connections_leaves_slots_empty() -> None:
    """98, 1, 1 and 0 of 100 connections: four workers hold 42 requests of 160."""
    demand = Demand(wait_s=1.0, users=100, workers=4, slots=160, users_per_worker=(98, 1, 1, 0))
    dealt = replace(SLEEP, demand=demand, least_s=1.0, goodput=Interval(44.0, (43.0, 45.0)))
    assert (kind(dealt) or "").startswith("44.0/s is beyond the 42.0/s that 160 threads")
    even = replace(demand, users_per_worker=(25, 25, 25, 25))
    assert kind(replace(dealt, demand=even, goodput=Interval(99.0))) is None


def test_arrivals_are_held_to_slots_alone() -> None:
    offered = replace(SLEEP, demand=Demand(wait_s=0.1, rate=500.0, slots=40), goodput=Interval(500.0))
    assert (kind(offered) or "").startswith("500/s is beyond the 400/s that 40 threads")
    assert kind(replace(offered, demand=Demand(wait_s=0.1, rate=500.0), pools=())) is None


def test_a_wait_that_nobody_states_bounds_nothing() -> None:
    assert kind(replace(SLEEP, least_s=None, goodput=Interval(9999.0), cpu=CpuTimes(), demand=None)) is None
    unknown = Demand(wait_s=0.0001, cpu_s=0.00001, users=64, slots=40)
    assert kind(replace(SLEEP, least_s=None, demand=unknown, goodput=Interval(9999.0))) is None


@pytest.mark.parametrize(("share", "impossible"), [(1.049, False), (1.051, True)])
def test_no_stack_uses_more_cpu_than_its_cores_have(share: float, impossible: bool) -> None:
    cpu = Demand(wait_s=0.0, cpu_s=0.001, users=64)
    busy = replace(SLEEP, least_s=None, pools=(), demand=cpu, goodput=Interval(share * 1000))
    words = kind(busy)
    assert (words is not None) is impossible
    if words:
        assert words == "more CPU time was metered than the stack's cores have: 105 %"
