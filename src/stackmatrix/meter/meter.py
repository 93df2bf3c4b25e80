"""Reads what one service uses: readings at the window's edges, and peaks sampled between them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from stackmatrix.errors import UserError
from stackmatrix.meter.cgroup import Cgroup
from stackmatrix.meter.processes import Census, anonymous_bytes, census, cpu_seconds
from stackmatrix.runtime.base import Runtime


@dataclass(frozen=True, slots=True)
class Reading:
    """One service at one moment; what cannot be seen is None."""

    at: float
    cpu_s: float | None
    throttled: int | None
    oom_kills: int | None
    anonymous_bytes: int | None = None


@dataclass(slots=True)
class Peaks:
    anonymous_bytes: int | None = None
    threads: int | None = None
    processes: int | None = None

    def see(self, anonymous_bytes: int | None, census: Census | None) -> None:
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
        directories = runtime.cgroup(name)
        self._cgroup = None if directories is None else Cgroup(directories)
        self._pids = runtime.pids(name)

    def read(self) -> Reading:
        """Read its counters now; UserError when its cgroup is gone, and the container with it."""
        at = time.monotonic()
        if self._cgroup is None:
            return Reading(at, cpu_seconds(self._pids) if self._pids else None, None, None, self._memory())
        try:
            throttled = self._cgroup.throttling().periods
            return Reading(at, self._cgroup.cpu_seconds(), throttled, self._cgroup.oom_kills(), self._memory())
        except OSError:
            raise UserError(f"{self._name} ended while it was timed") from None

    def sample(self, peaks: Peaks) -> None:
        """Add the memory, processes and threads of this moment to `peaks`, as far as they can be seen."""
        self._pids = self._runtime.pids(self._name)
        peaks.see(self._memory(), census(self._pids) if self._pids else None)

    def _memory(self) -> int | None:
        with suppress(OSError):
            if self._cgroup is not None:
                return self._cgroup.anonymous_bytes()
            return anonymous_bytes(self._pids) if self._pids else None
        return None


@contextmanager
def sampling(meter: Meter, every_s: float = 0.1) -> Iterator[Peaks]:
    peaks = Peaks()
    try:
        with repeating(lambda: meter.sample(peaks), every_s):
            yield peaks
    finally:
        meter.sample(peaks)


@contextmanager
def repeating(act: Callable[[], None], every_s: float) -> Iterator[None]:
    """Do something again and again in a thread of its own until it fails, or the context ends, which waits for it."""
    stop = threading.Event()

    def loop() -> None:
        with suppress(UserError):
            while not stop.wait(every_s):
                act()

    thread = threading.Thread(target=loop, name=act.__qualname__, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
