"""What `compare --json` writes: two arms held against each other, workload by workload."""

from dataclasses import dataclass
from typing import Any, Literal

from stackmatrix.results.interval import Interval
from stackmatrix.results.limit import LimitOf, LimitOutcome
from stackmatrix.results.plan import Load

Sense = Literal["better", "worse", "same", "unknown"]
SpeedVerdict = Literal["faster", "slower", "cheaper", "dearer", "no difference", "can't tell"]


@dataclass(frozen=True, slots=True)
class MetricRatio:
    """One metric of both arms: B ÷ A, and what it shows beside the noise floor."""

    a: float | None
    b: float | None
    ratio: Interval | None
    floor: float
    rounds: int  # in which both were timed
    sense: Sense  # of B, where it is trusted and clear
    trusted: bool  # whether there is an interval, and the copies of A agree with each other
    # about how many more rounds would settle it, if the ratio holds; None where that cannot be said
    further_rounds: int | None
    against: list[str]  # why nothing can be told, if so


@dataclass(frozen=True, slots=True)
class CellComparison:
    stack: str | None  # the variant that both runs timed; None where A and B are two variants
    workload: str
    params: dict[str, int | str]
    load: Load
    verdict: SpeedVerdict
    words: str
    goodput: MetricRatio
    cpu_us: MetricRatio  # CPU of the stack per request: the less the better
    bound: tuple[str, str]  # what bound A, and what bound B
    outcome: LimitOutcome | None = None  # held against the limit that was given


@dataclass(frozen=True, slots=True)
class WorkCount:
    """What one request of a workload costs a variant, in counts that neighbours do not move."""

    variant: str
    instructions: float  # that its processes execute outside the kernel
    calls: float | None  # system calls that read or write; None where they may not be looked at
    requests: int  # of which these are the mean


@dataclass(frozen=True, slots=True)
class WorkComparison:
    """Two variants' work on one workload."""

    workload: str
    params: dict[str, int | str]
    a: WorkCount
    b: WorkCount
    ratio: float  # of instructions, B ÷ A
    words: str
    outcome: LimitOutcome | None = None  # instructions held against the limit that was given


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """All of a comparison, as `compare --json` writes it."""

    schema: int
    a: str
    b: str  # as the command was given them
    interleaved: bool  # whether both were timed in the same rounds; else two runs were held against each other
    runs: list[str]
    started: str
    environment: dict[str, Any]  # of the measurement; of two runs, of the first, which the second agrees with
    answers: list[CellComparison]
    limit: float | None  # the share by which B may be worse
    outcome: LimitOutcome | None  # of all answers together, where there is a limit
    remarks: list[str]
    # what the limit holds; None for goodput, and CPU per request as well where goodput cannot tell
    limit_of: LimitOf | None = None
