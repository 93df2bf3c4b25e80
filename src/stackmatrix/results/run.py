"""`run.json`: what the analysis made of a run."""

from dataclasses import dataclass, field
from typing import Any

from stackmatrix.load.latency import Latency
from stackmatrix.results.experiment import ExperimentResult
from stackmatrix.results.explain import FlameGraph, InstrumentationCost, Phases
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
class ArmResult(ArmSetup):
    """What a run says of one arm; numbers are None when it is not valid."""

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
    ledger: list[LedgerLine] = field(default_factory=list)
    """The ledgers of all rounds added up."""
    phases: Phases | None = None
    """Where a request's time went in the explaining pass."""
    explaining: InstrumentationCost | None = None
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
class Run:
    """`run.json`."""

    schema: int
    """Of this format."""
    name: str
    command: str
    """As it was typed."""
    started: str
    ended_by: str
    """precision, cap, rounds, budget, contract, interrupted or error."""
    environment: dict[str, Any]
    """As in `environment.json`."""
    arms: list[ArmResult]
    aa: Floor | None = None
    """What the arm that was timed twice says; None when none was."""
    answers: dict[str, str] = field(default_factory=dict)
    """By workload, a line for each place: who is first, who cannot be told apart, and what bound each."""
    comparisons: list[Comparison] = field(default_factory=list)
    """Every two valid arms of a workload and load."""
    identities: dict[str, Identity] = field(default_factory=dict)
    """By the stack variant's label."""
    experiment: ExperimentResult | None = None
    """What became of the experiment, when the run is one."""
    levels: list[ServiceLevel] = field(default_factory=list)
    """The service levels that were looked for."""
