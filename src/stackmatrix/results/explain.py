"""`explaining.jsonl`, `profiles.jsonl` and `sustained.jsonl`: what the extra trials after the rounds saw."""

from dataclasses import dataclass, field

from stackmatrix.results.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """Where a request's time went, on average: as the application timed it with SERVER_TIMING on, and its client."""

    requests: int = 0  # of which this is the mean
    response_s: float
    total_s: float  # from the application's first line to the head of its answer
    queue_s: float | None = None  # waiting for a thread
    db_s: float | None = None  # with the database, waiting for a connection to it included
    gather_s: float | None = None  # with upstreams, files or the timer, waiting for a connection included
    encode_s: float | None = None
    # how late the event loop was for a timer; no part of the response time, but what made it longer
    lag_s: float | None = None
    # database sessions of the stack that were at work, and those that were not, as the database said
    sessions_active: float | None = None
    sessions_idle: float | None = None

    @property
    def outside_s(self) -> float:
        """Compute the time outside the application: in its server, the kernel, the network, the client."""
        return self.response_s - self.total_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraTrial:
    """An extra trial of an arm after the rounds, for instrumentation too costly to leave on while measuring."""

    arm: str
    started: str
    window_s: float = 0.0
    goodput: float | None = None
    cpu_us: float | None = None  # CPU-µs of the stack per request
    # what disturbed it, or failed: then the cost of the instrumentation cannot be told
    reasons: list[Reason] = field(default_factory=list)
    missing: str | None = None  # why it did not find what it was for


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained(ExtraTrial):
    """One line of `explaining.jsonl`."""

    observers: int = 0  # users of the load that read the whole of their answers' heads
    threads: int | None = None
    phases: Phases | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled(ExtraTrial):
    """One line of `profiles.jsonl`."""

    file: str | None = None  # the flame graph, relative to the run's directory
    samples: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sustained(ExtraTrial):
    """One line of `sustained.jsonl`: the arm's load for one long window."""


@dataclass(frozen=True, slots=True)
class ExtraTrials:
    """The extra trials of a run, by arm."""

    explained: dict[str, Explained] = field(default_factory=dict)
    profiled: dict[str, Profiled] = field(default_factory=dict)
    sustained: dict[str, Sustained] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SustainedRate:
    """What an arm did for one long window."""

    goodput: float
    window_s: float
    holds: bool | None  # whether it is what the rounds' windows showed; None below six rounds


@dataclass(frozen=True, slots=True)
class InstrumentationCost:
    """What instrumentation cost an arm: goodput and CPU per request meanwhile, as multiples of the headline's."""

    goodput: float | None = None
    cpu: float | None = None
    unknown: list[str] = field(default_factory=list)  # why it cannot be told: what else went on in that one trial


@dataclass(frozen=True, slots=True)
class FlameGraph:
    """A profile of an arm."""

    file: str
    samples: int
    cost: InstrumentationCost
