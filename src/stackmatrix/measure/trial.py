"""Time one window of one arm: prepare, warm up, load, and keep what client, servers and ledger say of it."""

import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

from stackmatrix.analysis import validity
from stackmatrix.catalog.stacks import Variant
from stackmatrix.catalog.workloads import Workload
from stackmatrix.cores import Cores, share_cores
from stackmatrix.errors import UserError
from stackmatrix.load.generator import Edge
from stackmatrix.measure.ledger import reconcile
from stackmatrix.measure.offered_load import offer
from stackmatrix.measure.server_side import ServerObserver
from stackmatrix.meter.upstreams import SEEDED_ROWS, Counts, server_counts
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, Load, Timing
from stackmatrix.results.reasons import Reason
from stackmatrix.results.trial import ClientSide, ServerSide, Trial
from stackmatrix.runtime.base import Runtime, Service
from stackmatrix.runtime.limits import check_limits

KEPT_LINES = 200  # of a stack's log that are kept with a trial


class HealingFailedError(UserError):
    """Says that an upstream does not start again, so that nothing more can be timed."""


@dataclass(frozen=True)
class Bench:
    runtime: Runtime
    cpus: tuple[int, ...]
    directory: RunDirectory
    seed: int
    shards: int = 1  # processes of the generator, each on a core of its own
    # the most that the generator can do on this machine; None when that was not measured
    generator_rps: float | None = None

    def cores(self, service: Service) -> Cores:
        return share_cores(self.cpus, int(service.settings.get("workers", 1)), self.shards)

    @contextmanager
    def alone(self, variant: Variant) -> Iterator[Service]:
        """Run one variant with every other stack standing still; whatever a crash took with it is started again."""
        try:
            with self.runtime.service(variant) as service, self.runtime.alone(service):
                yield service
        except UserError:
            self.heal()
            raise

    def with_log(self, trial: Trial, stack: str) -> Trial:
        """Keep the end of the stack's log where a trial's reasons send the reader to it."""
        if not any(reason.needs_log for reason in trial.reasons):
            return trial
        try:
            log = self.directory.keep_log(trial.id, self.runtime.logs(stack, KEPT_LINES))
        except UserError:  # a stack that never came up
            return trial
        return replace(trial, reasons=[replace(each, log=log) if each.needs_log else each for each in trial.reasons])

    def heal(self) -> None:
        """Start again whatever upstream has died; HealingFailedError when that fails, or the disk is full."""
        try:
            check_limits(self.directory.path)
            self.runtime.heal()
        except UserError as error:
            raise HealingFailedError(str(error)) from None


@dataclass(frozen=True)
class Driven:
    client: ClientSide
    server: ServerSide
    before: Counts
    after: Counts  # what the upstreams counted, around the whole trial
    doubtful: int  # requests that may or may not have had their effect


def drive(
    bench: Bench,
    service: Service,
    load: Load,
    workload: Workload,
    timing: Timing,
    seed: int,
    records: Path,
    at_edge: Callable[[Edge], None] | None = None,
    beside: AbstractContextManager[object] | None = None,
) -> Driven:
    """Prepare, pin, load and read a service that runs already; `workload` has the arm's parameters.

    `at_edge` is called as the window opens and closes, `beside` is at work all the while.
    Raises UserError when a server or the generator is gone.
    """
    runtime, cores = bench.runtime, bench.cores(service)
    runtime.pin(service, cores)
    runtime.reset_counters()
    before = server_counts(runtime, service.stack.name)
    if before.rows != SEEDED_ROWS:
        runtime.reset_notes()
        before = server_counts(runtime, service.stack.name)
    observer = ServerObserver(runtime, service)

    def on_edge(edge: Edge, _at: float) -> None:
        observer.read(edge)  # first, for it is to be of this instant
        if at_edge is not None:
            at_edge(edge)

    # A tool's window opens as it starts, when no connection is there to be counted yet.
    halfway = later(timing.window_s / 2, observer.count_connections) if load.tool else nullcontext()
    shards = min(bench.shards, load.users or bench.shards)
    with observer.sampling(), halfway, beside or nullcontext():
        offered = offer(service, load, workload, timing, seed, records, cores.generator, shards, on_edge)
    after = server_counts(runtime, service.stack.name)
    server = observer.side(cores.stack, offered.client.window_s, before, after)
    if offered.in_hand:
        runtime.restart(service)  # what it still has in hand would load the next trial
    return Driven(offered.client, server, before, after, offered.doubtful)


def timed_trial(
    bench: Bench, service: Service, arm: Arm, workload: Workload, timing: Timing, number: int, attempt: int
) -> Trial:
    """Time one arm once; its service runs already, alone. Every request is kept in the run's directory.

    A server that is gone makes a trial with that reason against it; the upstreams are up again afterwards.
    """
    name, started, began = name_of(arm, number, attempt), utc_now(), time.time()
    # The same arrivals for every arm that is compared, so that their chance cancels in the ratios of a round.
    seed = zlib.crc32(f"{bench.seed} {number} {attempt} {arm.load.label}".encode())
    try:
        driven = drive(bench, service, arm.load, workload, timing, seed, bench.directory.records_file(name))
    except UserError as error:
        trial = crashed(arm, number, attempt, error)
        trial = replace(trial, reasons=[*interferences(bench.runtime, began), *trial.reasons])
        trial = bench.with_log(trial, service.stack.name)
        bench.heal()
        return trial
    trial = Trial(
        id=name,
        arm=arm.id,
        round=number,
        attempt=attempt,
        started=started,
        client=driven.client,
        server=driven.server,
        ledger=reconcile(
            workload, driven.before, driven.after, driven.client.right, driven.doubtful, service.variant.equal_work
        ),
    )
    reasons = validity.gate_reasons(trial, arm.load, bench.generator_rps, timing.fitted, service.settings)
    seen = {reason.kind for reason in reasons}
    reasons += [reason for reason in interferences(bench.runtime, began) if reason.kind not in seen]
    return bench.with_log(replace(trial, reasons=reasons), service.stack.name)


def interferences(runtime: Runtime, since: float) -> list[Reason]:
    """Name what befell the servers from outside, which no figure of the trial tells by itself."""
    return [
        Reason("oom", f"a process of {server} was killed for want of memory")
        if what == "out of memory"
        else Reason("disturbed", f"{server} was paused from outside")
        for server, what in runtime.interferences(since)
    ]


def crashed(arm: Arm, number: int, attempt: int, error: UserError) -> Trial:
    """Make the trial that failed because a server was gone."""
    reason = Reason("crash", str(error).splitlines()[0])
    return Trial(name_of(arm, number, attempt), arm.id, number, attempt, utc_now(), reasons=[reason])


def extra_trial(
    bench: Bench,
    service: Service,
    arm: Arm,
    workload: Workload,
    timing: Timing,
    at_edge: Callable[[Edge], None] | None = None,
    beside: AbstractContextManager[object] | None = None,
) -> Trial:
    """Put a running service under the arm's load once more, by the own generator, with instrumentation beside it.

    It is none of the run's trials: it has no ledger, its requests are not kept, and few of the gates are asked.
    Raises UserError when a server or the generator is gone.
    """
    started, load = utc_now(), replace(arm.load, tool=None, requests=None)
    seed = zlib.crc32(f"{bench.seed} {arm.id}".encode())
    with TemporaryDirectory() as scratch:
        records = Path(scratch) / "records.npy"
        driven = drive(bench, service, load, workload, timing, seed, records, at_edge, beside)
    client = replace(driven.client, records=None)
    trial = Trial(id="", arm=arm.id, round=0, attempt=0, started=started, client=client, server=driven.server)
    return replace(trial, reasons=[*validity.failed_requests(trial, service.settings), *validity.disturbances(trial)])


class ExtraFields(TypedDict):
    arm: str
    started: str
    window_s: float
    goodput: float | None
    cpu_us: float | None
    reasons: list[Reason]


def extra_fields(trial: Trial) -> ExtraFields:
    return ExtraFields(
        arm=trial.arm,
        started=trial.started,
        window_s=trial.client.window_s,
        goodput=trial.client.goodput,
        cpu_us=trial.stack_cpu_us,
        reasons=trial.reasons,
    )


@contextmanager
def later(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Call `act` once inside the context, in a thread, if it lasts that long."""
    timer = threading.Timer(seconds, act)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def name_of(arm: Arm, number: int, attempt: int) -> str:
    return f"r{number:02}-a{attempt}-{arm.file_name}"


def utc_now() -> str:
    """Say the time to the millisecond, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
