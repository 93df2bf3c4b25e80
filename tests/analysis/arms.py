"""Arms as a run measures them, after METHOD's published tables; `arms()` draws any that there can be."""

from dataclasses import replace

from hypothesis import strategies as st

from stackmatrix.analysis.model.ceiling import Demand
from stackmatrix.analysis.model.facts import CpuTimes, Facts, Pool, rates
from stackmatrix.catalog.stacks import Wait
from stackmatrix.cores import Cores
from stackmatrix.results.explain import Phases
from stackmatrix.results.interval import Interval
from stackmatrix.results.reasons import Reason

TWO_CORES = Cores((0,), (1,), (1,))
FOUR_CORES = Cores((0,), (1,), (2, 3))
ONE_CORE = Cores((0,), (0,), (0,))


def goodput(value: float) -> Interval:
    """Known to 1 %."""
    return Interval(value, (0.99 * value, 1.01 * value))


def demand_of(facts: Facts) -> Demand:
    """What the model was told of an arm, which it must have been."""
    assert facts.demand is not None
    return facts.demand


THREADS = Facts(
    arm="fastapi-sync",
    workload="http",
    demand=Demand(wait_s=1.0, cpu_s=0.0012, users=500, slots=40),
    waits_on="upstream",
    pools=(Pool("threads", 40), Pool("http_pool", 1000)),
    goodput=goodput(39.6),
    response_s=12.6,
    cpu=CpuTimes(stack=1200, postgres=2, nginx=1, delay=60, generator=40),
    cores=TWO_CORES,
    generator_share=0.002,
    in_flight=40,
    counted_s=60,
    libraries=frozenset({"starlette", "anyio", "requests"}),
)
"""500 users, an upstream that takes 1 s: 40 AnyIO threads."""

LOOP = replace(
    THREADS,
    arm="fastapi-async",
    demand=Demand(wait_s=1.0, cpu_s=0.0004, users=500, slots=1000),
    pools=(Pool("http_pool", 1000),),
    goodput=goodput(492),
    response_s=1.016,
    cpu=CpuTimes(stack=400, postgres=2, nginx=1, delay=60, generator=40),
    in_flight=500,
    libraries=frozenset({"starlette", "asyncio", "aiohttp", "asyncpg"}),
)
"""The same on an event loop."""

HIDDEN = replace(LOOP, arm="fastapi-async[aiohttp]", goodput=goodput(97), response_s=5.15, in_flight=100)
"""The same with a client that nobody told that it may have more than 100 connections."""

PER_REQUEST = replace(
    LOOP,
    arm="fastapi-async[httpx-per-request]",
    demand=Demand(wait_s=1.0, cpu_s=0.018, users=500, slots=1000),
    goodput=goodput(53.2),
    response_s=9.4,
    cpu=CpuTimes(stack=18_000, delay=60, generator=40),
    libraries=frozenset({"starlette", "asyncio"}),
)
"""The same with a new client, 18 ms of CPU, for each request."""

BLOCKED = replace(
    THREADS,
    arm="fastapi-blocking",
    demand=Demand(wait_s=1.0, cpu_s=0.001, users=500, slots=1),
    pools=(Pool("loop", 1),),
    goodput=goodput(0.99),
    response_s=505,
    cpu=CpuTimes(stack=1000, delay=60, generator=40),
    in_flight=1,
    libraries=frozenset({"requests"}),
)
"""The same, called in a way that blocks the loop."""

SHORT = replace(
    THREADS,
    arm="fastapi-sync",
    workload="sleep",
    demand=Demand(wait_s=10.0, cpu_s=0.002, users=100, slots=40),
    waits_on="timer",
    pools=(Pool("threads", 40),),
    goodput=Interval(200 / 60),
    response_s=18.04,
    cpu=CpuTimes(stack=2000, generator=40),
    in_flight=None,
)
"""A 10 s sleep, 100 connections, 40 threads, in a window of 60 s that counts whole rounds: 3.33/s."""

JSON = Facts(
    arm="fastapi-async",
    workload="json-small",
    demand=Demand(wait_s=0.0, cpu_s=0.00041, users=64),
    goodput=goodput(2400),
    response_s=0.0267,
    cpu=CpuTimes(stack=410, generator=60),
    cores=TWO_CORES,
    generator_share=0.144,
)
"""Nothing but CPU."""

JSON_OTHER = replace(
    JSON,
    arm="flask-uwsgi-gevent",
    demand=Demand(wait_s=0.0, cpu_s=0.00053, users=64),
    goodput=goodput(1870),
    response_s=0.0342,
    cpu=CpuTimes(stack=530, generator=60),
    generator_share=0.112,
)

QUERY = Facts(
    arm="fastapi-async",
    workload="query",
    demand=Demand(wait_s=0.1, cpu_s=0.0006, users=64, slots=10),
    waits_on="database",
    pools=(Pool("db_pool", 10),),
    goodput=goodput(98.7),
    response_s=0.648,
    cpu=CpuTimes(stack=600, postgres=150, generator=60),
    cores=TWO_CORES,
    database_s=0.1003,
    libraries=frozenset({"asyncpg", "asyncio"}),
)
"""A query of 100 ms over 10 connections."""

_CROWD = CpuTimes(stack=30, postgres=110, generator=72)
CROWDED = Facts(
    arm="ready-bytes",
    workload="notes-read",
    demand=Demand(wait_s=0.00006, cpu_s=0.00003, users=64, slots=100, rates=rates(_CROWD, TWO_CORES)),
    waits_on="database",
    pools=(Pool("db_pool", 100),),
    goodput=goodput(5400),
    response_s=0.0119,
    cpu=_CROWD,
    cores=TWO_CORES,
    generator_share=0.39,
    database_s=0.00006,
)
"""A stack so quick that the core of PostgreSQL and generator is what ends it."""

OPEN = replace(
    THREADS,
    demand=Demand(wait_s=0.1, cpu_s=0.0012, rate=200.0, slots=40),
    goodput=goodput(200),
    response_s=0.109,
    in_flight=30,
)
"""200 arrivals per second, a wait of 100 ms."""

TURNED_AWAY = replace(JSON, goodput=goodput(150), response_s=0.42, turned_away=37)
"""Connections wait for a second to be asked for again."""

DELAYED_ACK = replace(
    JSON,
    demand=Demand(wait_s=0.0, cpu_s=0.0004, users=4),
    goodput=goodput(90),
    response_s=0.0442,
    cpu=CpuTimes(stack=400, generator=60),
    delayed_acks=0.98,
    writes=2.01,
)
"""Head and body in two segments, the second of which waits for the first one's acknowledgement."""

GENERATOR = replace(JSON, reasons=(Reason("generator", "the generator used 83% of its core"),))
VOID = replace(JSON, reasons=(Reason("errors", "3 of 900 requests failed: 3 status"), Reason("steal", "2.4%")))
EXPLAINED = replace(THREADS, phases=Phases(response_s=12.7, total_s=12.69, queue_s=11.6, gather_s=1.003, lag_s=0.009))
LOOP_EXPLAINED = replace(LOOP, phases=Phases(response_s=1.02, total_s=1.015, gather_s=1.01))
HIDDEN_EXPLAINED = replace(HIDDEN, phases=Phases(response_s=5.2, total_s=5.19, gather_s=5.18))
QUERY_EXPLAINED = replace(
    QUERY,
    phases=Phases(response_s=0.66, total_s=0.652, db_s=0.65, encode_s=0.0005, sessions_active=9.94, sessions_idle=0.06),
)
BLOCKED_EXPLAINED = replace(BLOCKED, phases=Phases(response_s=505.0, total_s=1.0015, gather_s=1.0008))
COUNTED = replace(
    CROWDED,
    arm="fastapi-async",
    demand=Demand(wait_s=0.00012, cpu_s=0.0004, users=64, slots=10),
    pools=(Pool("db_pool", 10),),
    goodput=goodput(1800),
    response_s=0.0355,
    cpu=CpuTimes(stack=400, postgres=110, generator=60),
    generator_share=0.11,
    wait_known=False,
    database_s=0.00012,
)
"""A note read: nobody states how long the database takes, and it says itself what it worked."""


def maybe(values: st.SearchStrategy[float]) -> st.SearchStrategy[float | None]:
    """Or not measured."""
    return st.none() | values


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    """What the model may be told."""
    workers = draw(st.integers(1, 4))
    users = draw(st.none() | st.integers(1, 60))
    wait_s = draw(st.just(0.0) | st.floats(1e-5, 20))
    return Demand(
        wait_s=wait_s,
        cpu_s=draw(st.floats(1e-6, 1) if wait_s == 0 else maybe(st.floats(1e-6, 1))),
        users=users,
        rate=draw(st.floats(0.1, 1e4)) if users is None else None,
        think_s=draw(st.sampled_from([0.0, 1.5])) if users else 0.0,
        slots=draw(st.none() | st.integers(1, 20).map(lambda each: each * workers)),
        workers=workers,
        cores=draw(st.sampled_from([1, 2, 4])),
        rates=draw(st.sampled_from([{}, {"generator": 20_000.0}, {"database": 300.0, "upstream": 5e4}])),
    )


@st.composite
def arms(draw: st.DrawFn) -> Facts:
    """Anything that a run may say of an arm, consistent or not."""
    us = maybe(st.just(0.0) | st.floats(0.01, 1e5))
    waits: st.SearchStrategy[Wait | None] = st.sampled_from([None, "timer", "database", "upstream"])
    names = st.sampled_from(["threads", "db_pool", "loop", "slots", "odd_pool"])
    pool = st.builds(Pool, names, st.integers(1, 60))
    demand = draw(st.none() | demands() | demands() | demands())
    stack = demand.cpu_s * 1e6 if demand and demand.cpu_s else None
    return Facts(
        arm=draw(st.sampled_from(["one", "other"])),
        workload="any",
        demand=demand,
        waits_on=draw(waits),
        wait_known=draw(st.booleans()),
        calls=draw(st.integers(1, 20)),
        pools=draw(st.lists(pool, max_size=2).map(tuple)),
        goodput=draw(st.none() | st.builds(goodput, st.just(0.0) | st.floats(1e-3, 1e5))),
        response_s=draw(maybe(st.floats(0, 1000))),
        cpu=CpuTimes(stack=stack, postgres=draw(us), nginx=draw(us), delay=draw(us), generator=draw(us)),
        cores=draw(st.sampled_from([None, TWO_CORES, FOUR_CORES, ONE_CORE])),
        generator_share=draw(maybe(st.floats(0, 1))),
        foreign_share=draw(maybe(st.floats(0, 1))),
        database_s=draw(maybe(st.floats(0, 10))),
        in_flight=draw(st.none() | st.integers(0, 5000)),
        turned_away=draw(st.integers(0, 9)),
        delayed_acks=draw(maybe(st.floats(0, 3))),
        writes=draw(maybe(st.floats(0, 30))),
        counted_s=draw(maybe(st.floats(0.5, 300))),
        phases=draw(st.none() | phases()),
        libraries=draw(st.sampled_from([frozenset(), frozenset({"aiohttp", "asyncpg", "anyio", "asyncio"})])),
        reasons=draw(st.sampled_from([(), (), (), GENERATOR.reasons, VOID.reasons])),
    )


def phases() -> st.SearchStrategy[Phases]:
    """Any explaining pass."""
    seconds = st.floats(0, 100)
    return st.builds(
        Phases,
        response_s=seconds,
        total_s=seconds,
        gather_s=maybe(seconds),
        db_s=maybe(seconds),
        encode_s=maybe(seconds),
        queue_s=maybe(seconds),
        lag_s=maybe(seconds),
        sessions_active=maybe(st.floats(0, 1000)),
        sessions_idle=maybe(st.floats(0, 1000)),
    )
