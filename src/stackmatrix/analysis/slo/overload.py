"""More than a stack holds, then half of it, within one load so that no gap lets the backlog drain unseen."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from stackmatrix.analysis.slo.level import IN_A_ROW, Level, latencies, metric, recovery_s
from stackmatrix.load.recorder import Ending
from stackmatrix.load.records import Records
from stackmatrix.load.summary import within
from stackmatrix.results.plan import Load, LoadStep, Timing
from stackmatrix.results.slo import Overload

FACTOR: Final = 1.2  # times the rate that was found
RELIEF: Final = 0.5  # times the same rate, before the overload and after it
LEAST_PART_S: Final = 3.0
MOST_PART_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Course:
    """The course of one overload trial, in seconds."""

    settle_s: float
    over_s: float
    watch_s: float

    @classmethod
    def of(cls, level: Level, rate: float) -> "Course":
        """Let a fifth too much last until it is a queue of twice the limit, and watch until recovery can be told."""
        limit_s = level.limit_ms / 1000
        over_s = min(max(LEAST_PART_S, 2 * limit_s / (FACTOR - 1)), MOST_PART_S)
        watch_s = min(max(over_s, 2 * IN_A_ROW / (RELIEF * rate)), MOST_PART_S)
        return cls(min(max(1.0, 2 * limit_s), MOST_PART_S), over_s, watch_s)

    @property
    def seconds(self) -> float:
        return self.settle_s + self.over_s + self.watch_s

    @property
    def timing(self) -> Timing:
        """The window opens with the overload."""
        return Timing(self.settle_s, self.over_s + self.watch_s, fitted=False)

    def load(self, rate: float) -> Load:
        """Offer half the rate, the overload, half the rate."""
        steps = LoadStep(self.settle_s, FACTOR * rate), LoadStep(self.settle_s + self.over_s, RELIEF * rate)
        return Load("open", rate=RELIEF * rate, arrivals="poisson", steps=steps)

    def judge(self, records: Records, start: float, level: Level) -> Overload:
        over, end = start + self.over_s, start + self.over_s + self.watch_s
        answered = within(records["end"], start, over) & (records["verdict"] == Ending.OK)
        value = metric(latencies(records[within(records["scheduled"], start, over)]), level.metric)
        return Overload(
            goodput=int(answered.sum()) / self.over_s,
            value_ms=value if value is not None and np.isfinite(value) else None,
            recovery_s=recovery_s(records, over, end, level),
            watched_s=self.watch_s,
        )
