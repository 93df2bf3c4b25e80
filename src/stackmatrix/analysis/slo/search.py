"""Finds the largest rate that is kept, on a logarithmic scale: doubling, then bisection."""

import math
from dataclasses import dataclass, field
from typing import Final, Literal

PRECISION: Final = 0.05
FIRST_FACTOR: Final = 2.0
LATER_FACTOR: Final = 1.2  # around what an earlier search found
MOST_RATE: Final = 100_000.0
Loss = Literal["broken", "generator", "spoiled"]
# of one rate: the level was kept; it was not; or was not, but the generator could not offer so much, or the machine
# took part whenever it was asked
RateAnswer = Literal["kept"] | Loss


@dataclass
class Bracket:
    """The highest rate that was kept, and the lowest above it that was not, with who set that."""

    kept: float | None = None
    lost: float | None = None
    by: Loss = "broken"

    def tell(self, rate: float, answer: RateAnswer) -> None:
        if answer == "kept":
            self.kept = rate
        else:
            self.lost, self.by = rate, answer

    @property
    def narrow(self) -> bool:
        return self.kept is not None and self.lost is not None and self.lost <= self.kept * (1 + PRECISION)

    @property
    def value(self) -> float | None:
        """The rate that was found: the geometric middle of a narrow bracket; None while it is wide, and where the
        stack did not set its upper end."""
        if not self.narrow or self.by != "broken" or self.kept is None or self.lost is None:
            return None
        return math.sqrt(self.kept * self.lost)


@dataclass
class Search:
    """One search: asks for `rate` until it is None."""

    start: float
    factor: float
    least: float
    most: float = MOST_RATE
    bracket: Bracket = field(default_factory=Bracket)

    @property
    def rate(self) -> float | None:
        kept, lost = self.bracket.kept, self.bracket.lost
        if self.bracket.narrow or (kept or 0) >= self.most or (lost or self.most) <= self.least:
            return None
        if kept is not None and lost is not None:
            return math.sqrt(kept * lost)
        if kept is not None:
            return min(kept * self.factor, self.most)
        return max(self.start if lost is None else lost / self.factor, self.least)

    def tell(self, rate: float, answer: RateAnswer) -> None:
        """Take in what became of one rate; a start that turns out to be far off is left in longer strides."""
        one_side_before = self.bracket.kept is not None or self.bracket.lost is not None
        self.bracket.tell(rate, answer)
        if one_side_before:
            self.factor = min(self.factor**2, FIRST_FACTOR)
