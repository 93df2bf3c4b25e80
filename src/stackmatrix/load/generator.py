"""Runs a job in worker processes of its own and hands back what they recorded; blocks until the load is over."""

import contextlib
import json
import math
import os
import pickle
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic as clock
from typing import IO, Final, Literal, NamedTuple, Protocol, Self

from stackmatrix.errors import UserError
from stackmatrix.load.job import Closed, LoadJob
from stackmatrix.load.records import Records, merge_records
from stackmatrix.load.worker import ShardJob

Edge = Literal["start", "end"]
OnWindow = Callable[[Edge, float], None]

LEAD_S: Final = 0.02  # how far ahead the beginning is announced, so that every worker knows it before it comes
START_OR_WRITE_S: Final = 10.0  # for a worker to start, or to write its last rows
PROBE_S: Final = 3.0


class GeneratorError(UserError):
    """The load could not be generated: the server cannot be reached, or the machine lacks something."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C stopped the load; what had been recorded by then is kept."""

    def __init__(self, outcome: "LoadRun") -> None:
        super().__init__()
        self.outcome = outcome


class Progress(NamedTuple):
    at: float  # seconds since the load began
    ended: int
    failed: int
    under_way: int
    queued: int
    response_s: float | None = None  # of the latest answers; None before the first


class Pace(NamedTuple):
    """How long window and drain should be, in seconds."""

    window_s: float
    drain_s: float


class Pacer(Protocol):
    """Ends the warm-up, and sets window and drain by what it saw."""

    longest_s: float  # the warm-up ends then, whatever was seen

    def steady(self, progress: Progress) -> bool:
        """Tell whether the window may open; called ten times a second."""

    def pace(self, job: LoadJob) -> Pace:
        """Set the lengths of window and drain; called once, as the window opens."""


@dataclass(frozen=True)
class LoadRun:
    """What came of a job; instants are CLOCK_MONOTONIC seconds."""

    job: LoadJob
    records: Records  # every request of the run, warm-up included: the window cuts them by time
    began: float
    start: float  # the window's start; later than every request when the load was interrupted before
    end: float
    given_up: float  # the end of the drain: what has no answer by then is unfinished
    cpu_s: float  # CPU of all the generator's processes within the window
    busiest: float  # the share of its core that the busiest of them used within the window
    lifetime_cpu_s: float  # CPU of all of them from start to exit, as `wait4` gives it
    connections: int  # connections opened
    peak: int  # the most that were open at one time: the size of the pool
    refused: int  # connections that could not be opened
    strays: int  # connections on which bytes came that no request asked for
    queue_max: int  # the most requests that waited in the client for a connection
    shards: int
    interrupted: bool

    @property
    def reconnects(self) -> int:
        return self.connections - self.peak


class Worker:
    def __init__(self, job: ShardJob) -> None:
        self.ready = self.complete = False
        self.tick: dict[str, float] | None = None  # how far it is; None once that is passed on
        self.done: dict[str, int] | None = None
        self.lifetime_cpu_s = 0.0
        self._partial = b""
        command = [sys.executable, "-P", "-m", "stackmatrix.load.worker"]
        # A process group of its own keeps the terminal's Ctrl-C from it: the parent says when to stop.
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, process_group=0
        )
        self._send(pickle.dumps(job))

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def cpu_s(self) -> float:
        """Return the CPU used so far: by Linux's clock of the process, elsewhere by psutil in clock ticks."""
        try:
            return time.clock_gettime((~self.process.pid << 3) | 2)  # what clock_getcpuclockid(3) makes of a pid
        except OSError:
            import psutil

            times = psutil.Process(self.process.pid).cpu_times()
            return float(times.user + times.system)

    def order(self, **message: float) -> None:
        self._send(json.dumps(message).encode() + b"\n")

    def _send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        pending = memoryview(data)
        try:
            while pending:
                pending = pending[self.process.stdin.write(pending) or 0 :]
        except BrokenPipeError:  # it died: its last words and its exit code, read later, tell more
            return

    def hear(self) -> None:
        """Read its messages; GeneratorError when one is an error, or when it ended without a result."""
        data = os.read(self.stdout.fileno(), 65536)
        if not data:
            code = self.reap()
            if self.done is None:
                raise GeneratorError(f"the generator's process {self.process.pid} died with exit code {code}")
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        for message in map(json.loads, lines):
            if "error" in message:
                raise GeneratorError(message["error"])
            self.ready = self.ready or "ready" in message
            self.complete = self.complete or "complete" in message
            self.tick = message.get("tick", self.tick)
            self.done = message.get("done", self.done)

    def reap(self) -> int:
        if self.process.returncode is None:
            _, status, usage = os.wait4(self.process.pid, 0)
            self.process.returncode = os.waitstatus_to_exitcode(status)
            self.lifetime_cpu_s = usage.ru_utime + usage.ru_stime
        return self.process.returncode

    def end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.reap()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Fleet:
    """All the workers of one job; none outlives the context."""

    def __init__(self, jobs: Sequence[ShardJob], on_progress: Callable[[Progress], None] | None) -> None:
        self._jobs = jobs
        self._on_progress = on_progress
        self._selector = selectors.DefaultSelector()
        self.workers: list[Worker] = []
        self.began = 0.0
        self.progress: Progress | None = None
        """The latest, taken away by who looks at it."""

    def __enter__(self) -> Self:
        try:
            for job in self._jobs:
                self.workers.append(Worker(job))
                self._selector.register(self.workers[-1].stdout, selectors.EVENT_READ, self.workers[-1])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for worker in self.workers:
            worker.end()

    def order(self, **message: float) -> None:
        for worker in self.workers:
            worker.order(**message)

    def listen(self, until: float, *, heard: Callable[[], bool] = lambda: False) -> bool:
        """Read their messages until an instant, or until `heard` holds; return whether it does."""
        while not heard():
            left = until - clock()
            if left <= 0:
                return False
            for key, _ in self._selector.select(left):
                worker: Worker = key.data
                worker.hear()
                if worker.process.returncode is not None:
                    self._selector.unregister(worker.stdout)
            self._add_up()
        return True

    def _add_up(self) -> None:
        ticks = [worker.tick for worker in self.workers if worker.tick is not None]
        if len(ticks) < len(self.workers):
            return
        at = max(tick["at"] for tick in ticks) - self.began
        ended, failed, under_way, queued = (
            int(sum(tick[name] for tick in ticks)) for name in ("ended", "failed", "under_way", "queued")
        )
        response_s = max((tick["response_s"] for tick in ticks if tick["response_s"] is not None), default=None)
        self.progress = Progress(at, ended, failed, under_way, queued, response_s)
        for worker in self.workers:
            worker.tick = None
        if self._on_progress is not None:
            self._on_progress(self.progress)

    def ended(self) -> bool:
        return all(worker.process.returncode is not None for worker in self.workers)

    def cpu_s(self) -> list[float]:
        return [worker.cpu_s() for worker in self.workers]


def generate(
    job: LoadJob,
    *,
    records: Path,
    cpus: Collection[int] | None = None,
    shards: int = 1,
    on_progress: Callable[[Progress], None] | None = None,
    on_window: OnWindow | None = None,
    warm_up: Pacer | None = None,
) -> LoadRun:
    """Run the job, one worker on each of `cpus` up to `shards`, and keep every request in the file `records`.

    `on_window("start", instant)` and `on_window("end", instant)` are called here as the window opens and closes: the
    place for snapshots; the workers are not disturbed. `on_progress` hears ten times a second how far the load is.
    `warm_up` opens the window in place of the job's own time, and sets the length of window and drain.
    Raises GeneratorError; Interrupted on Ctrl-C. The workers die with the thread that calls this (on Linux).
    """
    pins = pinned(job, cpus, shards)
    address = resolve(job.host, job.port)
    parts = [records] if shards == 1 else [records.with_name(f"{records.name}.{shard}") for shard in range(shards)]
    jobs = [ShardJob(job, address, i, shards, parts[i], pins[i], os.getpid()) for i in range(shards)]
    with Fleet(jobs, on_progress) as fleet:
        if not fleet.listen(
            clock() + job.timeout_s + START_OR_WRITE_S, heard=lambda: all(w.ready for w in fleet.workers)
        ):
            raise GeneratorError("the generator's processes did not get ready in time")
        window = Window(job, fleet, on_window or (lambda _edge, _at: None))
        try:
            window.run(warm_up)
            interrupted = False
        except KeyboardInterrupt:
            window.cut()
            interrupted = True
    outcome = window.outcome(merge_records(parts, records), interrupted)
    if interrupted:
        raise Interrupted(outcome)
    return outcome


class Window:
    """Takes one load through warm-up, window and drain, and reads the generator's own CPU at the window's edges."""

    def __init__(self, job: LoadJob, fleet: Fleet, on_window: OnWindow) -> None:
        self._job = job
        self._fleet = fleet
        self._on_window = on_window
        self._began = self._start = self._end = self._given_up = math.inf
        self._cpu: dict[Edge, list[float]] = {}

    def run(self, warm_up: Pacer | None) -> None:
        job, fleet = self._job, self._fleet
        self._began = fleet.began = clock() + LEAD_S
        fleet.order(go=self._began)
        start = self._began + (job.warmup_s if warm_up is None else warm_up.longest_s)
        pace = Pace(job.duration_s, job.drain_s)
        if warm_up is not None:
            if fleet.listen(start, heard=lambda: self._steady(warm_up)):
                start = clock()
            pace = warm_up.pace(job)
        end = start + pace.window_s
        fleet.listen(start)
        self._start = start
        self._edge("start", start)
        fleet.listen(end)
        self._end = end
        self._edge("end", end)
        self._drain(end, pace.drain_s)

    def _drain(self, end: float, seconds: float) -> None:
        """Keep the load up until the window's requests are over, lest the last be served faster; then let go."""
        fleet = self._fleet
        fleet.order(end=end)
        complete = fleet.listen(end + seconds, heard=lambda: all(worker.complete for worker in fleet.workers))
        fleet.order(rest=clock())
        self._given_up = clock() + (seconds if complete else 0.0)
        if not fleet.listen(self._given_up, heard=fleet.ended):
            fleet.order(quit=1)
        self._finish(self._given_up + START_OR_WRITE_S)

    def cut(self) -> None:
        now = clock()
        self._fleet.order(quit=1)
        if "start" in self._cpu:
            self._end = min(self._end, now)
            self._cpu.setdefault("end", self._fleet.cpu_s())
        else:
            self._start = self._end = now
        self._given_up = now
        self._finish(now + START_OR_WRITE_S)

    def _edge(self, edge: Edge, at: float) -> None:
        self._cpu[edge] = self._fleet.cpu_s()
        self._on_window(edge, at)

    def _steady(self, warm_up: Pacer) -> bool:
        progress, self._fleet.progress = self._fleet.progress, None
        return progress is not None and warm_up.steady(progress)

    def _finish(self, deadline: float) -> None:
        if not self._fleet.listen(deadline, heard=self._fleet.ended):
            raise GeneratorError("the generator's processes did not end in time")

    def outcome(self, records: Records, interrupted: bool) -> LoadRun:
        workers = self._fleet.workers
        none = [0.0] * len(workers)
        used = [
            end - start for start, end in zip(self._cpu.get("start", none), self._cpu.get("end", none), strict=True)
        ]
        told = [worker.done or {} for worker in workers]
        length = self._end - self._start
        return LoadRun(
            job=self._job,
            records=records,
            began=self._began,
            start=self._start,
            end=self._end,
            given_up=self._given_up,
            cpu_s=sum(used),
            busiest=max(used) / length if length else 0.0,
            lifetime_cpu_s=sum(worker.lifetime_cpu_s for worker in workers),
            connections=sum(counts["opened"] for counts in told),
            peak=sum(counts["peak"] for counts in told),
            refused=sum(counts["refused"] for counts in told),
            strays=sum(counts["strays"] for counts in told),
            queue_max=sum(counts["queue_max"] for counts in told),
            shards=len(workers),
            interrupted=interrupted,
        )


def pinned(job: LoadJob, cpus: Collection[int] | None, shards: int) -> Sequence[int | None]:
    """Choose each worker's core, None for any; GeneratorError when the job cannot be split so."""
    most, what = (job.load.users, "users") if isinstance(job.load, Closed) else (job.load.connections, "connections")
    if not 1 <= shards <= most:
        raise GeneratorError(f"{shards} shards for {most} {what}: must be between 1 and {most}")
    if cpus is None:
        return [None] * shards
    missing = set(cpus) - os.sched_getaffinity(0)
    if missing:
        raise GeneratorError(f"core {min(missing)} is not one that this process may use")
    if len(set(cpus)) < shards:
        raise GeneratorError(f"{shards} shards need {shards} cores, and {len(set(cpus))} are given")
    return sorted(set(cpus))[:shards]


def resolve(host: str, port: int) -> str:
    """Look the host's address up, once; where it has several, take the first that accepts a connection."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise GeneratorError(f"{host}: {error.strerror or error}") from None
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    if len(addresses) == 1:
        return addresses[0]
    for address in addresses:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=PROBE_S):
            return address
    raise GeneratorError(f"no connection to {host}:{port}: none of {', '.join(addresses)} answers")
