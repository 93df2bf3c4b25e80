"""What a load generator is to do, typed: which requests, offered how, for how long; and how shards split it."""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from stackmatrix.http import Expected, Request

# each occurrence in a body, sent or expected, becomes the request's own number: ten digits, never twice in a run
NUMBER_PLACE = b"\0" * 10

CONNECTIONS = 1000  # the most that an open loop has at a time, unless told otherwise

# the most that answers under way at a window's end are waited for; what takes longer is not waited for at all: a part
# of it would tell nothing
MOST_DRAIN_S = 4.0

WHOLE_RESPONSES = 3.0  # response times that a window holds, to a tenth, or it says more of its edges than of the server


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request as the bytes that go over the wire; `kind` is the place of its kind in the job."""

    data: bytes
    expected: Expected
    kind: int
    source: Request

    def numbered(self, number: int) -> "Prepared":
        digits, expected = b"%010d" % number, self.expected
        prefix, suffix = (part and part.replace(NUMBER_PLACE, digits) for part in (expected.prefix, expected.suffix))
        own = Expected(expected.status, prefix, suffix)
        return Prepared(self.data.replace(NUMBER_PLACE, digits), own, self.kind, self.source)


@dataclass(frozen=True, slots=True)
class RequestKind:
    name: str
    requests: tuple[Request, ...]
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.requests:
            raise ValueError(f"kind {self.name}: needs at least one request")
        above_zero(**{f"kind {self.name}: weight": self.weight})


@dataclass(frozen=True, slots=True)
class Closed:
    """N users, one request each at a time, `think_s` after an answer; all connect first, or over `ramp_s`."""

    users: int
    think_s: float = 0.0
    ramp_s: float = 0.0

    def __post_init__(self) -> None:
        if self.users < 1:
            raise ValueError(f"users = {self.users}: must be at least 1")
        at_least_zero(think_s=self.think_s, ramp_s=self.ramp_s)


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the rate, so many seconds after the load began."""

    after_s: float
    rate: float

    def __post_init__(self) -> None:
        at_least_zero(after_s=self.after_s)
        above_zero(rate=self.rate)


@dataclass(frozen=True, slots=True)
class Open:
    """Arrivals per second, whatever the answers do; with all `connections` busy, requests queue in the client."""

    rate: float
    arrivals: Literal["poisson", "constant"] = "poisson"
    connections: int = CONNECTIONS
    steps: tuple[Step, ...] = ()  # changes of the rate without a gap, in order of their time

    def __post_init__(self) -> None:
        above_zero(rate=self.rate)
        if list(self.steps) != sorted(self.steps, key=lambda step: step.after_s):
            raise ValueError("steps: must be in order of their time")
        if self.arrivals not in ("poisson", "constant"):
            raise ValueError(f"arrivals = {self.arrivals!r}: must be poisson or constant")
        if self.connections < 1:
            raise ValueError(f"connections = {self.connections}: must be at least 1")


@dataclass(frozen=True, kw_only=True)
class LoadJob:
    """Everything one run of the generator needs to know; times in seconds."""

    host: str
    port: int
    kinds: tuple[RequestKind, ...]
    load: Closed | Open
    # the window, which opens `warmup_s` after the first request, or when what watches the warm-up says so
    duration_s: float
    warmup_s: float = 0.0
    timeout_s: float = 30.0  # a request fails this long after the instant it was scheduled for
    drain_s: float = 30.0  # how long requests under way at the end of the window may take to end
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("a job needs at least one kind of request")
        if not 0 < self.port < 65536:
            raise ValueError(f"port = {self.port}: must be between 1 and 65535")
        above_zero(duration_s=self.duration_s, timeout_s=self.timeout_s)
        at_least_zero(warmup_s=self.warmup_s, drain_s=self.drain_s)

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 else f"{host}:{self.port}"


def above_zero(**values: float) -> None:
    """Raise ValueError for the first value that is not above 0, or infinite."""
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} = {value}: must be above 0")


def at_least_zero(**values: float) -> None:
    """Raise ValueError for the first value that is negative, infinite or not a number."""
    for name, value in values.items():
        if not (value >= 0 and math.isfinite(value)):
            raise ValueError(f"{name} = {value}: must be 0 or more")


def even_share(total: int, shard: int, shards: int) -> int:
    """Return one shard's part of `total`; the parts add up to it and differ by one at most."""
    return (total - shard + shards - 1) // shards


def arrivals(load: Open, seed: int, shard: int = 0, shards: int = 1) -> Iterator[float]:
    """Yield this shard's arrivals, in seconds since the load began: each K-th of one process that all draw."""
    return itertools.islice(all_arrivals(load, seed), shard, None, shards)


def all_arrivals(load: Open, seed: int) -> Iterator[float]:
    """Yield all arrivals: exponential gaps (Poisson), or even ones, on a clock that runs as fast as the rate.

    A Poisson process of changing rate is one of rate 1 under the inverse of the summed rate (Çinlar 1975).
    """
    steps = iter(load.steps)
    begin, rate, passed = 0.0, load.rate, 0.0
    coming = next(steps, None)
    for due in unit_arrivals(load, seed):
        while coming is not None and due >= passed + (coming.after_s - begin) * rate:
            passed += (coming.after_s - begin) * rate
            begin, rate, coming = coming.after_s, coming.rate, next(steps, None)
        yield begin + (due - passed) / rate


def unit_arrivals(load: Open, seed: int) -> Iterator[float]:
    if load.arrivals == "constant":
        yield from itertools.count()
    gap, at = random.Random(f"arrivals {seed}").expovariate, 0.0
    while True:
        at += gap(1.0)
        yield at


def prepared(job: LoadJob, shard: int = 0, shards: int = 1) -> Iterator[Prepared]:
    """Yield what to send, without end: a kind drawn by weight, and the next of its requests."""
    turns = [turn(job, index, shard, shards) for index in range(len(job.kinds))]
    if len(turns) == 1:
        return turns[0]
    return mixed(turns, [kind.weight for kind in job.kinds], random.Random(f"kinds {job.seed} {shard}"))


def turn(job: LoadJob, index: int, shard: int, shards: int) -> Iterator[Prepared]:
    """Yield one kind's requests in turn; numbers written into them are used by no other shard."""
    own = [Prepared(one.encode(job.authority), one.expected, index, one) for one in job.kinds[index].requests]
    cycle = itertools.islice(itertools.cycle(own), shard, None, shards)
    if any(NUMBER_PLACE in one.data for one in own):
        return map(Prepared.numbered, cycle, itertools.count(shard, shards))
    return itertools.repeat(own[0]) if len(own) == 1 else cycle


def mixed(turns: list[Iterator[Prepared]], weights: list[float], draw: random.Random) -> Iterator[Prepared]:
    """Yield requests of several kinds, each next one of a kind drawn by weight."""
    while True:
        for following in draw.choices(turns, weights, k=1024):
            yield next(following)
