"""A service level such as `p99<200ms`, and whether the requests of a window kept it: pure functions of records.

The sample is every request *scheduled* in the window, whenever it ended and however: what failed or never ended counts
as slower than any limit. What the server could not take in time is not left out, as it would be in a closed loop.
"""

import math
import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from stackmatrix.errors import UserError
from stackmatrix.load.job import MOST_DRAIN_S
from stackmatrix.load.latency import BEYOND
from stackmatrix.load.recorder import Ending
from stackmatrix.load.records import Floats, Records
from stackmatrix.load.summary import percentile, within

PERCENT_OF: Final = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
LEVEL_METRICS: Final = (*PERCENT_OF, "mean", "max")
FAILURES: Final = 0.001  # the share of requests that may fail
LEAST_REQUESTS: Final = 100  # that a mean or a maximum is judged by
LONGEST_LIMIT_MS: Final = 30_000.0
MOST_PROBE_WINDOW_S: Final = 20.0  # to which a window is lengthened for a low rate
# requests that must be answered within the limit, one after the other, for a stack to have recovered
IN_A_ROW: Final = 20


@dataclass(frozen=True, slots=True)
class Level:
    metric: str
    limit_ms: float

    def __str__(self) -> str:
        return f"{self.metric}<{self.limit_ms:g}ms"

    @property
    def words(self) -> str:
        limit = f"{self.limit_ms:g} ms" if self.limit_ms < 1000 else f"{self.limit_ms / 1000:g} s"
        return f"{self.metric} < {limit}"

    @property
    def requests(self) -> int:
        percent = PERCENT_OF.get(self.metric)
        return LEAST_REQUESTS if percent is None else round(BEYOND * 100 / (100 - percent))

    @property
    def due(self) -> float:
        """How many should be due in a window of Poisson arrivals for it to hold so many: four sigmas more."""
        return self.requests + 4 * math.sqrt(self.requests)

    def window_s(self, rate: float) -> float:
        """Say how long a window must be at a rate: it holds enough requests that could take as long as the limit."""
        return self.due / rate + max(0.0, self.limit_ms / 1000 - MOST_DRAIN_S)

    @property
    def least_rate(self) -> float:
        return self.due / MOST_PROBE_WINDOW_S


@dataclass(frozen=True, slots=True)
class LevelSample:
    requests: int
    failed: int  # answered wrongly or not at all, cut-off ones not counted
    # of the level's metric; None where the sample cannot support it, or where so many have no answer
    value_ms: float | None
    kept: bool | None  # None where the sample cannot support the metric


def parse_level(text: str) -> Level:
    """Read `p99<200ms`; UserError for anything else."""
    match = re.fullmatch(r"\s*([a-z0-9.]+)\s*<\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(ms|s)\s*", text)
    if not match or match[1] not in LEVEL_METRICS:
        raise UserError(
            f"--slo {text!r}: no service level; write one of {', '.join(LEVEL_METRICS)}, then < and a time in ms or s, "
            "in quotes: 'p99<200ms'"
        )
    limit_ms = float(match[2]) * (1000 if match[3] == "s" else 1)
    if not 0 < limit_ms <= LONGEST_LIMIT_MS:
        raise UserError(f"--slo {text!r}: the limit must lie above 0 and be 30s at most")
    return Level(match[1], limit_ms)


def judge_window(records: Records, start: float, end: float, level: Level) -> LevelSample:
    """Tell whether requests scheduled in [start, end) kept the level; those the drain cut short are left out."""
    sample = records[within(records["scheduled"], start, end - max(0.0, level.limit_ms / 1000 - MOST_DRAIN_S))]
    failed = int(((sample["verdict"] != Ending.OK) & (sample["verdict"] != Ending.UNFINISHED)).sum())
    value = metric(latencies(sample), level.metric)
    if value is None:
        return LevelSample(len(sample), failed, None, None)
    kept = value < level.limit_ms and failed <= FAILURES * len(sample)
    return LevelSample(len(sample), failed, value if math.isfinite(value) else None, kept)


def latencies(records: Records) -> Floats:
    """Return the ms from schedule to end, in order of the records; infinite where no right answer came."""
    spent = (records["end"] - records["scheduled"]) * 1e3
    return np.asarray(np.where(records["verdict"] == Ending.OK, spent, np.inf))


def metric(ms: Floats, name: str) -> float | None:
    """Return the percentile, mean or maximum of latencies; None where they are too few for it."""
    if name in PERCENT_OF:
        return percentile(np.sort(ms), PERCENT_OF[name])
    if len(ms) < LEAST_REQUESTS:
        return None
    return float(ms.mean() if name == "mean" else ms.max())


def recovery_s(records: Records, over: float, end: float, level: Level) -> float | None:
    """Return the seconds from the end of an overload to the first of IN_A_ROW requests in a row answered within the
    limit; None when there were none before `end`."""
    after = records[within(records["scheduled"], over, end)]
    after = after[np.argsort(after["scheduled"], kind="stable")]
    well = latencies(after) < level.limit_ms
    run = np.convolve(well, np.ones(IN_A_ROW), "valid") if len(well) >= IN_A_ROW else np.zeros(0)
    first = np.flatnonzero(run > IN_A_ROW - 0.5)
    return float(after["scheduled"][first[0]] - over) if len(first) else None
