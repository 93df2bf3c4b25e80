"""A figure with its interval."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval; None for the interval when the rounds are too few for one."""

    value: float
    ci95: tuple[float, float] | None = None

    @property
    def half_width(self) -> float | None:
        """Half of the interval as a share of the value; None without an interval, or of zero."""
        return (self.ci95[1] - self.ci95[0]) / 2 / self.value if self.ci95 and self.value else None

    @property
    def reciprocal(self) -> "Interval":
        """The other way round; without an interval where that would have no end."""
        ends = self.ci95
        return Interval(1 / self.value, (1 / ends[1], 1 / ends[0]) if ends and ends[0] > 0 else None)


@dataclass(frozen=True, slots=True)
class Ratio:
    """An arm's goodput as a multiple of the baseline's, paired by round."""

    baseline: str  # the other arm's id: the first valid one of the same workload and load
    value: float
    ci95: tuple[float, float] | None
