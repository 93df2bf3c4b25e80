"""`run.json`: what the analysis made of a run."""

from dataclasses import dataclass, field
from typing import Any

from stackmatrix.load.latency import Latency
from stackmatrix.results.experiment import ExperimentResult
from stackmatrix.results.explain import FlameGraph, InstrumentationCost, Phases, SustainedRate
from stackmatrix.results.interval import Interval, Ratio
from stackmatrix.results.plan import ArmSetup
from stackmatrix.results.reasons import Reason
from stackmatrix.results.slo import ServiceLevel
from stackmatrix.results.trial import Errors, LedgerLine


@dataclass(frozen=True, slots=True)
class CpuPerRequest:
    """CPU-µs per request, by who spent it."""

    stack: float | None
    upstreams: float | None
    generator: float | None


@dataclass(frozen=True, slots=True)
class CeilingShare:
    """The most that physics allows the arm, the term that binds it, and the share reached."""

    goodput: float  # the most that physics allows
    bound: str  # the term that allows the least
    share: float  # reached of it


@dataclass(frozen=True, slots=True)
class Identity:
    """What was seen of a stack before its first trial; None where it cannot be seen."""

    processes: int | None
    threads: int | None
    loop: str | None  # whose event loop runs
    server: str | None
    versions: dict[str, str]  # as the stack says
    keep_alive: bool
    db_sessions: int  # at rest
    # versions that stand where its processes have loaded their libraries from
    installed: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the queueing model expects, its band, and goodput as a share of it."""

    goodput: float
    response_ms: float | None
    band: tuple[float, float]  # where a goodput agrees with the model
    share: float  # measured ÷ predicted


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Which assumption of the model is in doubt where goodput lies outside its band."""

    kind: str  # which assumption
    words: str


@dataclass(frozen=True, slots=True)
class ArmResult(ArmSetup):
    """What a run says of one arm; numbers are None when it is not valid."""

    rounds: int  # that count
    repeated: int  # trials that were repeated
    valid: bool
    reasons: list[Reason]  # why it is not valid, or which rounds the machine spoiled
    goodput: Interval | None  # hodges–Lehmann centre over the rounds, with the exact Wilcoxon interval
    latency_ms: Latency  # of the pooled records of all rounds that count
    errors: Errors  # in all rounds
    cpu_us_per_request: CpuPerRequest  # the median over the rounds
    memory_mib: float | None  # the least over the rounds, as threads: a process that ran another arm before has more
    threads: int | None
    db_sessions: int | None  # the most over the rounds
    ceiling: CeilingShare | None  # the most that physics allows it
    predicted: Predicted | None = None  # what the queueing model expects
    # what bound it: load, slots, server-cpu, database, upstream, generator; accept-queue or delayed-ack, as the kernel
    # counted; unexplained where nothing that was metered is used up; or void
    verdict: str = "void"
    pool: str | None = None  # which slots, where slots bound it
    # of each resource that was metered, by this arm's requests
    utilisation: dict[str, float] = field(default_factory=dict)
    doubt: Disagreement | None = None  # where goodput lies outside the model's band
    explanation: list[str] = field(default_factory=list)  # why, in sentences
    settings: dict[str, int | str | bool] = field(default_factory=dict)  # all settings in force
    ratio: Ratio | None = None
    rank: int | None = None  # among the arms of the same workload and load; arms that cannot be told apart share one
    ledger: list[LedgerLine] = field(default_factory=list)  # the ledgers of all rounds added up
    phases: Phases | None = None  # where a request's time went in the explaining pass
    explaining: InstrumentationCost | None = None  # what that pass cost
    profile: FlameGraph | None = None
    sustained: SustainedRate | None = None  # what it did for one long window, where that was looked at


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms of one workload and load, by their ids, and what their figures say of each other."""

    first: str
    second: str
    explanation: list[str]  # why, in sentences


@dataclass(frozen=True, slots=True)
class Floor:
    """The noise floor of a run: its A/A ratio and the difference below which nothing can be told apart."""

    value: float  # the arm that was timed twice against itself: the ratio of the copies
    ci95: tuple[float, float] | None
    floor: float  # the relative difference below which nothing is told apart
    valid: bool | None = None  # False when the copies differ: then the run tells nothing apart; None below six rounds


@dataclass(frozen=True, slots=True)
class Run:
    """`run.json`."""

    schema: int  # of this format
    name: str
    command: str  # as it was typed
    started: str
    ended_by: str  # precision, cap, rounds, budget, void, contract, interrupted or error
    environment: dict[str, Any]  # as in `environment.json`
    arms: list[ArmResult]
    aa: Floor | None = None  # what the arm that was timed twice says; None when none was
    # by workload, a line for each place: who is first, who cannot be told apart, and what bound each
    answers: dict[str, str] = field(default_factory=dict)
    comparisons: list[Comparison] = field(default_factory=list)  # every two valid arms of a workload and load
    identities: dict[str, Identity] = field(default_factory=dict)  # by the stack variant's label
    experiment: ExperimentResult | None = None  # what became of the experiment, when the run is one
    levels: list[ServiceLevel] = field(default_factory=list)  # the service levels that were looked for
