"""One timed window of one arm: prepare, warm up, read, load, read, and everything that was counted meanwhile."""

import math
import re
import sys
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, TypeVar

import numpy as np

from stackmatrix import gates
from stackmatrix.catalog.workloads import Effects, Request, Workload
from stackmatrix.errors import UserError
from stackmatrix.load import summary
from stackmatrix.load.generator import Edge, Outcome, Pace, Progress, generate
from stackmatrix.load.plan import Closed, Exchange, Kind, Open, Plan, Step, render
from stackmatrix.load.recorder import Verdict
from stackmatrix.load.records import Records, load
from stackmatrix.meter.meter import Meter, Reading, sampling
from stackmatrix.meter.processes import Cpus, busy_seconds, cpus, steal_share
from stackmatrix.meter.sockets import held
from stackmatrix.meter.upstreams import SEEDED_ROWS, Counts, count, sessions
from stackmatrix.results import Arm, Cpu, Entry, Errors, Latency, Load, Reason, RunDirectory, Timing, Trial
from stackmatrix.runtime.base import UPSTREAMS, Runtime, Service, share_cores

N = TypeVar("N", int, float)

LEAST_TIMEOUT_S = 60.0
"""A request that outlasts the whole trial is unfinished, which is reported; only a shorter limit would be a failure."""
LONGEST_S = 4.0
"""The most to which a window is lengthened for slow answers, and the most that answers under way at its end are waited
for; what takes longer is not waited for at all: a part of it would tell nothing."""
WHOLE_SLOTTED_S = 1.0
"""A response time of up to so long should fit into the window even where slots take requests in an even stream."""
MARGIN = 1.25
LEAST_ANSWERS = 8
"""That a window should hold."""
STATEMENTS = "SQL statements"
STUCK = 10
"""Times the slowest answer."""


@dataclass(frozen=True)
class Bench:
    """What every trial of a run needs."""

    runtime: Runtime
    cpus: tuple[int, ...]
    directory: RunDirectory
    seed: int
    shards: int = 1
    """Processes of the generator, each on a core of its own."""


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
            self.connections_per_worker = per_worker(self.after, self.service)

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


class WarmUp:
    """Ends the warm-up once throughput holds, and fits window and drain to what it saw.

    It holds when two spans of 0.2 s in a row differ by less than a tenth, or by less than three standard deviations of
    a count, and every user that can be served at once had an answer. A window holds at least LEAST_ANSWERS, and a
    whole response time (N/X, by Little's law) where nothing but the CPU orders the answers: they may come in bursts.
    """

    SPAN = 2  # ticks of the generator, ten a second

    def __init__(self, users: int | None, slots: int | None) -> None:
        self._users = users
        self._slots = slots
        self._seen: list[Progress] = []

    def steady(self, progress: Progress) -> bool:
        """Whether throughput holds."""
        self._seen.append(progress)
        least = min(self._users or 0, 2 * self._slots if self._slots else sys.maxsize)
        if len(self._seen) <= 2 * self.SPAN or progress.ended < least:
            return False
        last, middle, first = (self._seen[-1 - i * self.SPAN].ended for i in range(3))
        now, earlier = last - middle, middle - first
        return abs(now - earlier) <= max(0.1 * earlier, 3 * (now + earlier) ** 0.5) and now > 0

    def pace(self, plan: Plan) -> Pace:
        """A window and a drain that fit the rate of answers so far; the drain is the plan's own where no users bound
        what is under way."""
        ended, at = (self._seen[-1].ended, self._seen[-1].at) if self._seen else (0, 0.0)
        each = at / ended if ended else math.inf
        if not self._users:
            return Pace(max(plan.duration_s, min(LEAST_ANSWERS * each, LONGEST_S)), plan.drain_s)
        response = self._users * each
        whole = min(response * MARGIN, WHOLE_SLOTTED_S if self._slots else LONGEST_S)
        window = max(plan.duration_s, min(max(whole, LEAST_ANSWERS * each), LONGEST_S))
        return Pace(window, plan.drain_s if response * MARGIN <= plan.drain_s else 0.0)


def measure(
    bench: Bench, service: Service, arm: Arm, workload: Workload, timing: Timing, number: int, attempt: int
) -> Trial:
    """Time one arm once; its service runs already, alone. Every request is kept in the run's directory.

    `workload` has the arm's parameters. Raises UserError when a server or the generator is gone.
    """
    runtime = bench.runtime
    cores = share_cores(bench.cpus, int(service.settings.get("workers", 1)), bench.shards)
    runtime.pin(service, cores)
    waiting = workload.waiting()
    name = name_of(arm, number, attempt)
    file = bench.directory.records_file(name)
    started = now()
    edges = Edges(runtime, service)
    runtime.reset_counters()
    before = count(runtime)
    if before.rows != SEEDED_ROWS:
        runtime.reset_notes()
        before = count(runtime)
    with sampling(Meter(runtime, service.stack.name)) as peaks:
        outcome = generate(
            plan_of(service, arm.load, workload, timing, zlib.crc32(f"{bench.seed} {name}".encode())),
            records=file,
            cpus=cores.generator,
            shards=bench.shards,
            on_window=edges.read,
            warm_up=None
            if arm.load.steps
            else WarmUp(arm.load.users, service.variant.slots(waiting.on) if waiting else None),
        )
    after = count(runtime)
    if (outcome.records["verdict"] == Verdict.UNFINISHED).any():
        runtime.restart(service)  # what it still has in hand would load the next trial
    seen = summary.summarise(outcome)
    inside = right_answers(outcome.records, outcome.start, outcome.end)
    trial = Trial(
        id=name,
        arm=arm.id,
        round=number,
        attempt=attempt,
        started=started,
        warmup_s=outcome.start - outcome.began,
        window_start=outcome.start,
        window_s=seen.seconds,
        offered=round(seen.offered_rps * seen.seconds),
        answered=len(inside),
        unfinished=seen.under_way,
        goodput=goodput(seen, outcome),
        little=seen.little,
        halves=halves(outcome),
        errors=failures(seen.errors),
        errors_outside=failures(summary.errors(outside(outcome))),
        stuck=stuck(outcome.records, outcome.given_up),
        latency_ms=latency(inside),
        bytes=int(inside["bytes"].sum()),
        cpu_s=Cpu(
            stack=edges.cpu_s(service.stack.name),
            generator=outcome.cpu_s,
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
        connections=outcome.connections,
        reconnects=outcome.reconnects,
        connections_per_worker=edges.connections_per_worker,
        generator_share=outcome.busiest,
        drift_p99_ms=seen.drift_p99_ms,
        foreign_share=edges.foreign_share(cores.stack, seen.seconds),
        steal_share=steal_share(edges.cpus["start"], edges.cpus["end"]),
        right=int((outcome.records["verdict"] == Verdict.OK).sum()),
        ledger=ledger(workload.effects(), before, after, outcome.records, service.variant.equal_work),
        records=f"records/{file.name}",
    )
    return replace(trial, reasons=gates.reasons(trial, arm.load))


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


def plan_of(service: Service, load: Load, workload: Workload, timing: Timing, seed: int) -> Plan:
    """What the generator is to do."""
    waiting = workload.waiting()
    wait_s = waiting.seconds if waiting else None
    if load.kind == "closed":
        # Users that start together stay in step when a wait of fixed length is all they do, and then a window counts
        # one round more or less; started over the length of the wait they are spread as in the long run.
        ramp_s = min(wait_s or 0.0, timing.warmup_s) if load.ramp_s is None else load.ramp_s
        offered: Closed | Open = Closed(load.users or 1, load.think_s, ramp_s)
    else:
        steps = tuple(Step(step.after_s, step.rate) for step in load.steps)
        offered = Open(load.rate or 1.0, load.arrivals or "poisson", steps=steps)
    host = f"{service.host}:{service.port}"
    exchanges = tuple(exchange(request, host) for request in workload.requests())
    return Plan(
        host=service.host,
        port=service.port,
        kinds=(Kind(workload.name, exchanges),),
        load=offered,
        warmup_s=timing.warmup_s,
        duration_s=timing.window_s,
        timeout_s=max(LEAST_TIMEOUT_S, timing.warmup_s + max(timing.window_s, LONGEST_S) + LONGEST_S + 1),
        drain_s=LONGEST_S,
        seed=seed,
    )


def exchange(request: Request, host: str) -> Exchange:
    """A request of the catalogue as the generator sends it."""
    headers = {"Content-Type": "application/json"} if request.body is not None else None
    data = render(request.method, request.target, host=host, headers=headers, body=request.body)
    return Exchange(data, request.expected.status, request.expected.prefix, request.expected.suffix)


def goodput(seen: summary.Summary, outcome: Outcome) -> float:
    """Expected answers per second: each counted by the share of its time that lies in the window.

    Counting ends alone is off by up to a whole round when users are in step. Where requests under way at the
    window's end outlast the drain their shares are unknown, and ends are counted.
    """
    return seen.rps if cut(outcome) else seen.prorated_rps


def cut(outcome: Outcome) -> bool:
    """Whether requests of the window were still under way when the drain was over."""
    records = outcome.records
    return bool(((records["verdict"] == Verdict.UNFINISHED) & (records["scheduled"] < outcome.end)).any())


def halves(outcome: Outcome) -> tuple[float, float] | None:
    """Goodput of the window's halves, each answer counted by its shares; None where those are not known."""
    if cut(outcome):
        return None
    right = outcome.records[outcome.records["verdict"] == Verdict.OK]
    half = (outcome.end - outcome.start) / 2
    first, second = (
        float(summary.shares(right, start, start + half).sum()) / half
        for start in (outcome.start, outcome.start + half)
    )
    return first, second


def outside(outcome: Outcome) -> Records:
    """The requests that ended, and are not in the window's sample."""
    records = outcome.records
    instants = records["end" if isinstance(outcome.plan.load, Closed) else "scheduled"]
    found: Records = records[~summary.within(instants, outcome.start, outcome.end) & ~np.isnan(records["end"])]
    return found


def failures(counts: Mapping[str, int]) -> Errors:
    """Verdicts as errors; a request that was cut off is none."""
    return Errors(**{key: count for key, count in counts.items() if key in Errors.__slots__})


def stuck(records: Records, given_up: float) -> int:
    """Requests that got no answer until `given_up`, though they had far longer than any answer took."""
    took = records["end"] - records["sent"]
    if np.isnan(took).all():
        return 0
    waited = given_up - records["sent"][records["verdict"] == Verdict.UNFINISHED]
    return int((waited > STUCK * np.nanmax(took)).sum())


def per_worker(pids: Collection[int], service: Service) -> list[int] | None:
    """The clients' connections of each worker; None where that cannot be seen.

    A stack of several processes for one worker may have a router, which holds the connections of all its workers.
    """
    if not pids or service.stack.processes > 1:
        return None
    counts = held(pids, service.port)
    return counts + [0] * (int(service.settings.get("workers", 1)) - len(counts))


def right_answers(records: Records, start: float, end: float) -> Records:
    """The expected answers that ended in the window: the sample of latencies, CPU and bytes per request."""
    inside: Records = records[summary.within(records["end"], start, end) & (records["verdict"] == Verdict.OK)]
    return inside


def latency(records: Records) -> Latency:
    """Percentiles of some records' latencies."""
    ms = np.sort(records["end"] - records["scheduled"]) * 1e3
    if not len(ms):
        return Latency()
    p50, p90, p99, p999 = (summary.percentile(ms, percent) for percent in (50, 90, 99, 99.9))
    return Latency(float(ms.mean()), p50, p90, p99, p999, float(ms[-1]))


def pooled_latency(directory: RunDirectory, trials: Sequence[Trial]) -> Latency:
    """The latencies of all requests of some trials together, from the records on disk."""
    parts = [
        right_answers(load(directory.path / trial.records), trial.window_start, trial.window_start + trial.window_s)
        for trial in trials
        if trial.records is not None
    ]
    return latency(np.concatenate(parts)) if parts else Latency()


def ledger(effects: Effects, before: Counts, after: Counts, records: Records, equal_work: bool) -> list[Entry]:
    """What all answers of the trial imply, warm-up included, beside what the other sides counted.

    A request that was sent and not answered as it should may or may not have had its effect: that is the slack.
    A variant that does other work on purpose may send other statements; they are counted all the same.
    """
    answered = int((records["verdict"] == Verdict.OK).sum())
    doubtful = int((~np.isnan(records["sent"])).sum()) - answered
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
