"""How many requests a stack really holds in flight, from how long k simultaneous waits take on an idle stack.

A stack with C slots works k requests of one wait S each off in ⌈k/C⌉ waves, so k of them take ⌈k/C⌉·S. One number of
waves leaves a range of C open; the bursts around the declared capacity are chosen so that the ranges leave only it.
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

# what a stack without a limit must hold: ten times AnyIO's threads, four times the usual pool of an HTTP client
FEW, MANY = 8, 400

# the wait grows with the load, so that the CPU time of k requests (some 1 ms each) stays well below one wait
WAIT_S, WAIT_PER_REQUEST_S = 0.4, 0.004

STRETCHES = (1, 2, 4)  # of the wait, from try to try: what a busy machine adds is then a smaller part of it

WAVE_EARLY = 0.05  # a wave may end this part of a wait early: timers have grains
WAVE_LATE = 0.5  # and this part late, which is what the requests cost beside waiting


@dataclass(frozen=True)
class Burst:
    """k simultaneous requests of one wait each, and how long it took until the last was answered."""

    k: int
    wait_s: float
    elapsed_s: float

    @property
    def waves(self) -> int | None:
        """How many waits followed one another; None when the time lies between two whole numbers of waits."""
        whole, rest = divmod(self.elapsed_s / self.wait_s + WAVE_EARLY, 1)
        return int(whole) if whole >= 1 and rest <= WAVE_LATE + WAVE_EARLY else None

    def fits(self, declared: int | None) -> bool:
        """Tell whether a stack of this capacity would have taken as many waves."""
        return self.waves == (1 if declared is None else math.ceil(self.k / declared))

    def __str__(self) -> str:
        return f"{self.k} × {self.wait_s:g} s took {self.elapsed_s:.2f} s"


@dataclass(frozen=True)
class CapacityRange:
    """The capacities that some bursts leave possible: from `least` to `most`, None being unlimited."""

    least: int
    most: int | None

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {self.least}"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"

    def confirms(self, declared: int | None) -> bool:
        return self.most == declared and (declared is None or self.least == declared)


def capacity_of(bursts: Sequence[Burst]) -> CapacityRange | None:
    """Find the capacities under which every burst takes the waves that it took; None when one is unclear or they clash.

    w waves of at most C mean (w-1)·C < k ≤ w·C, hence ⌈k/w⌉ ≤ C ≤ ⌈k/(w-1)⌉ - 1.
    """
    least, most = 1, math.inf
    for burst in bursts:
        if burst.waves is None:
            return None
        least = max(least, math.ceil(burst.k / burst.waves))
        if burst.waves > 1:
            most = min(most, math.ceil(burst.k / (burst.waves - 1)) - 1)
    if least > most:
        return None
    return CapacityRange(least, None if most == math.inf else int(most))


def sizes_around(declared: int | None) -> list[int]:
    """Choose how many to send: few, many, then so many that only the declared capacity explains the waves."""
    if declared is None:
        return [FEW, MANY]
    around = {min(FEW, declared), min(MANY, declared), declared, declared + 1}
    return sorted(around | ({2 * declared} if 2 * declared <= MANY else set()))


def sizes_for(declared: int | None, users: int, workers: int) -> list[int]:
    """Choose the bursts that a run of so many users relies on: two, a worker's capacity, one more if it is alone."""
    most = min(declared or users, users, MANY)
    sizes = {min(2, most), most}
    if declared is not None and declared < users and workers == 1:
        sizes.add(declared + 1)
    return sorted(sizes)


def declared_capacity(subject: Subject) -> Iterator[Deviation]:
    service = subject.service
    if (workers := service.settings.get("workers", 1)) != 1:
        raise NotApplicable(
            f"which of {workers} workers a connection falls to is luck, so no load fills all their slots"
        )
    allow_sockets()
    declared = {wait: service.variant.slots(wait) for wait in get_args(Wait)}
    bursts: dict[Wait, list[Burst]] = {wait: [] for wait in declared}
    broken: dict[Wait, str] = {}
    for wait, k in subject.steps([(wait, k) for wait, slots in declared.items() for k in sizes_around(slots)]):
        if wait in broken or any(not burst.fits(declared[wait]) for burst in bursts[wait]):
            continue  # it does not behave as declared, and more bursts would not tell more
        try:
            bursts[wait].append(confirmed_burst(service, PATHS[wait], k, declared[wait]))
        except NoAnswer as error:
            broken[wait] = str(error)
    for wait, slots in declared.items():
        found = None if wait in broken else capacity_of(bursts[wait])
        if not (found and found.confirms(slots)):
            expected = CapacityRange(MANY, None) if slots is None else CapacityRange(slots, slots)
            seen = f"{found or 'no one capacity explains it'} ({'; '.join(map(str, bursts[wait]))})"
            asked = f"requests in flight on {PATHS[wait]}, as stack.toml declares for {wait}"
            yield Deviation(asked, str(expected), broken.get(wait, seen))


@dataclass(frozen=True)
class CapacityFault:
    """So many requests that wait for the same were not held in flight as declared; fewer were."""

    wait: Wait
    k: int
    found: Deviation


def spot_overlap(service: Service, users: Mapping[Wait, int]) -> Iterator[CapacityFault]:
    """Check what a run relies on, in a few seconds: `users` says of each kind of wait how many will wait at once."""
    allow_sockets()
    workers = int(service.settings.get("workers", 1))
    for wait, count in users.items():
        slots = service.variant.slots(wait)
        declared = None if slots is None else slots // workers
        for k in sizes_for(declared, count, workers):
            try:
                burst = confirmed_burst(service, PATHS[wait], k, declared)
                got = None if burst.fits(declared) else str(burst)
            except NoAnswer as error:
                got = str(error)
            if got is not None:
                asked = f"{PATHS[wait]}: requests in flight per worker"
                yield CapacityFault(wait, k, Deviation(asked, str(declared or "unlimited"), got))
                break


def confirmed_burst(service: Service, path: str, k: int, declared: int | None) -> Burst:
    """Send a burst; when it is not as declared, another with longer waits, up to twice, lest a neighbour decide."""
    bursts = (send_burst(service, path, k, stretch) for stretch in STRETCHES)
    for burst in bursts:
        if burst.fits(declared):
            break
    return burst


def send_burst(service: Service, path: str, k: int, stretch: int) -> Burst:
    """Send k requests at once to an idle stack; NoAnswer when one is not answered rightly."""
    ms = round(1000 * stretch * (WAIT_S + k * WAIT_PER_REQUEST_S))
    exchange = get(f"{path}?ms={ms}", {"waited_ms": ms if path == "/query" else [ms]})
    replies = together(service, [exchange.request] * k, timeout_s=(FEW + 2) * ms / 1000)
    for reply in replies:
        for found in exchange.judge(boiled(reply.outcome)):
            raise NoAnswer(f"one of {k} requests went wrong\n{found.got}")
    return Burst(k, ms / 1000, max(reply.seconds for reply in replies))


def allow_sockets() -> None:
    """Raise the limit of open files to what this process may have: one socket for each request in flight."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
