"""The on-disk format of a run, typed: written as it is measured, validated whenever it is read.

A run is a directory `results/<UTC time>-<experiment>/`: `environment.json` (where it was measured),
`trials.jsonl` (one line per trial, appended as soon as it ends), `records/` (every request of every trial)
and `run.json` (what the analysis made of them). `docs/results.md` describes each field.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from stackmatrix.catalog import ROOT
from stackmatrix.errors import UserError

SCHEMA = 1
RESULTS = ROOT / "results"
STAMP = "%Y%m%dT%H%M%SZ"
TRIALS = "trials.jsonl"
LEVELS = "levels.jsonl"
EXPLAINING = "explaining.jsonl"
PROFILES = "profiles.jsonl"

T = TypeVar("T")

ReasonKind = Literal[
    "errors",
    "stuck",
    "reconnects",
    "generator",
    "drift",
    "little",
    "unsteady",
    "neighbour",
    "steal",
    "throttled",
    "oom",
    "restart",
    "ledger",
    "unequal",
    "identity",
    "overlap",
    "contract",
    "crash",
    "unfinished",
    "untimed",
    "lacking",
]

REMEDIES: dict[ReasonKind, str] = {
    "errors": "read the stack's log and run ./scripts/check-contract.py; a failing stack has no speed",
    "stuck": "some requests are never answered while others are: read the stack's log; a body may be shorter than said",
    "reconnects": "the stack closes connections between requests: mend its keep-alive, or its limit of requests",
    "generator": "the generator was near its own limit: give it a core of its own or more shards",
    "drift": "requests left late: lower the rate, or give the generator a core of its own",
    "little": "throughput × latency does not add up to the users: lengthen the window (--duration)",
    "unsteady": "the stack was not warm, or something else ran: lengthen the window (--duration) and repeat",
    "neighbour": "something else ran on the stack's core: quiet the machine and repeat",
    "steal": "the host took CPU time away: use a machine that is not shared",
    "throttled": "a CPU quota held the stack back: remove the container's limit",
    "oom": "the kernel killed a process for memory: raise the container's memory limit",
    "restart": "a process of the stack came or went under load: read its log",
    "ledger": "what was answered is not what was done elsewhere: the two sides are printed; the stack is not honest",
    "unequal": "the stacks do not do the same work: give this one a pool of database sessions that lasts",
    "identity": "what runs is not what the manifest says: mend stack.toml or the stack",
    "overlap": "run ./scripts/check-contract.py --only overlap, and mend [capacity] in stack.toml or what blocks",
    "contract": "run ./scripts/check-contract.py and mend the first difference",
    "crash": "the stack or an upstream died: read its log, then go on with --resume",
    "untimed": "give the run more time, or go on with --resume",
    "unfinished": "lengthen the window (--duration): too few requests end in it",
    "lacking": "install what the line names, or use --runtime docker; the other stacks are timed",
}


NOISE: frozenset[ReasonKind] = frozenset({"neighbour", "steal", "drift", "little", "unsteady", "unfinished"})
"""What the machine or a short window did to a trial; every other kind speaks against the stack or the generator."""


NO_FAULT: frozenset[ReasonKind] = NOISE | {"generator", "lacking", "untimed"}
"""Reasons why a number is missing that speak against no stack."""

WALL_CLOCK: frozenset[ReasonKind] = frozenset({"neighbour", "steal", "drift", "little"})
"""What moves rates and latencies, and leaves CPU per request as it is."""


OTHER_REMEDY = "another version of the harness gave this reason: see docs/method.md as of the run's revision"

if TYPE_CHECKING:
    AnyKind = ReasonKind
else:
    AnyKind = str  # a run on disk may know kinds that this harness does not, or no longer; they are shown as they are


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a number is not to be trusted; its kind carries the remedy."""

    kind: AnyKind
    detail: str
    """What was seen, with its figures."""

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES.get(self.kind, OTHER_REMEDY)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger: what the answers imply, and what was counted on the other side."""

    what: str
    """SQL statements, new rows, upstream calls, or files from Nginx."""
    implied: int
    """By the answers."""
    counted: int | None
    """By the other side; None where it cannot be asked."""
    slack: int = 0
    """How far the two may differ honestly, for requests that were cut off in flight."""
    binding: bool = True
    """False where the variant does other work on purpose: then the count is shown, and holds nobody to anything."""

    @property
    def balanced(self) -> bool | None:
        """Whether the two sides agree; None when the other side could not be asked, or need not."""
        return None if self.counted is None or not self.binding else 0 <= self.counted - self.implied <= self.slack


@dataclass(frozen=True, slots=True)
class LoadStep:
    """So many seconds after the load began, another rate of arrivals."""

    after_s: float
    rate: float


@dataclass(frozen=True, slots=True)
class Load:
    """How requests are offered: N users without think time, or arrivals per second."""

    kind: Literal["closed", "open"]
    users: int | None = None
    """Closed loop: each sends its next request when the last is answered and thought about."""
    think_s: float = 0.0
    rate: float | None = None
    """Open loop: arrivals per second."""
    arrivals: Literal["poisson", "constant"] | None = None
    ramp_s: float | None = None
    """Over which the users are started; None for as long as one request waits."""
    requests: int | None = None
    """After which a tool ends, for those that count instead of watching the clock."""
    tool: str | None = None
    """Which well-known tool offers it; None for the project's own generator."""
    timeout_s: float | None = None
    """After which a request has failed; None for longer than the trial."""
    steps: tuple[LoadStep, ...] = ()
    """Changes of an open load's rate, without a gap; its warm-up then takes exactly its time."""

    @property
    def label(self) -> str:
        """As the tables show it."""
        users = f"{self.users} user{'' if self.users == 1 else 's'}"
        offered = users if self.kind == "closed" else f"{self.rate:g}/s {self.arrivals or 'poisson'}"
        return f"{offered} by {self.tool}" if self.tool else offered


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one trial warms up at most, and measures at least, in seconds."""

    warmup_s: float
    window_s: float


@dataclass(frozen=True, slots=True)
class Arm:
    """A stack variant under one workload and load: what gets a number."""

    id: str
    """Stack variant, workload with the parameters that differ from its file, and load."""
    stack: str
    variant: dict[str, int | str | bool]
    """The settings that differ from the stack's defaults."""
    workload: str
    params: dict[str, int | str]
    """All parameters of the workload."""
    load: Load
    twin_of: str | None = None
    """The arm that this one repeats, for an A/A arm."""
    timing: Timing | None = None
    """Of this arm alone; None for the plan's."""
    rounds: int | None = None
    """In how many rounds it takes part, the first ones; None for all."""
    expects_failures: bool = False
    """It is shown failing: what fails is counted, and nothing of it is repeated."""
    overlaps: bool = True
    """Whether its variant is held to the capacity that it declares, before it is timed."""

    @property
    def repeats(self) -> bool:
        """Whether its round is repeated when there is a reason against its trial."""
        return not (self.expects_failures or self.load.tool)


@dataclass(frozen=True, slots=True)
class Errors:
    """Requests that failed in the window, by how."""

    status: int = 0
    """Another status than the right one."""
    body: int = 0
    """The right status with another body."""
    timeout: int = 0
    """No answer within the request's limit."""
    connect: int = 0
    """No connection could be opened."""
    closed: int = 0
    """The connection was closed or reset before the answer was complete."""
    protocol: int = 0
    """What came was not HTTP/1.1."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.status + self.body + self.timeout + self.connect + self.closed + self.protocol

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(*(getattr(self, name) + getattr(other, name) for name in Errors.__slots__))

    def __str__(self) -> str:
        """In words: `3 status, 1 timeout`."""
        return ", ".join(f"{count} {name}" for name in Errors.__slots__ if (count := getattr(self, name))) or "none"


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the scheduled instant to the last byte; None where the sample cannot support it."""

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds in the window."""

    stack: float | None = None
    postgres: float | None = None
    nginx: float | None = None
    delay: float | None = None
    generator: float | None = None

    @property
    def upstreams(self) -> float | None:
        """Postgres, Nginx and the delay server together."""
        parts = (self.postgres, self.nginx, self.delay)
        return None if any(part is None for part in parts) else sum(part for part in parts if part is not None)


@dataclass(frozen=True, slots=True)
class ToolSays:
    """What another tool than the project's own generator said of its run."""

    tool: str
    version: str
    command: str
    """As one would type it."""
    requests: int
    """All that it counts in its rate."""
    seconds: float
    rps: float
    notes: list[str]
    """What it does not measure, or measures otherwise."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One timed window of one arm."""

    id: str
    arm: str
    round: int
    """From 0."""
    attempt: int
    """From 0; each repeat of a round is one more."""
    started: str
    """UTC, ISO 8601."""
    warmup_s: float = 0.0
    """As it was ended: when throughput held."""
    window_start: float = 0.0
    """CLOCK_MONOTONIC seconds, as the instants in the records are."""
    window_s: float = 0.0
    """The window begins at `window_start` and is so long."""
    offered: int = 0
    """Requests due in the window."""
    answered: int = 0
    """Expected answers that ended in it."""
    unfinished: int = 0
    """Requests due before its end that had not ended by then."""
    goodput: float = 0.0
    """Expected answers per second."""
    little: float | None = None
    """X(R+Z)/N of a closed loop: 1 when nothing was lost."""
    halves: tuple[float, float] | None = None
    """Goodput of the first and of the second half; None where too much was under way at the end to tell."""
    errors: Errors = field(default_factory=Errors)
    """Of the window's requests."""
    errors_outside: Errors = field(default_factory=Errors)
    """Requests that failed before or after the window."""
    first_answer_s: float | None = None
    """From the beginning of the load to the first right answer, warm-up included."""
    stuck: int = 0
    """Requests without an answer at the very end, after ten times as long as the slowest answer took."""
    latency_ms: Latency = field(default_factory=Latency)
    """Of the expected answers; a percentile needs ten records beyond it."""
    bytes: int = 0
    """Of the expected answers' bodies."""
    cpu_s: Cpu = field(default_factory=Cpu)
    memory_mib: float | None = None
    """The most anonymous memory of the stack that was sampled; page cache is not counted."""
    threads: int | None = None
    """The most that were seen of the stack, from outside."""
    processes: int | None = None
    """Likewise."""
    started_processes: int = 0
    ended_processes: int = 0
    """Processes of the stack that came and went between the trial's beginning and the window's end."""
    throttled: dict[str, int] = field(default_factory=dict)
    """Periods in which the kernel held a stack or upstream back for its CPU quota, where there were any."""
    oom_kills: dict[str, int] = field(default_factory=dict)
    """Processes that the kernel killed for want of memory, where there were any."""
    db_sessions: int | None = None
    """Of the stack, after the trial."""
    new_db_sessions: int = 0
    """Database sessions that were opened in the whole trial."""
    database_s: float | None = None
    """Seconds that the database itself counted as spent on statements, in the whole trial."""
    upstream_in_flight: int | None = None
    """The most calls that the delay server held at the same time, in the whole trial."""
    connections: int = 0
    """That the generator opened."""
    reconnects: int = 0
    """Connections that replaced another one."""
    connections_per_worker: list[int] | None = None
    """When the window opened, the most first; None where that cannot be seen, or a router stands before the workers."""
    generator_share: float | None = None
    """Of its core, by the generator's busiest process."""
    drift_p99_ms: float | None = None
    """How late the latest 1 % of requests left."""
    foreign_share: float | None = None
    """Share of the stack's cores that went to anything but the stack."""
    steal_share: float = 0.0
    """Of the CPU time, by the machine's host."""
    right: int = 0
    """Right answers of the whole trial, which is what the ledger is about."""
    ledger: list[Entry] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    """Why the trial must not count; none when it passed every gate."""
    records: str | None = None
    """The file with a row per request, in the run's directory; None where a tool keeps none."""
    told: ToolSays | None = None
    """None when the project's own generator offered the load."""

    def cpu_us(self, seconds: float | None) -> float | None:
        """Seconds of CPU in the window as µs per expected answer."""
        return None if seconds is None or not self.answered else seconds * 1e6 / self.answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """Where a request's time went, on average: as the application timed it with SERVER_TIMING on, and its client."""

    requests: int = 0
    """Of which this is the mean."""
    response_s: float
    total_s: float
    """From the application's first line to the head of its answer."""
    queue_s: float | None = None
    """Waiting for a thread."""
    db_s: float | None = None
    """With the database, waiting for a connection to it included."""
    gather_s: float | None = None
    """With upstreams, files or the timer, waiting for a connection included."""
    encode_s: float | None = None
    lag_s: float | None = None
    """How late the event loop was for a timer; no part of the response time, but what made it longer."""
    sessions_active: float | None = None
    """Database sessions of the stack that were at work, and those that were not, as the database said."""
    sessions_idle: float | None = None

    @property
    def outside_s(self) -> float:
        """Before and after the application: its server, the kernel, the network, the client."""
        return self.response_s - self.total_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """An arm's window after the rounds, in which more was looked at than in a trial."""

    arm: str
    started: str
    window_s: float = 0.0
    goodput: float | None = None
    cpu_us: float | None = None
    """CPU-µs of the stack per request."""
    reasons: list[Reason] = field(default_factory=list)
    """What the machine did to it, or failed: then what looking cost cannot be told."""
    missing: str | None = None
    """Why what was looked for was not found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained(Extra):
    """One line of `explaining.jsonl`."""

    observers: int = 0
    """Users of the load that read the whole of their answers' heads."""
    threads: int | None = None
    phases: Phases | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled(Extra):
    """One line of `profiles.jsonl`."""

    file: str | None = None
    """The flame graph, relative to the run's directory."""
    samples: int = 0


@dataclass(frozen=True, slots=True)
class Passes:
    """What was looked at after the rounds, by arm."""

    explained: dict[str, Explained] = field(default_factory=dict)
    profiled: dict[str, Profiled] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cost:
    """What looking cost an arm: goodput and CPU per request meanwhile, as multiples of the headline's."""

    goodput: float | None = None
    cpu: float | None = None
    unknown: list[str] = field(default_factory=list)
    """Why it cannot be told: what else went on in that one trial."""


@dataclass(frozen=True, slots=True)
class FlameGraph:
    """A profile of an arm."""

    file: str
    samples: int
    cost: Cost


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval; None for the interval when the rounds are too few for one."""

    value: float
    ci95: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class CpuPerRequest:
    """CPU-µs per request, by who spent it."""

    stack: float | None
    upstreams: float | None
    generator: float | None


@dataclass(frozen=True, slots=True)
class Ratio:
    """An arm's goodput as a multiple of the baseline's, paired by round."""

    baseline: str
    """The other arm's id: the first valid one of the same workload and load."""
    value: float
    ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class CeilingShare:
    """The most that physics allows the arm, the term that binds it, and the share reached."""

    goodput: float
    """The most that physics allows."""
    bound: str
    """The term that allows the least."""
    share: float
    """Reached of it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What was seen of a stack before its first trial; None where it cannot be seen."""

    processes: int | None
    threads: int | None
    loop: str | None
    """Whose event loop runs."""
    server: str | None
    versions: dict[str, str]
    """As the stack says."""
    keep_alive: bool
    db_sessions: int
    """At rest."""
    installed: dict[str, list[str]] = field(default_factory=dict)
    """Versions that stand where its processes have loaded their libraries from."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the queueing model expects, its band, and goodput as a share of it."""

    goodput: float
    response_ms: float | None
    band: tuple[float, float]
    """Where a goodput agrees with the model."""
    share: float
    """Measured ÷ predicted."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Which assumption of the model is in doubt where goodput lies outside its band."""

    kind: str
    """Which assumption."""
    words: str


@dataclass(frozen=True, slots=True)
class ArmResult:
    """What a run says of one arm; numbers are None when it is not valid."""

    id: str
    stack: str
    variant: dict[str, int | str | bool]
    workload: str
    params: dict[str, int | str]
    load: Load
    rounds: int
    """That count."""
    repeated: int
    """Trials that were repeated."""
    valid: bool
    reasons: list[Reason]
    """Why it is not valid, or which rounds the machine spoiled."""
    goodput: Interval | None
    """Hodges–Lehmann centre over the rounds, with the exact Wilcoxon interval."""
    latency_ms: Latency
    """Of the pooled records of all rounds that count."""
    errors: Errors
    """In all rounds."""
    cpu_us_per_request: CpuPerRequest
    """The median over the rounds."""
    memory_mib: float | None
    """The most over the rounds, as threads and sessions."""
    threads: int | None
    db_sessions: int | None
    ceiling: CeilingShare | None
    """The most that physics allows it."""
    predicted: Predicted | None = None
    """What the queueing model expects."""
    verdict: str = "void"
    """What bound it: load, slots, server-cpu, database, upstream, generator; or void."""
    pool: str | None = None
    """Which slots, where slots bound it."""
    utilisation: dict[str, float] = field(default_factory=dict)
    """Of each resource that was metered, by this arm's requests."""
    doubt: Disagreement | None = None
    """Where goodput lies outside the model's band."""
    explanation: list[str] = field(default_factory=list)
    """Why, in sentences."""
    settings: dict[str, int | str | bool] = field(default_factory=dict)
    """All settings in force."""
    ratio: Ratio | None = None
    rank: int | None = None
    """Among the arms of the same workload and load; arms that cannot be told apart share one."""
    ledger: list[Entry] = field(default_factory=list)
    """The ledgers of all rounds added up."""
    phases: Phases | None = None
    """Where a request's time went in the explaining pass."""
    explaining: Cost | None = None
    """What that pass cost."""
    profile: FlameGraph | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms of one workload and load, by their ids, and what their figures say of each other."""

    first: str
    second: str
    explanation: list[str]
    """Why, in sentences."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The noise floor of a run: its A/A ratio and the difference below which nothing can be told apart."""

    value: float
    """The arm that was timed twice against itself: the ratio of the copies."""
    ci95: tuple[float, float] | None
    floor: float
    """The relative difference below which nothing is told apart."""
    valid: bool | None = None
    """False when the copies differ: then the run tells nothing apart; None below six rounds."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Which experiment a run carries out, how much shorter than published, and the run's arms by its arms' names."""

    name: str
    waits: float
    windows: float
    """What the published waits and windows are multiplied by."""
    arms: dict[str, tuple[str, str]]
    """By the project's own generator, and by the original tool."""


@dataclass(frozen=True, slots=True)
class Side:
    """A figure of one arm of an experiment, as the project's own generator or the original tool has it."""

    predicted: float | None = None
    """What the model expects in this very window."""
    measured: float | None = None
    ci95: tuple[float, float] | None = None
    at_scale: float | None = None
    """As it would be with the published waits."""

    @property
    def share(self) -> float | None:
        """Measured ÷ predicted."""
        return self.measured / self.predicted if self.measured is not None and self.predicted else None


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    """One figure of one arm: published, predicted, measured."""

    arm: str
    """As the experiment names it."""
    ids: tuple[str, str]
    """Of the run's arms: by the project's own generator, by the tool."""
    metric: str
    unit: str
    published: float | None
    explained: float | None
    """What the model makes of the published command."""
    own: Side
    tool: Side
    void: str = ""
    """Why it is void for comparison; empty when it is not."""


ClaimOutcome = Literal["holds", "fails", "unknown"]


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """What became of one claim."""

    outcome: ClaimOutcome
    words: str
    metric: str
    value: float | None
    least: float | None
    most: float | None
    arms: list[str]


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """A question, and what the run's own measurements say to it."""

    name: str
    question: str
    source: str
    command: str
    """As it was published."""
    waits: float
    windows: float
    rows: list[ExperimentRow]
    claims: list[ClaimResult]
    answer: list[str]
    differences: list[str]
    """Where the tool and the project's own generator differ, and why."""
    exceptions: list[str]
    """Arms bound by load or slots that are not as predicted, and why."""


ProbeOutcome = Literal["kept", "broken", "generator", "spoiled", "unsupported", "failed"]
"""Of one rate: the service level was kept, or broken; the generator could not offer it; the machine took part; too few
requests to judge by; the stack was gone, or its ledger did not balance."""


Purpose = Literal["search", "overload"]
"""What a probe of a service level is for."""

LevelEnd = Literal["found", "below", "above", "generator", "spoiled", "failed", "untimed"]
"""A rate was found; or even the least that can be judged was not kept; or even the most was; or the generator came to
its end first; or the machine took part; or the stack failed; or the time was over."""


@dataclass(frozen=True, slots=True)
class Overload:
    """What more than a stack can take did to it."""

    goodput: float
    """Right answers a second while it lasted."""
    value_ms: float | None
    """Of the level's metric, of the requests that came meanwhile; None where too many had no answer."""
    recovery_s: float | None
    """From its end until requests in a row were answered within the limit; None where that was not seen."""
    watched_s: float


@dataclass(frozen=True, slots=True)
class Probe:
    """One line of `levels.jsonl`: one rate offered to one arm, and whether it kept the service level."""

    arm: str
    round: int
    step: int
    rate: float
    outcome: ProbeOutcome
    requests: int
    failed: int
    value_ms: float | None
    trial: Trial
    purpose: Purpose = "search"
    overload: Overload | None = None


@dataclass(frozen=True, slots=True)
class Overloads:
    """All overload trials of one arm, at so many times the rate that it holds."""

    factor: float
    rate: float
    trials: int
    goodput: Interval
    value_ms: float | None
    """The median."""
    recovery_s: float | None
    """The median; None where it was not seen in half of them."""
    recovery_range_s: tuple[float, float] | None
    watched_s: float
    """How long recovery was watched for."""


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """The largest rate of Poisson arrivals at which an arm keeps a service level."""

    arm: str
    level: str
    limit_ms: float
    rate: Interval | None
    """None when none was found; `words` say why."""
    rounds: int
    """Searches that found a rate."""
    kept: float | None
    """The highest rate that was ever kept."""
    broken: float | None
    """The lowest rate that was ever not kept."""
    ended: LevelEnd
    words: str
    rank: int | None = None
    overload: Overloads | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """`run.json`."""

    schema: int
    """Of this format."""
    name: str
    command: str
    """As it was typed."""
    started: str
    ended_by: str
    """precision, cap, rounds, budget, contract or interrupted."""
    environment: dict[str, Any]
    """As in `environment.json`."""
    arms: list[ArmResult]
    aa: Floor | None = None
    """What the arm that was timed twice says; None when none was."""
    answers: dict[str, str] = field(default_factory=dict)
    """One sentence per workload: who is first, who cannot be told apart, and what bound each."""
    comparisons: list[Comparison] = field(default_factory=list)
    """Every two valid arms of a workload and load."""
    identities: dict[str, Identity] = field(default_factory=dict)
    """By the stack variant's label."""
    experiment: ExperimentResult | None = None
    """What became of the experiment, when the run is one."""
    levels: list[ServiceLevel] = field(default_factory=list)
    """The service levels that were looked for."""


class RunDirectory:
    """One run on disk; whatever was measured is there even when the harness is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, name: str, base: Path = RESULTS) -> "RunDirectory":
        """A new directory named after the UTC time; UserError when it cannot be made."""
        stamp = datetime.now(UTC).strftime(STAMP)
        path = base / f"{stamp}-{re.sub(r'[^a-z0-9-]+', '-', name.lower())}"
        while path.exists():  # two runs in one second
            path = path.with_name(f"{path.name}-again")
        with writing(path):
            (path / "records").mkdir(parents=True)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """A run that exists; UserError when it is none."""
        if not any((path / name).exists() for name in ("plan.json", "trials.jsonl", "run.json")):
            raise UserError(f"{path}: no run is there; runs are the directories of results/")
        return cls(path)

    @property
    def started(self) -> str:
        """When the run began, from its name."""
        stamp = self.path.name.partition("-")[0]
        return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC).isoformat()

    @property
    def shown(self) -> str:
        """Its path as a user would type it."""
        return os.path.relpath(self.path)

    def records_file(self, trial: str) -> Path:
        """Where the records of one trial go."""
        return self.path / "records" / f"{trial}.npy"

    def append(self, trial: Trial) -> None:
        """Keep one trial for good."""
        self._append(TRIALS, trial)

    def append_probe(self, probe: Probe) -> None:
        """Keep one probe of a service level for good."""
        self._append(LEVELS, probe)

    def trials(self) -> Iterator[Trial]:
        """Every trial that was kept; a last line cut off by a crash is left out."""
        return self._lines(TRIALS, Trial)

    def probes(self) -> Iterator[Probe]:
        """Every probe of a service level, likewise; none in a run that looked for none."""
        return self._lines(LEVELS, Probe)

    def append_explained(self, arm: Explained) -> None:
        """Keep what the explaining pass saw of one arm."""
        self._append(EXPLAINING, arm)

    def append_profiled(self, arm: Profiled) -> None:
        """Keep what is known of one arm's profile."""
        self._append(PROFILES, arm)

    def passes(self) -> Passes:
        """What was looked at after the rounds; of each arm the last line."""
        return Passes(
            {line.arm: line for line in self._lines(EXPLAINING, Explained)},
            {line.arm: line for line in self._lines(PROFILES, Profiled)},
        )

    def _append(self, name: str, value: object) -> None:
        file = self.path / name
        with writing(file), file.open("ab+") as handle:
            drop_unfinished_line(handle)
            handle.write(msgspec.json.encode(value) + b"\n")
            handle.flush()
            os.fsync(handle.fileno())

    def _lines(self, name: str, kind: type[T]) -> Iterator[T]:
        file = self.path / name
        if not file.exists():
            return
        lines = file.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            if line and number < len(lines):  # without a newline behind it the line was never finished
                yield decode(line, kind, f"{file}:{number}")

    def write(self, name: str, value: object) -> None:
        """Write one JSON file whole or not at all."""
        file = self.path / name
        with writing(file):
            draft = file.with_suffix(".part")
            draft.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
            draft.replace(file)

    def read(self, name: str, kind: type[T]) -> T:
        """Read one JSON file, validated; UserError when it is missing or broken."""
        file = self.path / name
        try:
            return decode(file.read_bytes(), kind, str(file))
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}") from None


def drop_unfinished_line(handle: IO[bytes]) -> None:
    """Cut off a last line that a crash left without its newline."""
    handle.seek(0)
    whole = handle.read().rfind(b"\n") + 1
    handle.truncate(whole)


class writing:  # noqa: N801 - used as a `with` statement, like a function
    """Turns a failed write into one clear line: a full or read-only disk is the user's to mend."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise UserError(
                f"{self._path}: cannot write: {error.strerror}; free some space or make results/ writable, "
                "then go on; what was measured before is kept"
            ) from None


def decode(data: bytes, kind: type[T], where: str) -> T:
    """JSON as a value of `kind`; UserError with the path of the first field that breaks the format."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise UserError(f"{where}: not a file of this format (schema {SCHEMA}): {error}") from None
