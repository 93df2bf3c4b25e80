"""The search for the largest rate, held against servers that are known exactly."""

import math
import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.analysis import statistics
from stackmatrix.analysis.slo.search import FIRST_FACTOR, LATER_FACTOR, PRECISION, RateAnswer, Search

RATES = st.floats(1, 20_000)


def run(search: Search, ask: object, most: int = 60) -> int:
    """How many questions the search took."""
    for asked in range(most):
        if (rate := search.rate) is None:
            return asked
        search.tell(rate, ask(rate))  # type: ignore[operator]
    raise AssertionError("no end")


def cliff(truth: float) -> object:
    return lambda rate: "kept" if rate <= truth else "broken"


@given(truth=RATES, start=RATES, factor=st.sampled_from([FIRST_FACTOR, LATER_FACTOR]))
def test_it_finds_the_rate_from_any_start(truth: float, start: float, factor: float) -> None:
    search = Search(start, factor, least=0.5, most=1e5)
    asked = run(search, cliff(truth))
    assert search.bracket.value is not None
    assert abs(math.log(search.bracket.value / truth)) <= math.log(1 + PRECISION) / 2 + 1e-9
    assert asked <= 2 + abs(math.log2(truth / start)) + 3 + math.log2(math.log(2) / math.log(1 + PRECISION))


@given(truth=RATES)
def test_a_start_that_is_near_takes_few_questions(truth: float) -> None:
    assert run(Search(truth * 1.05, LATER_FACTOR, 0.5, 1e5), cliff(truth)) <= 5


@given(truth=st.floats(50, 5000), noise=st.floats(0.01, 0.1), seed=st.integers(0, 2**16))
def test_several_searches_of_a_noisy_server_find_it_together(truth: float, noise: float, seed: int) -> None:
    draw = random.Random(seed)
    found: list[float] = []
    for _ in range(8):
        search = Search(found[-1] if found else truth / 4, LATER_FACTOR if found else FIRST_FACTOR, 0.5, 1e5)
        run(search, lambda rate: "kept" if rate <= truth * math.exp(draw.gauss(0, noise)) else "broken")
        assert search.bracket.value is not None
        found.append(search.bracket.value)
    estimate = statistics.location(found)
    assert estimate is not None
    assert abs(math.log(estimate.value / truth)) < 3 * noise + PRECISION
    assert estimate.interval is not None


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    draw, covered, truth = random.Random(7), 0, 400.0
    for _ in range(300):
        found: list[float] = []
        for _ in range(6):
            start = (median(found) if found else truth / 3) * math.exp(draw.uniform(-0.1, 0.1))
            search = Search(start, LATER_FACTOR if found else FIRST_FACTOR, 0.5, 1e5)
            run(search, lambda rate: "kept" if rate <= truth * math.exp(draw.gauss(0, 0.03)) else "broken")
            assert search.bracket.value is not None
            found.append(search.bracket.value)
        estimate = statistics.location(found)
        assert estimate is not None and estimate.interval is not None
        covered += truth in estimate.interval
    assert covered / 300 > 0.92


def test_what_is_never_kept_ends_at_the_least_rate() -> None:
    search = Search(100, FIRST_FACTOR, least=20, most=1e5)
    run(search, cliff(3))
    assert (search.bracket.kept, search.bracket.lost, search.bracket.value) == (None, 20, None)


def test_what_is_always_kept_ends_at_the_most() -> None:
    search = Search(100, FIRST_FACTOR, least=20, most=5000)
    run(search, cliff(1e9))
    assert (search.bracket.kept, search.bracket.lost, search.bracket.value) == (5000, None, None)


@pytest.mark.parametrize(("truth", "found"), [(500, True), (900, False)])
def test_a_generator_that_cannot_keep_up_is_not_taken_for_the_stack(truth: float, found: bool) -> None:
    def ask(rate: float) -> RateAnswer:
        return "kept" if rate <= min(truth, 800) else "generator" if rate > 800 else "broken"

    search = Search(100, FIRST_FACTOR, 1, 1e5)
    run(search, ask)
    assert (search.bracket.value is not None) is found
    assert search.bracket.by == ("broken" if found else "generator")
    assert search.bracket.kept == pytest.approx(min(truth, 800), rel=PRECISION)
