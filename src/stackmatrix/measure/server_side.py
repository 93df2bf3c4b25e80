"""Read the servers' side of a trial: stack, upstreams and machine, at both edges of the window."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, TypeVar

from stackmatrix.load.generator import Edge
from stackmatrix.meter.kernel import kernel_counts
from stackmatrix.meter.meter import Meter, Peaks, Reading, sampling
from stackmatrix.meter.processes import Cpus, busy_seconds, cpus, steal_share
from stackmatrix.meter.sockets import connection_counts
from stackmatrix.meter.upstreams import Counts, sessions
from stackmatrix.results.trial import Cpu, Kernel, ServerSide
from stackmatrix.runtime.base import UPSTREAMS, Runtime, Service

Counter = TypeVar("Counter", int, float)


class ServerObserver:
    """Reads at the window's edges and samples between them; `side` then says what was seen."""

    def __init__(self, runtime: Runtime, service: Service) -> None:
        self._runtime = runtime
        self._service = service
        self._stack = service.stack.name
        self._meters = {name: Meter(runtime, name) for name in (self._stack, *UPSTREAMS)}
        self._readings: dict[tuple[Edge, str], Reading] = {}
        self._cpus: dict[Edge, Cpus] = {}
        self._kernel: dict[Edge, dict[str, int]] = {}
        self._peaks = Peaks()
        self._before = self._after = set(runtime.pids(self._stack))
        """The stack's processes before its load, and at the edge that was read last."""
        self._connections_per_worker: list[int] | None = None

    @contextmanager
    def sampling(self) -> Iterator[None]:
        with sampling(Meter(self._runtime, self._stack)) as self._peaks:
            yield

    def read(self, edge: Edge) -> None:
        """Read everything now; the stack first, whose CPU matters most."""
        for name, meter in self._meters.items():
            self._readings[edge, name] = meter.read()
        self._cpus[edge] = cpus()
        self._after = set(self._runtime.pids(self._stack))
        self._kernel[edge] = kernel_counts(self._after)
        if edge == "start":
            self.count_connections()

    def count_connections(self) -> None:
        self._connections_per_worker = per_worker(self._runtime.pids(self._stack), self._service)

    def side(self, cores: Sequence[int], window_s: float, before: Counts, after: Counts) -> ServerSide:
        """Put together what was seen; `cores` are the stack's, `before` and `after` the upstreams' counts."""
        anonymous, calls = self._peaks.anonymous_bytes, after.upstream - before.upstream
        return ServerSide(
            cpu_s=Cpu(self._cpu_s(self._stack), **{upstream: self._cpu_s(upstream) for upstream in UPSTREAMS}),
            memory_mib=None if anonymous is None else anonymous / 2**20,
            memory_grown_bytes=growth(
                *(self._readings[edge, self._stack].anonymous_bytes for edge in ("start", "end"))
            ),
            threads=self._peaks.threads,
            processes=self._peaks.processes,
            started_processes=len(self._after - self._before),
            ended_processes=len(self._before - self._after),
            throttled=self._grown("throttled"),
            oom_kills=self._grown("oom_kills"),
            db_sessions=sessions(self._runtime, self._stack),
            new_db_sessions=after.sessions - before.sessions,
            database_s=growth(before.database_s, after.database_s),
            upstream_call_s=(after.upstream_s - before.upstream_s) / calls if calls else None,
            upstream_in_flight=self._runtime.counters()["max_in_flight"],
            connections_per_worker=self._connections_per_worker,
            foreign_share=self._foreign_share(cores, window_s),
            steal_share=steal_share(self._cpus["start"], self._cpus["end"]),
            kernel=kernel_growth(self._kernel["start"], self._kernel["end"]),
        )

    def _cpu_s(self, name: str) -> float | None:
        return growth(self._readings["start", name].cpu_s, self._readings["end", name].cpu_s)

    def _foreign_share(self, cores: Sequence[int], window_s: float) -> float | None:
        """Compute the share of the stack's cores that went to anything but the stack; run queues would not tell."""
        own = self._cpu_s(self._stack)
        if own is None:
            return None
        busy = busy_seconds(self._cpus["start"], self._cpus["end"], cores)
        return max(0.0, busy - own) / (window_s * len(cores))

    def _grown(self, counter: Literal["throttled", "oom_kills"]) -> dict[str, int]:
        """Compute by how much a counter of the kernel grew, for each stack or upstream for which it did."""
        both = {name: (self._readings["start", name], self._readings["end", name]) for name in self._meters}
        grown = {name: growth(*(getattr(reading, counter) for reading in edges)) for name, edges in both.items()}
        return {name: more for name, more in grown.items() if more}


def per_worker(pids: Collection[int], service: Service) -> list[int] | None:
    """Count the clients' connections of each worker; None where unseen, or where a router may hold them all."""
    if not pids or service.stack.identity.processes > 1:
        return None
    counts = connection_counts(pids, service.port)
    return counts + [0] * (int(service.settings.get("workers", 1)) - len(counts))


def kernel_growth(before: Mapping[str, int], after: Mapping[str, int]) -> Kernel:
    """Compute by how much the kernel's counters grew; one that shrank, since processes ended, tells nothing."""
    more = {name: after[name] - before[name] for name in before.keys() & after.keys()}
    return Kernel(**{name: count for name, count in more.items() if count >= 0})


def growth(before: Counter | None, after: Counter | None) -> Counter | None:
    return None if before is None or after is None else after - before
