"""How many requests a stack really holds in flight, from how long k simultaneous waits take on an idle stack.

A stack with C slots works k requests of one wait S each off in ⌈k/C⌉ waves, so k of them take ⌈k/C⌉·S. One number of
waves leaves a range of C open; the loads around the declared capacity are chosen so that the ranges leave only it.
"""

import math
import resource
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from stackmatrix.catalog.stacks import Wait
from stackmatrix.contract.answer import Deviation
from stackmatrix.contract.client import NoAnswer, together
from stackmatrix.contract.endpoints import get
from stackmatrix.contract.exchange import NotApplicable, Subject, boiled
from stackmatrix.runtime.base import Service

PATHS = {"timer": "/sleep", "database": "/query", "upstream": "/http"}

FEW, MANY = 8, 400
"""What a stack without a limit must hold: ten times AnyIO's threads, four times the usual pool of an HTTP client."""

WAIT_S, WAIT_PER_REQUEST_S = 0.4, 0.004
"""The wait grows with the load, so that the CPU time of k requests (some 1 ms each) stays well below one wait."""

EARLY = 0.05  # a wave may end this part of a wait early: timers have grains
LATE = 0.5  # and this part late, which is what the requests cost beside waiting


@dataclass(frozen=True)
class Burst:
    """k requests of one wait each, and how long it took until the last was answered."""

    k: int
    wait_s: float
    elapsed_s: float

    @property
    def waves(self) -> int | None:
        """How many waits followed one another; None when the time lies between two whole numbers of waits."""
        whole, rest = divmod(self.elapsed_s / self.wait_s + EARLY, 1)
        return int(whole) if whole >= 1 and rest <= LATE + EARLY else None

    def fits(self, declared: int | None) -> bool:
        """Whether a stack of this capacity would have taken as many waves."""
        return self.waves == (1 if declared is None else math.ceil(self.k / declared))

    def __str__(self) -> str:
        return f"{self.k} × {self.wait_s:g} s took {self.elapsed_s:.2f} s"


@dataclass(frozen=True)
class Capacity:
    """All capacities that some loads leave possible: from `least` to `most`, None being unlimited."""

    least: int
    most: int | None

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {self.least}"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"

    def confirms(self, declared: int | None) -> bool:
        """Whether this is the declared capacity, and for a finite one no other."""
        return self.most == declared and (declared is None or self.least == declared)


def capacity_of(loads: Sequence[Burst]) -> Capacity | None:
    """The capacities under which every load takes the waves that it took; None when a load is unclear or they clash.

    w waves of at most C mean (w-1)·C < k ≤ w·C, hence ⌈k/w⌉ ≤ C ≤ ⌈k/(w-1)⌉ - 1.
    """
    least, most = 1, math.inf
    for load in loads:
        if load.waves is None:
            return None
        least = max(least, math.ceil(load.k / load.waves))
        if load.waves > 1:
            most = min(most, math.ceil(load.k / (load.waves - 1)) - 1)
    if least > most:
        return None
    return Capacity(least, None if most == math.inf else int(most))


def sizes_around(declared: int | None) -> list[int]:
    """How many requests to send: a few and then many, so that a stack that holds far less is soon found out, and then
    so many that only the declared capacity explains the waves: itself, one more, and twice as many if not too many.
    """
    if declared is None:
        return [FEW, MANY]
    around = {min(FEW, declared), min(MANY, declared), declared, declared + 1}
    return sorted(around | ({2 * declared} if 2 * declared <= MANY else set()))


def sizes_for(declared: int | None, users: int, workers: int) -> list[int]:
    """The few loads that a run of so many users relies on: two at once, as many as one worker should hold, one more.

    With several workers one more need not wait: which of them a connection falls to is luck.
    """
    most = min(declared or users, users, MANY)
    loads = {min(2, most), most}
    if declared is not None and declared < users and workers == 1:
        loads.add(declared + 1)
    return sorted(loads)


def declared_capacity(subject: Subject) -> Iterator[Deviation]:
    """The capacity for each kind of wait, as measured, against the manifest's."""
    if (workers := subject.service.settings.get("workers", 1)) != 1:
        raise NotApplicable(
            f"which of {workers} workers a connection falls to is luck, so no load fills all their slots"
        )
    allow_sockets()
    for wait in get_args(Wait):
        yield from off_capacity(subject.service, wait)


def off_capacity(service: Service, wait: Wait) -> Iterator[Deviation]:
    """Measure one kind of wait, as far as the stack behaves as declared."""
    declared = service.variant.slots(wait)
    expected = Capacity(MANY, None) if declared is None else Capacity(declared, declared)
    loads: list[Burst] = []
    try:
        for k in sizes_around(declared):
            loads.append(confirmed_burst(service, PATHS[wait], k, declared))
            if not loads[-1].fits(declared):
                break
        found = capacity_of(loads)
        got = f"{found or 'no one capacity explains it'} ({'; '.join(map(str, loads))})"
    except NoAnswer as error:
        found, got = None, str(error)
    if not (found and found.confirms(declared)):
        yield Deviation(f"requests in flight on {PATHS[wait]}, as stack.toml declares for {wait}", str(expected), got)


def spot_overlap(service: Service, users: Mapping[Wait, int]) -> Iterator[Deviation]:
    """What a run relies on, in a few seconds: `users` says of each kind of wait how many will wait at once."""
    allow_sockets()
    workers = int(service.settings.get("workers", 1))
    for wait, count in users.items():
        slots = service.variant.slots(wait)
        declared = None if slots is None else slots // workers
        for k in sizes_for(declared, count, workers):
            try:
                load = confirmed_burst(service, PATHS[wait], k, declared)
                got = None if load.fits(declared) else str(load)
            except NoAnswer as error:
                got = str(error)
            if got is not None:
                yield Deviation(f"{PATHS[wait]}: requests in flight per worker", str(declared or "unlimited"), got)
                break


def confirmed_burst(service: Service, path: str, k: int, declared: int | None) -> Burst:
    """One load; another with a wait twice as long when the first is not as declared, lest a hiccup decide."""
    load = send_burst(service, path, k)
    return load if load.fits(declared) else send_burst(service, path, k, stretch=2)


def send_burst(service: Service, path: str, k: int, stretch: int = 1) -> Burst:
    """Send k requests at once to an idle stack; NoAnswer when one is not answered rightly."""
    ms = round(1000 * stretch * (WAIT_S + k * WAIT_PER_REQUEST_S))
    exchange = get(f"{path}?ms={ms}", {"waited_ms": ms if path == "/query" else [ms]})
    replies = together(service, [exchange.request] * k, timeout_s=(FEW + 2) * ms / 1000)
    for reply in replies:
        for difference in exchange.judge(boiled(reply.outcome)):
            raise NoAnswer(f"one of {k} requests went wrong\n{difference.got}")
    return Burst(k, ms / 1000, max(reply.seconds for reply in replies))


def allow_sockets() -> None:
    """Raise the limit of open files to what this process may have: one socket for each request in flight."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
