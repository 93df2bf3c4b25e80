"""What a comparison says, against rounds whose truth is known."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.analysis.comparability import Conditions, mismatches
from stackmatrix.analysis.compare import (
    ArmRounds,
    Limit,
    Measured,
    Noise,
    answer,
    between_runs,
    compare_work,
    expectations,
    interleaved,
    larger,
    more_or_less,
)
from stackmatrix.analysis.statistics import LEAST_ROUNDS, NoiseFloor, RoundValues, noise_floor, ratio
from stackmatrix.load.latency import Latency
from stackmatrix.results.compare import CellComparison, WorkCount
from stackmatrix.results.directory import SCHEMA
from stackmatrix.results.limit import LimitOutcome
from stackmatrix.results.plan import Arm, Load, Timing
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import ArmResult, CpuPerRequest, Run
from stackmatrix.results.trial import Cpu, Errors, Trial

from ..made_trials import altered, made

LOAD = Load("closed", users=64)
ROUNDS = 8
OPPOSITE = {"faster": "slower", "slower": "faster", "cheaper": "dearer", "dearer": "cheaper"}


def result(arm: str = "a/json-small/64 users", valid: bool = True, verdict: str = "server-cpu") -> ArmResult:
    reasons = [] if valid else [Reason("errors", f"{count} of 10 requests failed: 3 body") for count in (3, 4)]
    return ArmResult(
        id=arm,
        stack=arm.partition("/")[0],
        variant={},
        workload="json-small",
        params={},
        load=LOAD,
        rounds=ROUNDS,
        repeated=0,
        valid=valid,
        reasons=reasons,
        goodput=None,
        latency_ms=Latency(),
        errors=Errors(),
        cpu_us_per_request=CpuPerRequest(None, None, None),
        memory_mib=None,
        threads=None,
        db_sessions=None,
        ceiling=None,
        verdict=verdict,
    )


def noisy(rng: np.random.Generator, centre: float, spread: float, rounds: int = ROUNDS) -> list[float]:
    return [float(value) for value in centre * np.exp(rng.normal(0, spread, rounds))]


FIVE_PERCENT = Limit(0.05)


def told(
    goodput: tuple[RoundValues, RoundValues, RoundValues],
    cpu: tuple[RoundValues, RoundValues, RoundValues],
    bound: str = "server-cpu",
    limit: Limit = FIVE_PERCENT,
) -> CellComparison:
    """A, its twin, and B; of both metrics."""
    noise = Noise(noise_floor(*goodput[:2]), noise_floor(*cpu[:2]))
    a, b = (ArmRounds(result(verdict=bound), goodput[place], cpu[place]) for place in (0, 2))
    return answer(a, b, noise, ratio, limit)


def arms(rng: np.random.Generator, times: float, spread: float) -> tuple[RoundValues, RoundValues, RoundValues]:
    return noisy(rng, 1000, spread), noisy(rng, 1000, spread), noisy(rng, 1000 * times, spread)


def test_a_stack_against_itself_is_neither_faster_nor_slower() -> None:
    rng = np.random.default_rng(1)
    found = [told(arms(rng, 1, 0.05), arms(rng, 1, 0.03)) for _ in range(1000)]
    apart_from_itself = [one for one in found if one.verdict not in ("no difference", "can't tell")]
    assert len(apart_from_itself) <= 10
    assert sum(one.outcome == "worse" for one in found) <= 2


@pytest.mark.parametrize("times", [0.85, 1.18])
def test_a_difference_of_15_percent_is_found(times: float) -> None:
    rng = np.random.default_rng(2)
    found = [told(arms(rng, times, 0.03), arms(rng, 1 / times, 0.03)) for _ in range(200)]
    wanted = ("slower", "worse") if times < 1 else ("faster", "no worse")
    right = [one for one in found if one.verdict == wanted[0]]
    assert len(right) >= 180
    assert {one.outcome for one in right} <= {wanted[1], "undecided"}


def test_a_quiet_machine_says_that_there_is_no_difference() -> None:
    rng = np.random.default_rng(3)
    found = told(arms(rng, 1, 0.004), arms(rng, 1, 0.004))
    assert (found.verdict, found.outcome, found.goodput.further_rounds) == ("no difference", "no worse", None)
    assert "noise floor 2.0 %" in found.words


def test_a_noisy_machine_tells_nothing_and_says_how_much_more_it_would_take() -> None:
    rng = np.random.default_rng(4)
    wide = told(arms(rng, 1.02, 0.03), arms(rng, 1, 0.03))
    assert wide.verdict == "can't tell"
    assert wide.goodput.further_rounds
    assert f"about {wide.goodput.further_rounds} more rounds would settle it" in wide.words
    hidden = told(([1000.0] * 8, [1080.0, 930.0] * 4, [1010.0, 1000.0] * 4), arms(rng, 1, 0.01))
    assert hidden.verdict == "can't tell"
    assert "hides what is less" in hidden.words
    assert hidden.goodput.further_rounds is None


@pytest.mark.parametrize(
    ("of", "slower", "dearer", "both", "neither"),
    [
        (None, "worse", "worse", "worse", "no worse"),
        ("goodput", "worse", "no worse", "worse", "no worse"),
        ("cpu", "no worse", "worse", "worse", "no worse"),
    ],
)
def test_a_limit_holds_what_it_is_of(of: Any, slower: str, dearer: str, both: str, neither: str) -> None:
    rng = np.random.default_rng(8)
    same, more, less = arms(rng, 1, 0.002), arms(rng, 1.15, 0.005), arms(rng, 0.85, 0.005)
    limit = Limit(0.05, of)
    cases = (less, same), (same, more), (less, more), (same, same)
    found = [told(rate, cost, "load", limit).outcome for rate, cost in cases]
    assert found == [slower, dearer, both, neither]


@pytest.mark.parametrize("bound", ["load", "slots"])
def test_where_arms_only_wait_their_cpu_decides(bound: str) -> None:
    rng = np.random.default_rng(5)
    same = arms(rng, 1, 0.002)
    dearer = told(same, arms(rng, 1.15, 0.01), bound)
    assert (dearer.verdict, dearer.outcome) == ("dearer", "worse")
    assert dearer.words.startswith("CPU per request B ÷ A 1.1")
    assert told(same, arms(rng, 0.8, 0.01), bound).verdict == "cheaper"
    assert told(same, arms(rng, 1, 0.002), bound).verdict == "no difference"
    assert told(arms(rng, 0.5, 0.01), arms(rng, 0.5, 0.01), bound).verdict == "slower", "goodput comes first"
    assert told(same, arms(rng, 1.15, 0.01)).verdict == "no difference", "where the CPU binds, goodput has it all"


@pytest.mark.parametrize(
    ("times", "told"),
    [
        (1.2, ("dearer", "worse")),
        (0.8, ("cheaper", "undecided")),  # CPU alone never says that nothing is worse
        (1.0, ("can't tell", "undecided")),
    ],
)
def test_cpu_bears_what_spoils_a_wall_clock(times: float, told: tuple[str, str]) -> None:
    rng = np.random.default_rng(8)
    noisy_neighbour = Reason("neighbour", "others used 60% of the stack's core")
    a, b = (replace(result(f"{name}/json-small/64 users", valid=False), reasons=[noisy_neighbour]) for name in "ab")
    names = a.id, f"{a.id} again", b.id
    kept = [
        altered(trial, reasons=[noisy_neighbour], attempt=attempt, round=number, goodput=float(rng.uniform(100, 900)))
        for place, name in enumerate(names)
        for number in range(3)
        for attempt in range(3)
        for trial in trials(name, [0.0], 200 * (times if place == 2 else 1) * float(np.exp(rng.normal(0, 0.01))))
    ]
    everything = Measured(run(a, b), kept, [arm("a"), arm("b"), arm("a", twin_of=a.id)])
    (found,) = interleaved(everything, "a", "b", FIVE_PERCENT)
    assert (found.verdict, found.outcome, found.cpu_us.rounds) == (*told, 9)
    assert "A has no number (neighbour" in found.words
    warm = [replace(trial, reasons=[Reason("unsteady", "")]) for trial in kept]
    (cold,) = interleaved(replace(everything, trials=warm), "a", "b", FIVE_PERCENT)
    assert (cold.verdict, cold.cpu_us.rounds) == ("can't tell", 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"result": result(valid=False)},
            "B has no number (errors: 3 of 10 requests failed: 3 body, and 1 more like it)",
        ),
        ({"goodput": [1000.0] * 5 + [None] * 3}, "only 5 of the 6 rounds that an interval needs; about 1 more"),
        ({"goodput": [None] * 8}, "no round in which both were measured"),
    ],
)
def test_what_cannot_be_told_says_why(change: dict[str, object], words: str) -> None:
    steady = [1000.0 + place for place in range(8)]
    a = ArmRounds(result(), steady, steady)
    quiet = NoiseFloor(0.02, None, True)
    found = answer(a, replace(a, **change), Noise(quiet, quiet), ratio, FIVE_PERCENT)  # type: ignore[arg-type]
    assert (found.verdict, found.outcome) == ("can't tell", "undecided")
    assert words in found.words


@pytest.mark.parametrize(("valid", "words"), [(False, "two copies of A differ"), (None, "the noise is not known")])
def test_without_a_trusted_noise_floor_nothing_is_told(valid: bool | None, words: str) -> None:
    steady = [1000.0 + place for place in range(8)]
    noise = NoiseFloor(0.02, None, valid)
    found = answer(
        ArmRounds(result(), steady, steady),
        ArmRounds(result(), [500.0] * 8, steady),
        Noise(noise, noise),
        ratio,
        Limit(0.05),
    )
    assert (found.verdict, found.outcome) == ("can't tell", "undecided")
    assert words in found.words


def test_a_floor_above_the_limit_does_not_say_no_worse() -> None:
    noise = NoiseFloor(0.08, None, True)
    steady = [1000.0 + place for place in range(8)]
    sides = ArmRounds(result(), steady, steady), ArmRounds(result(), steady[::-1], steady)
    assert answer(*sides, Noise(noise, noise), ratio, FIVE_PERCENT).outcome == "undecided"
    assert answer(*sides, Noise(noise, noise), ratio, Limit(0.10)).outcome == "no worse"


@given(
    st.lists(st.tuples(st.floats(100, 10_000), st.floats(100, 10_000)), min_size=6, max_size=12),
    st.floats(0.02, 0.3),
    st.sampled_from(["server-cpu", "load"]),
)
def test_the_other_way_round_the_verdict_is_the_opposite(
    rounds: list[tuple[float, float]], floor: float, bound: str
) -> None:
    one, other = ([pair[place] for pair in rounds] for place in (0, 1))
    noise = Noise(*[NoiseFloor(floor, None, True)] * 2)
    a, b = ArmRounds(result(verdict=bound), one, other), ArmRounds(result(verdict=bound), other, one)
    there, back = answer(a, b, noise, ratio), answer(b, a, noise, ratio)
    assert back.verdict == OPPOSITE.get(there.verdict, there.verdict)
    assert back.goodput.further_rounds == there.goodput.further_rounds


def trials(arm: str, goodputs: Sequence[float], cpu_us: float = 200.0) -> list[Trial]:
    return [
        made(arm, n, goodput=value, answered=1000, cpu_s=Cpu(stack=cpu_us * 1000 / 1e6))
        for n, value in enumerate(goodputs)
    ]


def arm(label: str, workload: str = "json-small", twin_of: str | None = None) -> Arm:
    name = f"{label}/{workload}/64 users"
    return Arm(f"{name} again" if twin_of else name, label, {}, workload, {}, LOAD, twin_of)


def run(*results: ArmResult) -> Run:
    return Run(SCHEMA, "x", "", "", "rounds", {}, list(results))


def measured(times: float, rng: np.random.Generator) -> Measured:
    """A run of arms a and b, and a twin of a."""
    a, b = arm("a"), arm("b")
    twin = arm("a", twin_of=a.id)
    kept = [
        trial
        for each, factor in ((a, 1.0), (b, times), (twin, 1.0))
        for trial in trials(each.id, noisy(rng, 1000 * factor, 0.005))
    ]
    return Measured(run(result(a.id), result(b.id)), kept, [a, b, twin])


def test_interleaved_arms_are_found_by_their_labels() -> None:
    (found,) = interleaved(measured(0.8, np.random.default_rng(6)), "a", "b", FIVE_PERCENT)
    assert (found.verdict, found.outcome, found.goodput.rounds) == ("slower", "worse", ROUNDS)
    assert found.cpu_us.ratio is not None
    assert math.isclose(found.cpu_us.ratio.value, 1)


def test_the_outlook_says_what_is_settled_and_what_needs_how_many_rounds() -> None:
    every = measured(0.8, np.random.default_rng(6))
    (settled,) = expectations(every.arms, every.trials, "a", "b")
    assert settled == "json-small/64 users: goodput 0.796, worse, CPU per request 1.000, no difference"
    early = [trial for trial in every.trials if trial.round < 2]
    (open_still,) = expectations(every.arms, early, "a", "b")
    needed = f"about {LEAST_ROUNDS - 2} more rounds"
    assert open_still == f"json-small/64 users: goodput 0.796, {needed}, CPU per request 1.000, {needed}"
    (nothing,) = expectations(every.arms, [], "a", "b")
    assert nothing == "json-small/64 users: goodput –, 6 rounds at least, CPU per request –, 6 rounds at least"


def test_two_runs_are_compared_arm_by_arm_with_the_larger_floor() -> None:
    rng = np.random.default_rng(7)
    before, after = measured(1, rng), measured(0.8, rng)
    same, slower = between_runs(before, after)
    assert (same.verdict, slower.verdict) == ("no difference", "slower")
    assert (same.stack, slower.stack) == ("a", "b")
    alone = Measured(run(result("a/query/64 users")), [], [])
    assert between_runs(before, alone) == []
    longer = replace(after, arms=[replace(arm, timing=Timing(2, 9)) for arm in after.arms])
    assert between_runs(before, longer) == []


def test_the_larger_floor_is_valid_only_when_all_are() -> None:
    quiet, loud, unknown = (NoiseFloor(*each) for each in ((0.02, None, True), (0.09, None, False), (0.03, None, None)))
    assert larger(quiet, loud) == NoiseFloor(0.09, None, False)
    assert larger(quiet, unknown).valid is None
    assert larger() == NoiseFloor(0.02, None, None)


def test_likeness_names_what_differs_and_passes_over_the_stacks() -> None:
    here = Conditions(
        {"cpu": "A", "cpus": 2, "seed": 1, "revision": "x"},
        {"warmup_s": 2.0, "shards": 1},
        {"stacks/a": "1", "src": "1", "workloads/query.toml": "1"},
    )
    there = Conditions(
        {"cpu": "B", "cpus": 2, "seed": 2, "revision": "y"},
        {"warmup_s": 1.0, "shards": 1},
        {"stacks/a": "2", "src": "2"},
    )
    assert mismatches(here, here) == []
    assert [(one.what, one.a, one.b) for one in mismatches(here, there)] == [
        ("processor", "A", "B"),
        ("warm-up, s", "2.0", "1.0"),
        ("src", "1", "2"),
    ]


@pytest.mark.parametrize(
    "key",
    [
        *("cpu", "cpus", "memory_gib", "kernel", "system", "virtual", "runtime", "python", "postgres", "nginx"),
        *("delay", "window_s"),
    ],
)
def test_runs_whose_machine_or_window_differs_are_not_alike(key: str) -> None:
    here, there = (Conditions({key: value}, {}, {}) for value in (1.0, 2.0))
    assert [(one.a, one.b) for one in mismatches(here, there)] == [("1.0", "2.0")]


@pytest.mark.parametrize("key", ["warmup_s", "shards"])
def test_runs_whose_settings_differ_are_not_alike(key: str) -> None:
    here, there = (Conditions({}, {key: value}, {}) for value in (1, 2))
    assert [(one.a, one.b) for one in mismatches(here, there)] == [("1", "2")]


@pytest.mark.parametrize(
    ("instructions", "calls", "words", "outcome"),
    [
        (104_300, 6.0, "4.3 % more instructions and as many system calls that read or write", "worse"),
        (100_990, 9.0, "as many instructions and 50 % more system calls that read or write", "no worse"),
        (98_000, 6.1, "2.0 % fewer instructions and as many system calls that read or write", "no worse"),
        (102_000, None, "2.0 % more instructions", "no worse"),
    ],
)  # fmt: skip
def test_work_is_told_apart_at_one_per_cent(
    instructions: float, calls: float | None, words: str, outcome: LimitOutcome
) -> None:
    a, b = WorkCount("a", 100_000, 6.0, 900), WorkCount("b", instructions, calls, 900)
    found = compare_work("json-small", {}, a, b, limit=0.02)
    assert (found.words, found.outcome) == (f"B executes {words} a request", outcome)
    assert found.ratio == pytest.approx(instructions / 100_000)
    assert compare_work("json-small", {}, a, b, limit=None).outcome is None


@pytest.mark.parametrize(("ratio", "words"), [(1.0099, "as many"), (1.0101, "1.0 % more"), (0.9899, "1.0 % fewer")])
def test_what_is_no_difference(ratio: float, words: str) -> None:
    assert more_or_less(ratio, 0.01) == words
