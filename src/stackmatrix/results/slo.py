"""`levels.jsonl`: every rate that a search for a service level tried."""

from dataclasses import dataclass
from typing import Literal

from stackmatrix.results.interval import Interval
from stackmatrix.results.trial import Trial

# of one rate: the service level was kept, or broken; the generator could not offer it; the machine took part; too few
# requests to judge by; the stack was gone, or its ledger did not balance
ProbeOutcome = Literal["kept", "broken", "generator", "spoiled", "unsupported", "failed"]

Purpose = Literal["search", "overload"]  # what a probe of a service level is for

# a rate was found; or even the least that can be judged was not kept; or even the most was; or the generator came to
# its end first; or the machine took part; or the stack failed; or the time was over
LevelEnd = Literal["found", "below", "above", "generator", "spoiled", "failed", "untimed"]


@dataclass(frozen=True, slots=True)
class Overload:
    """What more than a stack can take did to it."""

    goodput: float  # right answers a second while it lasted
    # of the level's metric, of the requests that came meanwhile; None where too many had no answer
    value_ms: float | None
    # from its end until requests in a row were answered within the limit; None where that was not seen
    recovery_s: float | None
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
    value_ms: float | None  # the median
    recovery_s: float | None  # the median; None where it was not seen in half of them
    recovery_range_s: tuple[float, float] | None
    watched_s: float  # how long recovery was watched for


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """The largest rate of Poisson arrivals at which an arm keeps a service level."""

    arm: str
    level: str
    limit_ms: float
    rate: Interval | None  # None when none was found; `words` say why
    rounds: int  # searches that found a rate
    kept: float | None  # the highest rate that was ever kept
    broken: float | None  # the lowest rate that was ever not kept
    ended: LevelEnd
    words: str
    rank: int | None = None
    overload: Overloads | None = None
