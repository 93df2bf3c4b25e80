"""One timed window of one arm: prepare, warm up, read, load, read, and everything that was counted meanwhile."""

import re
import threading
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypedDict, TypeVar

from stackmatrix.analysis import validity
from stackmatrix.catalog.workloads import Effects, Workload
from stackmatrix.cores import share_cores
from stackmatrix.errors import UserError
from stackmatrix.load.generator import Edge
from stackmatrix.measure.offered_load import Offered, by_generator, by_tool, plan_of, warm_up_of
from stackmatrix.meter.meter import Meter, Reading, sampling
from stackmatrix.meter.processes import Cpus, busy_seconds, cpus, steal_share
from stackmatrix.meter.sockets import connection_counts
from stackmatrix.meter.upstreams import SEEDED_ROWS, Counts, sessions, upstream_counts
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, Timing
from stackmatrix.results.reasons import Reason
from stackmatrix.results.trial import Entry, Trial
from stackmatrix.runtime.base import UPSTREAMS, Runtime, Service

N = TypeVar("N", int, float)


STATEMENTS = "SQL statements"


@dataclass(frozen=True)
class Bench:
    """What every trial of a run needs."""

    runtime: Runtime
    cpus: tuple[int, ...]
    directory: RunDirectory
    seed: int
    shards: int = 1
    """Processes of the generator, each on a core of its own."""
    generator_rps: float | None = None
    """The most that the generator can do on this machine; None when that was not measured."""


@dataclass
class Edges:
    """Readings of the stack, the upstreams and the machine at both edges of the window."""

    runtime: Runtime
    service: Service
    readings: dict[tuple[Edge, str], Reading] = field(default_factory=dict)
    cpus: dict[Edge, Cpus] = field(default_factory=dict)
    before: set[int] = field(init=False)
    after: set[int] = field(init=False)
    """The stack's processes before its load, and at the edge that was read last."""
    connections_per_worker: list[int] | None = None

    def __post_init__(self) -> None:
        self.stack = self.service.stack.name
        self._meters = {name: Meter(self.runtime, name) for name in (self.stack, *UPSTREAMS)}
        self.before = self.after = set(self.runtime.pids(self.stack))

    def read(self, edge: Edge, _at: float) -> None:
        """Read everything now; the stack first, whose CPU matters most."""
        for name, meter in self._meters.items():
            self.readings[edge, name] = meter.read()
        self.cpus[edge] = cpus()
        self.after = set(self.runtime.pids(self.stack))
        if edge == "start":
            self.look_at_deal()

    def look_at_deal(self) -> None:
        """See which worker holds how many of the connections that are open now."""
        self.connections_per_worker = per_worker(self.runtime.pids(self.stack), self.service)

    def cpu_s(self, name: str) -> float | None:
        """CPU that one service used in the window."""
        start, end = self.readings["start", name], self.readings["end", name]
        return None if start.cpu_s is None or end.cpu_s is None else end.cpu_s - start.cpu_s

    def foreign_share(self, cores: Sequence[int], window_s: float) -> float | None:
        """The share of the stack's cores that went to anything but the stack.

        Waiting in the run queue would not tell: a stack's own threads queue for its core too.
        """
        own = self.cpu_s(self.stack)
        if own is None:
            return None
        busy = busy_seconds(self.cpus["start"], self.cpus["end"], cores)
        return max(0.0, busy - own) / (window_s * len(cores))

    def grown(self, counter: Literal["throttled", "oom_kills"]) -> dict[str, int]:
        """By how much a counter of the kernel grew, for each stack or upstream for which it did."""
        found: dict[str, int] = {}
        for name in self._meters:
            before, after = (getattr(self.readings[edge, name], counter) for edge in ("start", "end"))
            if before is not None and after is not None and after > before:
                found[name] = after - before
        return found


def measure(
    bench: Bench, service: Service, arm: Arm, workload: Workload, timing: Timing, number: int, attempt: int
) -> Trial:
    """Time one arm once; its service runs already, alone. Every request is kept in the run's directory.

    `workload` has the arm's parameters. Raises UserError when a server or the generator is gone.
    """
    runtime = bench.runtime
    cores = share_cores(bench.cpus, int(service.settings.get("workers", 1)), bench.shards)
    runtime.pin(service, cores)
    name = name_of(arm, number, attempt)
    blank = Trial(id=name, arm=arm.id, round=number, attempt=attempt, started=now())
    edges = Edges(runtime, service)
    runtime.reset_counters()
    before = upstream_counts(runtime)
    if before.rows != SEEDED_ROWS:
        runtime.reset_notes()
        before = upstream_counts(runtime)
    # The same arrivals for every arm that is compared, so that their chance cancels in the ratios of a round.
    seed = zlib.crc32(f"{bench.seed} {number} {attempt} {arm.load.label}".encode())
    plan = plan_of(service, arm.load, workload, timing, seed)
    file = bench.directory.records_file(name)
    with sampling(Meter(runtime, service.stack.name)) as peaks:
        if arm.load.tool is not None:
            with later(timing.window_s / 2, edges.look_at_deal):  # as it starts, no connection is open yet
                offered = by_tool(blank, arm.load.tool, plan, arm.load.requests, file, cores.generator, edges.read)
        else:
            warm_up = warm_up_of(service, arm.load, workload)
            offered = by_generator(blank, plan, warm_up, file, cores.generator, bench.shards, edges.read)
    after = upstream_counts(runtime)
    if offered.in_hand:
        runtime.restart(service)  # what it still has in hand would load the next trial
    client = offered.trial
    trial = replace(
        client,
        cpu_s=replace(
            client.cpu_s,
            stack=edges.cpu_s(service.stack.name),
            **{upstream: edges.cpu_s(upstream) for upstream in UPSTREAMS},
        ),
        memory_mib=None if peaks.anonymous_bytes is None else peaks.anonymous_bytes / 2**20,
        threads=peaks.threads,
        processes=peaks.processes,
        started_processes=len(edges.after - edges.before),
        ended_processes=len(edges.before - edges.after),
        throttled=edges.grown("throttled"),
        oom_kills=edges.grown("oom_kills"),
        db_sessions=sessions(runtime, service.stack.name),
        new_db_sessions=after.sessions - before.sessions,
        database_s=difference(before.database_s, after.database_s),
        upstream_in_flight=runtime.counters()["max_in_flight"],
        connections_per_worker=edges.connections_per_worker,
        foreign_share=edges.foreign_share(cores.stack, client.window_s),
        steal_share=steal_share(edges.cpus["start"], edges.cpus["end"]),
        ledger=ledger(workload.effects(), before, after, offered, service.variant.equal_work),
    )
    return replace(trial, reasons=validity.gate_reasons(trial, arm.load, bench.generator_rps))


@contextmanager
def later(seconds: float, look: Callable[[], None]) -> Iterator[None]:
    """Call `look` once inside the context, in a thread, should it last so long."""
    timer = threading.Timer(seconds, look)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def crashed(arm: Arm, number: int, attempt: int, error: UserError) -> Trial:
    """The trial that could not be carried out because a server was gone."""
    return Trial(
        id=name_of(arm, number, attempt),
        arm=arm.id,
        round=number,
        attempt=attempt,
        started=now(),
        reasons=[Reason("crash", str(error).splitlines()[0])],
    )


def name_of(arm: Arm, number: int, attempt: int) -> str:
    """What a trial and its record file are called."""
    return f"r{number:02}-a{attempt}-{file_name(arm)}"


def file_name(arm: Arm) -> str:
    """The arm's id as part of a file's name."""
    return re.sub(r"[^a-z0-9.=-]+", "_", arm.id.lower())


def now() -> str:
    """UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def per_worker(pids: Collection[int], service: Service) -> list[int] | None:
    """The clients' connections of each worker; None where that cannot be seen.

    A stack of several processes for one worker may have a router, which holds the connections of all its workers.
    """
    if not pids or service.stack.identity.processes > 1:
        return None
    counts = connection_counts(pids, service.port)
    return counts + [0] * (int(service.settings.get("workers", 1)) - len(counts))


def ledger(effects: Effects, before: Counts, after: Counts, offered: Offered, equal_work: bool) -> list[Entry]:
    """What all answers of the trial imply, warm-up included, beside what the other sides counted.

    A request that was sent and not answered as it should may or may not have had its effect: that is the slack.
    A variant that does other work on purpose may send other statements; they are counted all the same.
    """
    answered, doubtful = offered.trial.right, offered.doubtful
    sides = {
        STATEMENTS: (effects.statements, difference(before.statements, after.statements)),
        "new rows": (effects.rows, after.rows - before.rows),
        "upstream calls": (effects.upstream, after.upstream - before.upstream),
        "files from Nginx": (effects.fixtures, after.fixtures - before.fixtures),
    }
    return [
        Entry(what, answered * each, counted, doubtful * each, equal_work or what != STATEMENTS)
        for what, (each, counted) in sides.items()
    ]


def difference(before: N | None, after: N | None) -> N | None:
    """How much a counter grew; None when it cannot be read."""
    return None if before is None or after is None else after - before


Look = Callable[[Edge], None]
"""What is to be done as the window opens and closes."""


def load_once(
    bench: Bench,
    service: Service,
    arm: Arm,
    workload: Workload,
    timing: Timing,
    look: Look,
    beside: AbstractContextManager[object] | None = None,
) -> Trial:
    """Put the running service under the arm's load once, by the own generator, with `beside` at work all the while.

    The trial is never one of the run's: it has no ledger, its requests are not kept, and few of the gates are asked.
    Raises UserError when a server or the generator is gone.
    """
    runtime, load = bench.runtime, replace(arm.load, tool=None, requests=None)
    cores = share_cores(bench.cpus, int(service.settings.get("workers", 1)), bench.shards)
    runtime.pin(service, cores)
    if upstream_counts(runtime).rows != SEEDED_ROWS:
        runtime.reset_notes()
    edges = Edges(runtime, service)

    def windows(edge: Edge, at: float) -> None:
        edges.read(edge, at)  # first, for it is to be of this instant
        look(edge)

    blank = Trial(id="", arm=arm.id, round=0, attempt=0, started=now())
    plan = plan_of(service, load, workload, timing, zlib.crc32(f"{bench.seed} {arm.id}".encode()))
    with (
        TemporaryDirectory() as scratch,
        sampling(Meter(runtime, service.stack.name)) as peaks,
        beside or nullcontext(),
    ):
        offered = by_generator(
            blank,
            plan,
            warm_up_of(service, load, workload),
            Path(scratch) / "records.npy",
            cores.generator,
            min(bench.shards, load.users or bench.shards),
            windows,
        )
    if offered.in_hand:
        runtime.restart(service)
    trial = replace(
        offered.trial,
        cpu_s=replace(offered.trial.cpu_s, stack=edges.cpu_s(service.stack.name)),
        threads=peaks.threads,
        foreign_share=edges.foreign_share(cores.stack, offered.trial.window_s),
        steal_share=steal_share(edges.cpus["start"], edges.cpus["end"]),
        records=None,
    )
    return replace(trial, reasons=[*validity.failed_requests(trial), *validity.disturbances(trial)])


class Seen(TypedDict):
    """What both passes keep of their trial."""

    arm: str
    started: str
    window_s: float
    goodput: float | None
    cpu_us: float | None
    reasons: list[Reason]


def seen(trial: Trial) -> Seen:
    """As the fields of `results.Extra`."""
    return Seen(
        arm=trial.arm,
        started=trial.started,
        window_s=trial.window_s,
        goodput=trial.goodput,
        cpu_us=trial.cpu_us(trial.cpu_s.stack),
        reasons=trial.reasons,
    )
