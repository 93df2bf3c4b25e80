"""Intervals, ties and the stopping rule for metrics timed in rounds.

A run is a series of rounds; each round times every arm once, in a fresh random order. What two arms
share in a round (the machine's mood, its drift) cancels in the logarithm of their ratio, so every
comparison is the one-sample problem of Hodges and Lehmann: is the centre of n log ratios zero?

*Estimate*: the median of the n(n+1)/2 Walsh averages (dᵢ + dⱼ)/2, i ≤ j.
*Interval*: the Walsh averages that the Wilcoxon signed-rank test does not reject, from the exact null
distribution. It asks that the log ratios are independent and symmetric about their centre, which the
random order within a round provides; it asks nothing of their shape. The statistic takes whole
numbers only, so the real coverage is a little over the 95 % asked for; it is stated with every interval.

Rounds are aligned sequences: element r is the metric of round r, `None` where the arm's trial is void.
Metrics are positive rates, times or counts in any unit; ratios have none.

Sources: J. L. Hodges, E. L. Lehmann, "Estimates of location based on rank tests", Ann. Math. Statist.
34 (1963); F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bull. 1 (1945);
M. Hollander, D. A. Wolfe, E. Chicken, "Nonparametric Statistical Methods", 3rd ed., §3.1–3.3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Literal, TypeVar

import numpy as np

from stackmatrix.load.records import Floats

Number = TypeVar("Number", int, float)


def middle(values: Iterable[float | None]) -> float | None:
    """Return the median of what is there; None when nothing is."""
    seen = [value for value in values if value is not None]
    return median(seen) if seen else None


def least(values: Iterable[Number | None]) -> Number | None:
    """Return the smallest of what is there; None when nothing is."""
    return min((value for value in values if value is not None), default=None)


def most(values: Iterable[Number | None]) -> Number | None:
    """Return the largest of what is there; None when nothing is."""
    return max((value for value in values if value is not None), default=None)


CONFIDENCE = 0.95
LEAST_ROUNDS = 6  # fewer give no rank interval at 95 %
LEAST_FLOOR = 0.02  # no machine of ours tells arms apart that differ by less than 2 %
RoundValues = Sequence[float | None]
Standing = Literal["higher", "lower", "tie"]
RuleEnd = Literal["precision", "cap", "budget"]


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """A confidence interval with the coverage that its exact distribution gives it."""

    low: float
    high: float
    coverage: float

    @property
    def half_width(self) -> float:
        """Relative half-width, √(high/low) − 1: the same whichever arm is the numerator."""
        return math.expm1(self.log_half_width)

    @property
    def log_half_width(self) -> float:
        return math.log(self.high / self.low) / 2

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Estimate:
    """A centre over rounds; without an interval where none exists (fewer than 6 rounds, or a zero)."""

    value: float
    interval: ConfidenceInterval | None
    rounds: int


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """The least relative difference that this run could have seen, from a baseline timed against itself."""

    value: float
    aa: Estimate | None
    valid: bool | None  # False: two copies of one arm differ, so the run is invalid. None: too few rounds to tell.


@dataclass(frozen=True, slots=True)
class Rank:
    """A place in the competition, and the arms that this one is not told apart from, in whatever place."""

    place: int
    ties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """Start with some rounds, then go on until every headline is precise, up to a cap."""

    start: int = 8
    cap: int = 30
    half_width: float = 0.05

    def ended_by(self, rounds: int, headlines: Iterable[Estimate], budget_spent: bool) -> RuleEnd | None:
        """Say what ends the run after so many whole rounds; None when another round is due.

        `headlines` are the ratios that the run is to settle. The A/A ratio belongs to them: it sets
        the floor, and it keeps one lucky narrow interval from ending the run. (With it coverage stays
        within 95 % ± 1.5; a single comparison stopped by its own width alone falls to 93.2 % at worst.)
        Ratios of void arms do not belong, since no round will mend them.
        """
        known = [is_precise(headline, self.half_width) for headline in headlines]
        if rounds >= self.start and known and all(known):
            return "precision"
        if rounds >= self.cap:
            return "cap"
        return "budget" if budget_spent else None


DEFAULT_RULE = StoppingRule()
PRECISE_RULE = StoppingRule(half_width=0.03)


@cache
def signed_rank_cdf(n: int) -> Floats:
    """Return P(W ≤ w), w = 0 … n(n+1)/2, of Wilcoxon's signed-rank statistic under the null hypothesis.

    Counts the subsets of the ranks 1 … n by their sum; exact in float64 while 2ⁿ is (n ≤ 53).
    """
    counts = np.zeros(n * (n + 1) // 2 + 1)
    counts[0] = 1.0
    for rank in range(1, n + 1):
        counts[rank:] += counts[:-rank].copy()
    return np.cumsum(counts) / 2.0**n


@cache
def rank_cut(n: int, confidence: float = CONFIDENCE) -> int | None:
    """Count the sorted Walsh averages that lie outside the interval at each end; None where none exists.

    At 95 % that is for n < 6: even the widest interval would cover less (at n = 5, 93.75 %).
    """
    rejected = int(np.searchsorted(signed_rank_cdf(n), (1 - confidence) / 2, side="right"))
    return rejected - 1 if rejected else None


def coverage(n: int, confidence: float = CONFIDENCE) -> float | None:
    """Return the real coverage of the interval from n rounds; None where no interval exists."""
    outside = rank_cut(n, confidence)
    return None if outside is None else float(1 - 2 * signed_rank_cdf(n)[outside])


def walsh_averages(values: Floats) -> Floats:
    """Return the sorted averages of all pairs, each value with itself included: (…, n) → (…, n(n+1)/2)."""
    first, second = np.triu_indices(values.shape[-1])
    return np.sort((values[..., first] + values[..., second]) / 2, axis=-1)


def hodges_lehmann(values: Floats) -> Floats:
    """Return the median of the Walsh averages: (…, n) → (…)."""
    return np.asarray(np.median(walsh_averages(values), axis=-1))


def signed_rank_bounds(values: Floats, confidence: float = CONFIDENCE) -> tuple[Floats, Floats] | None:
    """Return both ends of the exact interval for the centre: (…, n) → (…), (…); None below 6 values at 95 %."""
    outside = rank_cut(values.shape[-1], confidence)
    if outside is None:
        return None
    averages = walsh_averages(values)
    return averages[..., outside], averages[..., -1 - outside]


def location(rounds: RoundValues, confidence: float = CONFIDENCE) -> Estimate | None:
    """Estimate the centre of one arm's metric over its rounds, on the logarithmic scale; None without any round.

    Where a round counted zero no logarithm exists: then the plain median stands, without an interval.
    Raises ValueError for a negative or infinite metric.
    """
    seen = np.array([value for value in rounds if value is not None], dtype=float)
    _check(seen)
    if not seen.size:
        return None
    if not seen.all():
        return Estimate(float(np.median(seen)), None, seen.size)
    return _exp_estimate(np.log(seen), confidence)


def ratio(arm: RoundValues, baseline: RoundValues, confidence: float = CONFIDENCE) -> Estimate | None:
    """Estimate arm ÷ baseline from the rounds in which both were timed; None where no ratio exists.

    That is without a common round, or with a zero in one. Raises ValueError for sequences of
    different length and for a negative or infinite metric.
    """
    logs = log_ratios(arm, baseline)
    return _exp_estimate(logs, confidence) if logs.size and np.isfinite(logs).all() else None


def log_ratios(arm: RoundValues, baseline: RoundValues) -> Floats:
    """Return the natural logarithm of arm ÷ baseline per round that has both; not finite where one is zero."""
    both = [pair for pair in zip(arm, baseline, strict=True) if pair[0] is not None and pair[1] is not None]
    seen = np.array(both, dtype=float).reshape(-1, 2)
    _check(seen)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(seen)
        return np.asarray(logs[:, 0] - logs[:, 1])


@cache
def rank_sum_cdf(m: int, n: int) -> Floats:
    """Return P(U ≤ u), u = 0 … mn, of the Mann–Whitney statistic of samples of m and n under the null hypothesis.

    Counts the partitions of u into at most m parts of at most n each, which the Gaussian binomial coefficient
    generates; exact in float64 while (m+n choose m) is.
    """
    counts = np.zeros(m * n + 1)
    counts[0] = 1.0
    for part in range(1, m + 1):
        counts[n + part :] -= counts[: max(0, counts.size - n - part)].copy()
        for u in range(part, counts.size):
            counts[u] += counts[u - part]
    return np.cumsum(counts) / math.comb(m + n, m)


def shift(arm: RoundValues, baseline: RoundValues, confidence: float = CONFIDENCE) -> Estimate | None:
    """Estimate arm ÷ baseline where rounds were not timed together; None without a round of each, or with a zero.

    The Hodges–Lehmann shift of the logarithms, the median of all differences, with the interval of those that the
    Mann–Whitney test does not reject (Hollander, Wolfe, Chicken, §4.1–4.3); none below 6 rounds of either, as
    elsewhere. `rounds` are those of the smaller sample. Raises ValueError for a negative or infinite metric.
    """
    one, other = (np.array([value for value in rounds if value is not None], dtype=float) for rounds in (arm, baseline))
    _check(one)
    _check(other)
    fewer = min(one.size, other.size)
    if not fewer or not one.all() or not other.all():
        return None
    differences = np.sort(np.subtract.outer(np.log(one), np.log(other)), axis=None)
    value = math.exp(float(np.median(differences)))
    if rank_cut(fewer, confidence) is None:
        return Estimate(value, None, fewer)
    cdf = rank_sum_cdf(one.size, other.size)
    outside = int(np.searchsorted(cdf, (1 - confidence) / 2, side="right")) - 1
    low, high = (math.exp(float(differences[place])) for place in (outside, -1 - outside))
    return Estimate(value, ConfidenceInterval(low, high, float(1 - 2 * cdf[outside])), fewer)


def noise_floor(baseline: RoundValues, copy: RoundValues) -> NoiseFloor:
    """Judge a run by two copies of the baseline: max(2 %, A/A's half-width, |A/A − 1|).

    Both are taken on the logarithmic scale, so that it does not matter which copy is the numerator.
    Copies that differ by more than 2 %, with their whole interval, make the run invalid. An interval
    that excludes 1 by less does not: an arm that waits for a timer repeats itself to 0.1 %, and what
    it is off by is below any floor.
    """
    aa = ratio(copy, baseline)
    if aa is None:
        return NoiseFloor(LEAST_FLOOR, None, None)
    floor = max(LEAST_FLOOR, math.expm1(abs(math.log(aa.value))))
    if aa.interval is None:
        return NoiseFloor(floor, aa, None)
    return NoiseFloor(max(floor, aa.interval.half_width), aa, standing(aa, LEAST_FLOOR) == "tie")


def standing(comparison: Estimate | None, floor: float) -> Standing:
    """Tell whether a ratio is clear of the floor, [1/(1 + floor), 1 + floor]; an interval that touches it ties.

    So does a ratio without an interval: nothing has been shown.
    """
    if comparison is None or comparison.interval is None:
        return "tie"
    if comparison.interval.low > 1 + floor:
        return "higher"
    return "lower" if comparison.interval.high < 1 / (1 + floor) else "tie"


def ranks(arms: Mapping[str, RoundValues], floor: float, higher_is_better: bool = True) -> dict[str, Rank]:
    """Rank every arm that has a round: 1, 1, 3 … as in a competition. No rank for the others.

    Every pair of arms is compared directly, round by round. Ties are not transitive (A ties with B and
    B with C, yet A beats C), so places are dealt from the best arm down: an arm shares the place of
    those before it unless one of *them* clearly beats it; then it opens the next place. Hence

    - arms that share a place are all tied with one another;
    - an arm that clearly beats another is placed before it;
    - a better estimate never has a worse place, so imprecision is not rewarded.

    No ranking can also give every tied pair one place; `Rank.ties` names all of them.
    """
    centres = {arm: centre.value for arm, rounds in arms.items() if (centre := location(rounds)) is not None}
    better: Standing = "higher" if higher_is_better else "lower"
    verdicts = {
        (one, other): standing(ratio(arms[one], arms[other]), floor)
        for one in centres
        for other in centres
        if one != other
    }
    beats = {pair for pair, verdict in verdicts.items() if verdict == better}
    queue = sorted(centres, key=lambda arm: centres[arm], reverse=higher_is_better)
    placed: dict[str, Rank] = {}
    group: list[str] = []
    place = 1
    while queue:
        # Paired ratios may contradict the centres where rounds are missing: the paired ratio counts.
        arm = next((one for one in queue if not any((other, one) in beats for other in queue)), queue[0])
        queue.remove(arm)
        if any((other, arm) in beats for other in group):
            group, place = [], len(placed) + 1
        group.append(arm)
        placed[arm] = Rank(place, tuple(o for o in centres if o != arm and verdicts[arm, o] == "tie"))
    return placed


def is_precise(estimate: Estimate, half_width: float) -> bool:
    """Tell whether the interval exists and is as narrow as asked for (relative half-width, 0.05 is 5 %)."""
    return estimate.interval is not None and estimate.interval.half_width <= half_width


def rounds_to_settle(comparison: Estimate, floor: float) -> int | None:
    """Estimate how many further rounds would lift the comparison clear of the floor, should the ratio hold.

    0 where it is clear already. None where no number would do, because the ratio itself lies within
    the floor, and where there is no interval yet to judge by.
    """
    margin = abs(math.log(comparison.value)) - math.log1p(floor)
    return further_rounds(comparison, margin) if margin > 0 else None


def further_rounds(estimate: Estimate, log_half_width: float) -> int | None:
    """Estimate how many further rounds narrow the interval to a half-width, in logarithms; None without one now."""
    if estimate.interval is None:
        return None
    wanted = log_half_width / estimate.interval.log_half_width if estimate.interval.log_half_width else math.inf
    n = estimate.rounds
    target = _relative_width(n) * wanted
    while _relative_width(n) > target:
        n = n + 1 if n < 2 * _EXACT_ROUNDS else math.ceil(n * 1.05)
    return n - estimate.rounds


_EXACT_ROUNDS = 50


def _relative_width(n: int) -> float:
    """Say how the interval's expected width shrinks with n: the null's half-span of W over its slope, n²."""
    if n <= _EXACT_ROUNDS:
        outside = rank_cut(n)
        assert outside is not None, "an estimate with an interval has at least 6 rounds"
        return (n * (n + 1) / 4 - outside) / n**2
    return 1.96 * math.sqrt(n * (n + 1) * (2 * n + 1) / 24) / n**2


def _exp_estimate(logs: Floats, confidence: float) -> Estimate:
    """Bring estimate and interval of the logarithms back to the metric's own scale."""
    value, covered = math.exp(float(hodges_lehmann(logs))), coverage(logs.size, confidence)
    bounds = signed_rank_bounds(logs, confidence)
    if bounds is None or covered is None:
        return Estimate(value, None, logs.size)
    low, high = (math.exp(float(bound)) for bound in bounds)
    return Estimate(value, ConfidenceInterval(low, high, covered), logs.size)


def _check(values: Floats) -> None:
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(f"a metric must be finite and not negative: {values.tolist()}")
