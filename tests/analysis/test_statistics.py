"""The statistics against scipy, against their own symmetries, and against runs whose truth is known."""

import math
from collections.abc import Callable
from itertools import combinations
from random import Random

import numpy as np
import pytest
import scipy.stats  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stackmatrix.analysis.statistics import (
    CONFIDENCE,
    DEFAULT_RULE,
    PRECISE_RULE,
    ConfidenceInterval,
    Estimate,
    Rank,
    coverage,
    further_rounds,
    hodges_lehmann,
    is_precise,
    location,
    log_ratios,
    noise_floor,
    rank_cut,
    rank_sum_cdf,
    ranks,
    ratio,
    rounds_to_settle,
    shift,
    signed_rank_bounds,
    signed_rank_cdf,
    standing,
)
from stackmatrix.load.records import Floats

metrics = st.floats(0.01, 1e6)
two_arms = st.integers(6, 14).flatmap(
    lambda n: st.tuples(*[st.lists(metrics, min_size=n, max_size=n) for _ in range(2)])
)


def close(estimate: Estimate | None, value: float, low: float, high: float) -> bool:
    return (
        estimate is not None
        and estimate.interval is not None
        and np.allclose([estimate.value, estimate.interval.low, estimate.interval.high], [value, low, high])
    )


def known(estimate: Estimate | None) -> tuple[float, float, float]:
    assert estimate is not None
    assert estimate.interval is not None
    return estimate.value, estimate.interval.low, estimate.interval.high


class TestInterval:
    @pytest.mark.parametrize("n", range(1, 12))
    def test_the_null_distribution_counts_every_pattern_of_signs(self, n: int) -> None:
        signs = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        sums = signs @ np.arange(1, n + 1)
        counts = np.bincount(sums, minlength=n * (n + 1) // 2 + 1)
        assert np.array_equal(signed_rank_cdf(n), np.cumsum(counts) / 2**n)

    @pytest.mark.parametrize("n", [6, 8, 13, 20, 30, 40])
    def test_the_null_distribution_is_scipys(self, n: int) -> None:
        values = np.random.default_rng(n).normal(0.3, 1, n)
        test = scipy.stats.wilcoxon(values, alternative="less", method="exact")
        assert signed_rank_cdf(n)[int(test.statistic)] == pytest.approx(test.pvalue, rel=1e-12)

    @pytest.mark.parametrize("n", [6, 8, 9, 12, 20, 30])
    def test_the_interval_holds_just_the_centres_that_scipys_test_does_not_reject(self, n: int) -> None:
        values = np.random.default_rng(n).standard_t(3, n)
        bounds = signed_rank_bounds(values)
        assert bounds is not None
        for end, inwards in zip(bounds, (1e-6, -1e-6), strict=True):
            inside = scipy.stats.wilcoxon(values - end - inwards, method="exact").pvalue
            outside = scipy.stats.wilcoxon(values - end + inwards, method="exact").pvalue
            assert outside <= 1 - CONFIDENCE < inside

    @pytest.mark.parametrize(("n", "real"), [(6, 0.96875), (8, 0.9609375), (10, 0.951171875), (30, 0.95029)])
    def test_the_real_coverage_is_stated(self, n: int, real: float) -> None:
        assert coverage(n) == pytest.approx(real, abs=1e-6)

    @pytest.mark.parametrize("n", [*range(6, 60), 300])
    def test_it_never_covers_less_than_asked_for_nor_could_be_narrower(self, n: int) -> None:
        outside, real = rank_cut(n), coverage(n)
        assert outside is not None
        assert real is not None
        assert real >= CONFIDENCE > 1 - 2 * signed_rank_cdf(n)[outside + 1]

    @pytest.mark.parametrize("n", range(1, 6))
    def test_there_is_none_below_six_rounds(self, n: int) -> None:
        assert rank_cut(n) is None
        assert coverage(n) is None
        estimate = location([10.0] * n)
        assert estimate is not None
        assert (estimate.interval, estimate.rounds) == (None, n)

    def test_six_rounds_span_from_the_least_to_the_greatest(self) -> None:
        assert known(ratio([1, 2, 3, 4, 5, 6], [1] * 6))[1:] == pytest.approx((1, 6))

    def test_the_textbooks_depression_scores(self) -> None:
        """Hollander and Wolfe, example 3.1 (3.3, 3.4): θ̂ = −0.46, 96 % interval (−0.786, −0.010)."""
        before = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
        after = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
        bounds = signed_rank_bounds(after - before)
        assert bounds is not None
        assert hodges_lehmann(after - before) == pytest.approx(-0.46)
        assert np.array(bounds) == pytest.approx([-0.786, -0.010])
        assert coverage(9) == pytest.approx(0.961, abs=5e-4)


class TestRatio:
    @given(two_arms, metrics, metrics)
    def test_scaling_a_metric_scales_the_ratio(
        self, arms: tuple[list[float], list[float]], by: float, other: float
    ) -> None:
        (arm, baseline), factor = arms, by / other
        scaled = ratio([value * by for value in arm], [value * other for value in baseline])
        value, low, high = known(ratio(arm, baseline))
        assert close(scaled, value * factor, low * factor, high * factor)

    @given(two_arms)
    def test_swapping_the_arms_inverts_it(self, arms: tuple[list[float], list[float]]) -> None:
        arm, baseline = arms
        value, low, high = known(ratio(arm, baseline))
        assert close(ratio(baseline, arm), 1 / value, 1 / high, 1 / low)

    @given(two_arms, st.randoms(use_true_random=False))
    def test_the_order_of_rounds_does_not_matter(self, arms: tuple[list[float], list[float]], random: Random) -> None:
        shuffled = list(zip(*arms, strict=True))
        random.shuffle(shuffled)
        one, other = zip(*shuffled, strict=True)
        assert close(ratio(one, other), *known(ratio(*arms)))

    @given(two_arms, st.lists(st.floats(0.1, 10), min_size=14, max_size=14))
    def test_what_the_arms_of_a_round_share_cancels(
        self, arms: tuple[list[float], list[float]], moods: list[float]
    ) -> None:
        one, other = ([value * mood for value, mood in zip(arm, moods, strict=False)] for arm in arms)
        assert close(ratio(one, other), *known(ratio(*arms)))

    def test_a_void_trial_takes_its_round_out(self) -> None:
        arm, baseline = [2.0, None, 4.0, 2.0], [1.0, 5.0, None, 1.0]
        assert log_ratios(arm, baseline) == pytest.approx([math.log(2)] * 2)
        assert ratio(arm, baseline) == Estimate(math.exp(math.log(2)), None, 2)
        assert ratio([None, 1.0], [1.0, None]) is None

    def test_nothing_is_a_multiple_of_zero(self) -> None:
        assert ratio([1.0] * 8, [*[1.0] * 7, 0.0]) is None
        assert ratio([0.0] * 8, [0.0] * 8) is None
        assert location([0.0] * 8) == Estimate(0.0, None, 8)
        assert location([]) is None

    @pytest.mark.parametrize("wrong", [-1.0, math.inf, math.nan])
    def test_what_is_no_metric_is_refused(self, wrong: float) -> None:
        for use in (location, lambda rounds: ratio(rounds, rounds)):
            with pytest.raises(ValueError, match="finite and not negative"):
                use([1.0, wrong])

    def test_rounds_that_do_not_pair_are_refused(self) -> None:
        with pytest.raises(ValueError, match="shorter"):
            ratio([1.0, 2.0], [1.0])

    @given(st.lists(metrics, min_size=6, max_size=14))
    def test_the_centre_of_one_arm_is_its_ratio_to_one(self, rounds: list[float]) -> None:
        assert close(location(rounds), *known(ratio(rounds, [1.0] * len(rounds))))


def estimate(value: float, half_width: float, rounds: int = 8) -> Estimate:
    return Estimate(value, ConfidenceInterval(value / (1 + half_width), value * (1 + half_width), 0.96), rounds)


class TestFloor:
    def test_no_run_sees_less_than_two_per_cent(self) -> None:
        floor = noise_floor([100.0] * 8, [100.0] * 8)
        assert (floor.value, floor.valid) == (0.02, True)

    def test_a_wide_interval_of_the_copies_raises_it(self) -> None:
        baseline, copy = [100.0] * 8, [90.0, 110.0, 95.0, 105.0, 92.0, 108.0, 99.0, 101.0]
        floor = noise_floor(baseline, copy)
        assert floor.aa is not None
        assert floor.aa.interval is not None
        assert floor.value == floor.aa.interval.half_width > 0.05
        assert floor.valid

    def test_copies_that_differ_make_the_run_invalid_whichever_comes_first(self) -> None:
        baseline, copy = [100.0] * 8, [103.0, 104.0, 105.0, 106.0, 103.5, 104.5, 105.5, 106.5]
        floor, swapped = noise_floor(baseline, copy), noise_floor(copy, baseline)
        assert floor.valid is False
        assert swapped.valid is False
        assert floor.value == pytest.approx(swapped.value)
        assert floor.value == pytest.approx(0.0475, abs=1e-3)

    def test_too_few_rounds_say_nothing_of_validity(self) -> None:
        assert noise_floor([100.0] * 5, [101.0] * 5).valid is None
        assert noise_floor([None] * 8, [100.0] * 8).aa is None

    @pytest.mark.parametrize(
        ("comparison", "expected"),
        [
            (estimate(1.10, 0.05), "higher"),
            (estimate(1 / 1.10, 0.05), "lower"),
            (estimate(1.06, 0.05), "tie"),
            (estimate(1.0, 0.5), "tie"),
            (Estimate(3.0, None, 5), "tie"),
            (None, "tie"),
        ],
    )
    def test_an_interval_that_touches_the_floor_ties(self, comparison: Estimate | None, expected: str) -> None:
        assert standing(comparison, 0.02) == expected


def noisy(centre: float, noise: float, seed: int, rounds: int = 8) -> list[float]:
    return list(centre * np.exp(np.random.default_rng(seed).normal(0, noise, rounds)))


class TestRanks:
    def test_a_tie_shares_a_place_and_the_next_place_is_skipped(self) -> None:
        arms = {"b": [100.0] * 8, "a": [101.0] * 8, "c": [50.0] * 8}
        assert ranks(arms, 0.02) == {"a": Rank(1, ("b",)), "b": Rank(1, ("a",)), "c": Rank(3, ())}
        assert {arm: rank.place for arm, rank in ranks(arms, 0.02, higher_is_better=False).items()} == {
            "c": 1, "a": 2, "b": 2,
        }  # fmt: skip

    def test_in_a_chain_of_ties_the_one_that_the_best_beats_opens_a_place(self) -> None:
        chain = {"a": [103.0] * 8, "b": [101.5] * 8, "c": [100.0] * 8}
        assert ranks(chain, 0.02) == {"a": Rank(1, ("b",)), "b": Rank(1, ("a", "c")), "c": Rank(3, ("b",))}

    def test_imprecision_is_not_rewarded(self) -> None:
        arms = {"first": [100.0] * 8, "second": [90.0] * 8, "wild": noisy(80.0, 0.4, seed=2)}
        placed = ranks(arms, 0.02)
        assert {arm: rank.place for arm, rank in placed.items()} == {"first": 1, "second": 2, "wild": 2}
        assert placed["wild"].ties == ("first", "second")

    def test_an_arm_without_a_round_has_no_place(self) -> None:
        assert set(ranks({"a": [1.0] * 8, "void": [None] * 8}, 0.02)) == {"a"}

    @given(st.lists(st.tuples(st.floats(80, 120), st.floats(0, 0.1), st.integers(0, 99)), min_size=1, max_size=6))
    def test_places_are_sane(self, specs: list[tuple[float, float, int]]) -> None:
        arms = {f"arm{i}": noisy(*spec) for i, spec in enumerate(specs)}
        placed = ranks(arms, 0.02)
        for one, other in combinations(arms, 2):
            verdict = standing(ratio(arms[one], arms[other]), 0.02)
            assert (verdict == "tie") == (other in placed[one].ties) == (one in placed[other].ties)
            if placed[one].place == placed[other].place:
                assert verdict == "tie"
            else:
                assert verdict != ("lower" if placed[one].place < placed[other].place else "higher")
        places = [rank.place for rank in placed.values()]
        assert all(place == 1 + sum(other < place for other in places) for place in places)


class TestStopping:
    @pytest.mark.parametrize(
        ("rounds", "half_widths", "spent", "expected"),
        [
            (7, [0.01], False, None),
            (8, [0.049, 0.01], False, "precision"),
            (8, [0.06, 0.01], False, None),
            (30, [0.06], False, "cap"),
            (30, [0.049], True, "precision"),
            (9, [0.06], True, "budget"),
            (3, [0.01], True, "budget"),
            (8, [], False, None),
            (30, [], False, "cap"),
        ],
    )
    def test_what_ends_a_run(self, rounds: int, half_widths: list[float], spent: bool, expected: str | None) -> None:
        headlines = [estimate(1.5, half_width, rounds) for half_width in half_widths]
        assert DEFAULT_RULE.ended_by(rounds, headlines, spent) == expected

    def test_a_precise_run_asks_for_three_per_cent(self) -> None:
        assert PRECISE_RULE.ended_by(8, [estimate(1.0, 0.04)], budget_spent=False) is None
        assert PRECISE_RULE.ended_by(8, [estimate(1.0, 0.029)], budget_spent=False) == "precision"

    def test_what_has_no_interval_is_not_precise(self) -> None:
        assert not is_precise(Estimate(1.0, None, 5), 0.05)

    def test_a_settled_comparison_needs_no_more_rounds(self) -> None:
        assert rounds_to_settle(estimate(1.5, 0.05), 0.02) == 0
        assert further_rounds(estimate(1.5, 0.049), math.log1p(0.05)) == 0
        assert rounds_to_settle(estimate(1.5, 0.0), 0.02) == 0

    def test_no_number_of_rounds_settles_a_difference_within_the_floor(self) -> None:
        assert rounds_to_settle(estimate(1.01, 0.05), 0.02) is None
        assert rounds_to_settle(Estimate(1.5, None, 5), 0.02) is None

    @pytest.mark.parametrize(("start", "target"), [(8, 0.05), (8, 0.03), (12, 0.04)])
    def test_the_further_rounds_narrow_the_interval_as_promised(self, start: int, target: float) -> None:
        """Over many runs the mean half-width after the promised rounds is the target, within an eighth."""
        draws = np.random.default_rng(7).normal(0, 0.08, (2000, 120))
        now = mean_half_width(draws[:, :start])
        further = further_rounds(estimate(1.0, math.expm1(now), start), math.log1p(target))
        assert further is not None
        assert mean_half_width(draws[:, : start + further]) == pytest.approx(math.log1p(target), rel=0.125)


def mean_half_width(logs: Floats) -> float:
    bounds = signed_rank_bounds(logs)
    assert bounds is not None
    return float(np.mean(bounds[1] - bounds[0]) / 2)


RUNS = 4000
ARMS = 3
"""The baseline, its copy and one arm: the smallest run there is, with two headlines."""

Order = Callable[[np.random.Generator, int], Floats]


def interleaved(rng: np.random.Generator, rounds: int) -> Floats:
    """When each arm of each round runs, as a share of the run, (runs, rounds, arms): shuffled per round."""
    places = rng.permuted(np.broadcast_to(np.arange(ARMS), (RUNS, rounds, ARMS)), axis=-1)
    return np.asarray((places + ARMS * np.arange(rounds)[:, None]) / (ARMS * rounds))


def sequential(_: np.random.Generator, rounds: int) -> Floats:
    """All rounds of one arm, then all of the next: AAAA/BBBB."""
    times = (np.arange(rounds)[:, None] + rounds * np.arange(ARMS)) / (ARMS * rounds)
    return np.broadcast_to(times, (RUNS, rounds, ARMS))


def simulated_logs(seed: int, rounds: int, noise: float, order: Order = interleaved) -> Floats:
    """Log ratios to the baseline, (runs, arms − 1, rounds), of equal arms on a machine that slows by 20 %."""
    rng = np.random.default_rng(seed)
    logs = np.log1p(-0.2 * order(rng, rounds)) + rng.normal(0, noise, (RUNS, rounds, ARMS))
    return np.asarray(np.swapaxes(logs[..., 1:] - logs[..., :1], 1, 2))


def covering(logs: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Which intervals hold the truth, ratio 1, and their half-widths on the logarithmic scale."""
    bounds = signed_rank_bounds(logs)
    assert bounds is not None
    low, high = bounds
    return (low <= 0) & (high >= 0), (high - low) / 2


class TestCoverage:
    """Simulated runs of equal arms under a drift of 20 %: how often does the interval hold the truth?"""

    @pytest.mark.parametrize("rounds", range(8, 13))
    def test_interleaved_rounds_cover_as_stated(self, rounds: int) -> None:
        covered, _ = covering(simulated_logs(rounds, rounds, noise=0.03))
        assert covered.mean() == pytest.approx(coverage(rounds), abs=0.006)
        assert covered.mean() == pytest.approx(0.95, abs=0.015)

    @pytest.mark.parametrize("cap", [12, 30])
    @pytest.mark.parametrize("noise", [0.02, 0.03, 0.04, 0.05, 0.06, 0.08])
    def test_so_do_runs_that_stop_when_precise(self, noise: float, cap: int) -> None:
        logs = simulated_logs(int(1000 * noise), cap, noise)
        held, running = np.zeros((RUNS, ARMS - 1), dtype=bool), np.arange(RUNS)
        for rounds in range(DEFAULT_RULE.start, cap + 1):
            covered, half_widths = covering(logs[running, :, :rounds])
            stops = (half_widths <= math.log1p(DEFAULT_RULE.half_width)).all(axis=1) | (rounds == cap)
            held[running[stops]] = covered[stops]
            running = running[~stops]
        assert not running.size
        assert held.mean() == pytest.approx(0.95, abs=0.015)

    def test_arms_run_one_after_the_other_differ_falsely_most_times(self) -> None:
        """What the rounds are for: AAAA/BBBB turns the machine's drift into a difference of the arms."""
        fair, _ = covering(simulated_logs(1, 10, noise=0.05))
        blocked, _ = covering(simulated_logs(1, 10, noise=0.05, order=sequential))
        assert 1 - fair[:, 0].mean() < 0.06
        assert 1 - blocked[:, 0].mean() > 0.75


class TestShift:
    @pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 5), (6, 6), (8, 11), (30, 30)])
    def test_the_null_distribution_is_scipys(self, m: int, n: int) -> None:
        rng = np.random.default_rng(m * n)
        one, other = rng.normal(0, 1, m), rng.normal(0.3, 1, n)
        test = scipy.stats.mannwhitneyu(one, other, alternative="less", method="exact")
        assert rank_sum_cdf(m, n)[int(test.statistic)] == pytest.approx(test.pvalue, rel=1e-9)

    @pytest.mark.parametrize(("m", "n"), [(6, 6), (8, 7), (12, 20)])
    def test_the_interval_holds_just_the_shifts_that_scipys_test_does_not_reject(self, m: int, n: int) -> None:
        rng = np.random.default_rng(m + n)
        one, other = rng.normal(0.2, 1, m), rng.normal(0, 1, n)
        _, low, high = known(shift(np.exp(one).tolist(), np.exp(other).tolist()))
        for end, inwards in ((math.log(low), 1e-6), (math.log(high), -1e-6)):
            inside, outside = (
                scipy.stats.mannwhitneyu(one - at, other, method="exact").pvalue
                for at in (end + inwards, end - inwards)
            )
            assert outside <= 1 - CONFIDENCE < inside

    @given(two_arms)
    def test_the_other_way_round_it_is_the_inverse(self, arms: tuple[list[float], list[float]]) -> None:
        value, low, high = known(shift(*arms))
        assert close(shift(arms[1], arms[0]), 1 / value, 1 / high, 1 / low)

    def test_it_covers_the_truth_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(1)
        found = [known(shift(*np.exp(rng.normal(0, 0.1, (2, 8))).tolist())) for _ in range(2000)]
        assert 0.94 <= np.mean([low <= 1 <= high for _, low, high in found]) <= 0.975

    def test_no_interval_below_six_rounds_and_no_ratio_of_nothing(self) -> None:
        few = shift([1, 2, 3, 4, 5], [1] * 9)
        assert few is not None
        assert (few.interval, few.rounds) == (None, 5)
        assert shift([None], [1.0]) is None
        assert shift([0.0, 1.0], [1.0]) is None
