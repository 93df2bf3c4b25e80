"""Reads what one service uses: readings at the window's edges, and peaks sampled between them."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from stackmatrix.meter import cgroup
from stackmatrix.meter import processes as proc
from stackmatrix.meter.processes import Census
from stackmatrix.runtime.base import Runtime

SAMPLE_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Reading:
    """One service at one moment; what cannot be seen is None."""

    at: float
    cpu_s: float | None
    throttled: int | None
    oom_kills: int | None


@dataclass(slots=True)
class Peaks:
    """The most that was seen while sampling."""

    anonymous_bytes: int | None = None
    threads: int | None = None
    processes: int | None = None

    def see(self, anonymous_bytes: int | None, census: Census | None) -> None:
        """Take one more sample in."""
        if anonymous_bytes is not None:
            self.anonymous_bytes = max(self.anonymous_bytes or 0, anonymous_bytes)
        if census is not None and census.processes:
            self.threads = max(self.threads or 0, census.threads)
            self.processes = max(self.processes or 0, census.processes)


class Meter:
    """Reads one stack or upstream: through its cgroup when it has one, else through its process tree."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        self._runtime = runtime
        self._name = name
        self._groups: Mapping[str, str] | None = runtime.cgroup(name)
        self._pids = runtime.pids(name)

    def read(self) -> Reading:
        """Its counters now."""
        groups, pids = self._groups, self._pids
        if groups is not None:
            cpu: float | None = cgroup.cpu_seconds(groups)
        else:
            cpu = proc.cpu_seconds(pids) if pids else None
        return Reading(
            at=time.monotonic(),
            cpu_s=cpu,
            throttled=cgroup.throttling(groups).periods if groups is not None else None,
            oom_kills=cgroup.oom_kills(groups) if groups is not None else None,
        )

    def sample(self, peaks: Peaks) -> None:
        """Add the memory, processes and threads of this moment to `peaks`."""
        self._pids = self._runtime.pids(self._name)
        if self._groups is not None:
            memory: int | None = cgroup.anonymous_bytes(self._groups)
        else:
            memory = proc.anonymous_bytes(self._pids) if self._pids else None
        peaks.see(memory, proc.census(self._pids) if self._pids else None)


@contextmanager
def sampling(meter: Meter) -> Iterator[Peaks]:
    """Sample in a thread of its own until the context ends, and once more at its end."""
    peaks = Peaks()
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(SAMPLE_EVERY_S):
            meter.sample(peaks)

    thread = threading.Thread(target=loop, name="meter", daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        stop.set()
        thread.join()
        meter.sample(peaks)


def total(readings: Iterable[float | None]) -> float | None:
    """The sum; None when any part is missing."""
    values = list(readings)
    return None if any(value is None for value in values) else sum(value for value in values if value is not None)
