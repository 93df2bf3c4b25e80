"""What the probes of a search say of an arm: its rate, why there is none, and what overload did to it."""

from collections.abc import Sequence

import pytest

from stackmatrix.analysis.slo.level import parse_level
from stackmatrix.analysis.slo.search import MOST_RATE
from stackmatrix.analysis.slo.verdict import judge_levels
from stackmatrix.results.plan import Arm, Load
from stackmatrix.results.reasons import Reason, ReasonKind
from stackmatrix.results.slo import Overload, Probe, ProbeOutcome, Purpose, ServiceLevel
from stackmatrix.results.trial import Trial

LEVEL = parse_level("p99<200ms")
LOAD = Load("open", rate=1.0, arrivals="poisson")


def arm(name: str) -> Arm:
    return Arm(f"{name}/sleep/slo", name, {}, "sleep", {}, LOAD)


def probe(
    rate: float,
    outcome: ProbeOutcome,
    number: int = 0,
    name: str = "one",
    purpose: Purpose = "search",
    overload: Overload | None = None,
    kinds: Sequence[ReasonKind] = (),
) -> Probe:
    trial = Trial("t", arm(name).id, number, 0, "", reasons=[Reason(kind, f"seen: {kind}") for kind in kinds])
    return Probe(arm(name).id, number, 0, rate, outcome, 2000, 0, 10.0, trial, purpose, overload)


def found(rate: float, number: int = 0, name: str = "one") -> list[Probe]:
    """A search that ends with a narrow bracket."""
    return [probe(rate, "kept", number, name), probe(rate * 1.04, "broken", number, name)]


def judged(*probes: Probe) -> ServiceLevel:
    (result,) = judge_levels([arm("one")], probes, LEVEL)
    return result


def test_a_rate_is_the_middle_of_its_bracket_and_needs_six_for_an_interval() -> None:
    once = judged(*found(100))
    assert once.rate is not None
    assert once.rate.value == pytest.approx((100 * 104) ** 0.5)
    assert (once.rate.ci95, once.rounds, once.kept, once.broken, once.ended) == (None, 1, 100, 104, "found")
    assert once.words == "one keeps p99 < 200 ms up to 102/s (from one search; an interval needs 6)."
    often = judged(*(one for number in range(6) for one in found(100 + number, number)))
    assert often.rate is not None
    assert often.rate.ci95 is not None
    assert often.rounds == 6
    assert "(95 % interval 102 to 107)" in often.words


def test_arms_with_six_rates_each_are_ranked() -> None:
    probes = [
        one
        for number in range(6)
        for name, rate in (("one", 100.0), ("two", 200.0))
        for one in found(rate + number, number, name)
    ]
    assert [result.rank for result in judge_levels([arm("one"), arm("two")], probes, LEVEL)] == [2, 1]
    assert [result.rank for result in judge_levels([arm("one"), arm("two")], probes[:20], LEVEL)] == [None, None]


@pytest.mark.parametrize(
    ("probes", "ended", "words"),
    [
        ([], "untimed", "one has no rate for p99 < 200 ms: the time was over before one was found."),
        (
            [probe(100, "kept"), probe(400, "broken")],
            "untimed",
            "the time was over before one was found (kept at 100/s, not kept at 400/s).",
        ),
        (
            [probe(1, "broken")],
            "below",
            "does not keep p99 < 200 ms at 56.3/s, the least rate at which windows of 20 s",
        ),
        ([probe(MOST_RATE, "kept")], "above", "keeps p99 < 200 ms at 100,000/s, the most that is asked for."),
        (
            [probe(100, "kept"), probe(104, "generator")],
            "generator",
            "keeps p99 < 200 ms at 100/s: the generator could not offer more.",
        ),
        (
            [probe(1, "generator")],
            "generator",
            "cannot be asked about p99 < 200 ms: the generator could not offer 1.00/s.",
        ),
        (
            [probe(100, "kept"), probe(104, "spoiled"), probe(104, "spoiled")],
            "spoiled",
            "the machine took part in every attempt (kept at 100/s).",
        ),
        ([probe(50, "failed", kinds=["steal", "ledger"])], "failed", "has no rate for p99 < 200 ms: seen: ledger."),
        ([probe(50, "failed")], "failed", "has no rate for p99 < 200 ms: it failed."),
    ],
)
def test_why_there_is_no_rate(probes: list[Probe], ended: str, words: str) -> None:
    result = judged(*probes)
    assert (result.rate, result.ended) == (None, ended)
    assert words in result.words.replace("\u202f", ",")


def test_one_spoiled_answer_is_asked_again_and_two_count() -> None:
    again = judged(probe(100, "kept"), probe(104, "spoiled"), probe(104, "broken"))
    assert again.ended == "found"


def overload(value_ms: float | None, recovery_s: float | None, goodput: float = 90.0) -> Probe:
    return probe(120, "kept", purpose="overload", overload=Overload(goodput, value_ms, recovery_s, 3.0))


@pytest.mark.parametrize(
    ("probes", "words"),
    [
        (
            [overload(400, 1.0), overload(600, 2.0)],
            "it answers 90.0/s (p99 500 ms) and is back within the limit in 1.50 s",
        ),
        ([overload(400, 0.0)], "(p99 400 ms) and is back within the limit at once once half the rate comes"),
        ([overload(None, None)], "(many never) and is not back within the limit in 3.00 s at half the rate"),
        ([overload(400, None), overload(None, 1.0)], "(many never) and is not back within the limit in 3.00 s"),
    ],
)
def test_overload_is_summed_up_where_most_trials_saw_it(probes: list[Probe], words: str) -> None:
    result = judged(*found(100), *probes)
    assert result.overload is not None
    assert result.overload.trials == len(probes)
    assert words in result.words
    assert "at 120/s, 120 % of that" in result.words


def test_the_range_of_recoveries_is_kept() -> None:
    result = judged(*found(100), overload(400, 1.0), overload(600, 2.0), overload(600, None))
    assert result.overload is not None
    assert result.overload.recovery_s == 1.5
    assert result.overload.recovery_range_s == (1.0, 2.0)
