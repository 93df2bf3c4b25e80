"""Two arms held against each other, workload by workload: faster, slower, no difference, or can't tell.

Goodput decides: B is faster or slower when the whole interval of B ÷ A lies outside the noise floor, and there is no
difference when the whole interval lies within it. Whatever is neither cannot be told. Where goodput says nothing,
because it cannot be told or because load or slots bound both arms, CPU per request may: B is then cheaper or dearer. It
bears what spoils a wall clock, and keeps the trials that were repeated for nothing else.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from stackmatrix.analysis.judge import by_round, cpu_holds, interval, last_attempts
from stackmatrix.analysis.model.ceiling import WAIT_BOUNDS
from stackmatrix.analysis.statistics import (
    LEAST_FLOOR,
    LEAST_ROUNDS,
    Estimate,
    NoiseFloor,
    RoundValues,
    further_rounds,
    location,
    noise_floor,
    ratio,
    rounds_to_settle,
    shift,
    standing,
)
from stackmatrix.formatting import MISSING, factor, percent, some
from stackmatrix.results.compare import (
    CellComparison,
    MetricRatio,
    Sense,
    SpeedVerdict,
    WorkComparison,
    WorkCount,
)
from stackmatrix.results.limit import LimitOf, LimitOutcome
from stackmatrix.results.plan import Arm
from stackmatrix.results.reasons import NOISE, Reason
from stackmatrix.results.run import ArmResult, Run
from stackmatrix.results.trial import Trial

SAME_WORK = 0.01  # of instructions: two counts of one stack differ by up to 0.2 %
SAME_CALLS = 0.02  # of system calls, which timers add to

MOST_FLOOR = 0.05  # a run that cannot see 5 % does not say that there is no difference
MOST_ROUNDS = 1000  # more further rounds than anybody would run are none
GOODPUT_WORDS: Mapping[Sense, SpeedVerdict] = {
    "better": "faster",
    "worse": "slower",
    "same": "no difference",
    "unknown": "can't tell",
}
METRIC_WORDS: Mapping[Sense, str] = {"better": "better", "worse": "worse", "same": "no difference"}
CPU_WORDS: Mapping[Sense, SpeedVerdict] = {"better": "cheaper", "worse": "dearer"}


@dataclass(frozen=True)
class ArmRounds:
    result: ArmResult
    goodput: RoundValues
    cpu: RoundValues  # by every attempt of every round: a repeat is one more draw, and CPU time needs no quiet machine


@dataclass(frozen=True)
class Measured:
    """One run: what it says of its arms, its trials, and the arms that it was to time, twins among them."""

    run: Run
    trials: Sequence[Trial]
    arms: Sequence[Arm]


Quotient = Callable[[RoundValues, RoundValues], Estimate | None]  # B, A → B ÷ A


class Noise(NamedTuple):
    goodput: NoiseFloor
    cpu: NoiseFloor


@dataclass(frozen=True)
class Limit:
    """The share by which B may be worse, and of what; without `of` of goodput, and of CPU where goodput cannot tell."""

    share: float
    of: LimitOf | None = None


def interleaved(measured: Measured, a: str, b: str, limit: Limit | None = None) -> list[CellComparison]:
    """Compare variants A and B by label, timed in the same rounds beside a twin of A's."""
    kept = measured.trials
    results = {result.id: result for result in measured.run.arms}
    found: list[CellComparison] = []
    for one, other, twin in triples(measured.arms, a, b):
        first, second = (rounds_of(results[arm.id], kept) for arm in (one, other))
        noise = floors(metrics(one.id, kept), metrics(twin.id, kept))
        found.append(answer(first, second, noise, ratio, limit))
    return found


def triples(arms: Sequence[Arm], a: str, b: str) -> Iterator[tuple[Arm, Arm, Arm]]:
    """Match each arm of A with that of B under the same load, and with its own twin."""
    for one in arms:
        if one.twin_of is None and one.variant_label == a:
            other = next(arm for arm in arms if arm.variant_label == b and arm.comparison_key == one.comparison_key)
            yield one, other, next(arm for arm in arms if arm.twin_of == one.id)


def expectations(arms: Sequence[Arm], trials: Sequence[Trial], a: str, b: str) -> Iterator[str]:
    """Say of each workload what its rounds have settled so far, and how many more each figure is expected to need."""
    for one, other, twin in triples(arms, a, b):
        first, second, copy = (metrics(arm.id, trials) for arm in (one, other, twin))
        noise = floors(first, copy)
        goodput, cpu = (
            metric_ratio((first[place], second[place]), noise[place], ratio, good, {})
            for place, good in enumerate(("higher", "lower"))
        )
        told = f"goodput {settled_words(goodput)}, CPU per request {settled_words(cpu)}"
        yield f"{one.comparison_label}: {told}"


def settled_words(metric: MetricRatio) -> str:
    """Write `0.853, worse` once a metric has settled, or what it waits for."""
    if metric.ratio is None:
        return f"{MISSING}, {LEAST_ROUNDS} rounds at least"
    value = factor(metric.ratio.value)
    if metric.sense != "unknown":
        return f"{value}, {METRIC_WORDS[metric.sense]}"
    more = metric.further_rounds
    return f"{value}, no end in sight" if more is None else f"{value}, about {some(more, 'more round')}"


def between_runs(a: Measured, b: Measured, limit: Limit | None = None) -> list[CellComparison]:
    """Compare the arms that two runs have; their rounds are no pairs, and the larger of both noise floors stands."""
    (goodput_a, cpu_a), (goodput_b, cpu_b) = floors_of(a), floors_of(b)
    noise = Noise(larger(goodput_a, goodput_b), larger(cpu_a, cpu_b))
    others = {result.id: result for result in b.run.arms}
    alike = timed_as(a).items() & timed_as(b).items()
    pairs = [(one, others[one.id]) for one in a.run.arms if one.id in {arm for arm, _ in alike}]
    return [
        replace(
            answer(rounds_of(one, a.trials), rounds_of(other, b.trials), noise, shift, limit),
            stack=one.variant_label,
        )
        for one, other in pairs
    ]


def timed_as(measured: Measured) -> dict[str, tuple[object, ...]]:
    return {arm.id: (*arm.comparison_key, arm.timing) for arm in measured.arms if arm.twin_of is None}


def metrics(arm: str, trials: Sequence[Trial]) -> tuple[RoundValues, RoundValues]:
    """Gather goodput of an arm by the rounds of all these trials, and its CPU per request by their attempts."""
    rounds = 1 + max((trial.round for trial in trials), default=-1)
    own = [trial for trial in trials if trial.arm == arm]
    costs = {(trial.round, trial.attempt): trial.stack_cpu_us for trial in own if cpu_holds(trial)}
    attempts = sorted({(trial.round, trial.attempt) for trial in trials})
    return by_round(last_attempts(own), rounds), [costs.get(attempt) for attempt in attempts]


def rounds_of(result: ArmResult, trials: Sequence[Trial]) -> ArmRounds:
    return ArmRounds(result, *metrics(result.id, trials))


def floors(one: tuple[RoundValues, RoundValues], copy: tuple[RoundValues, RoundValues]) -> Noise:
    return Noise(noise_floor(one[0], copy[0]), noise_floor(one[1], copy[1]))


def floors_of(measured: Measured) -> Noise:
    """Return the largest noise floors of a run's twins: of goodput, and of CPU per request."""
    twins = [(arm.twin_of, arm.id) for arm in measured.arms if arm.twin_of]
    seen = [floors(metrics(one, measured.trials), metrics(copy, measured.trials)) for one, copy in twins]
    return Noise(larger(*(each.goodput for each in seen)), larger(*(each.cpu for each in seen)))


def larger(*floors: NoiseFloor) -> NoiseFloor:
    """Return the largest noise floor, valid only when all are; of none, the least that any has, and not known."""
    if not floors:
        return NoiseFloor(LEAST_FLOOR, None, None)
    worst = max(floors, key=lambda floor: floor.value)
    valid = [floor.valid for floor in floors]
    return NoiseFloor(worst.value, worst.aa, False if False in valid else None if None in valid else True)


def answer(a: ArmRounds, b: ArmRounds, noise: Noise, quotient: Quotient, limit: Limit | None = None) -> CellComparison:
    results = {"A": a.result, "B": b.result}
    void = {name: result for name, result in results.items() if not result.valid}
    faulty = {name: result for name, result in void.items() if not all(why.kind in NOISE for why in result.reasons)}
    goodput = metric_ratio((a.goodput, b.goodput), noise.goodput, quotient, "higher", void)
    cpu = metric_ratio((a.cpu, b.cpu), noise.cpu, quotient, "lower", faulty)
    waiting = all(result.verdict in WAIT_BOUNDS for result in results.values())
    asked = goodput.sense == "unknown" or (waiting and goodput.sense == "same")
    verdict = GOODPUT_WORDS[goodput.sense]
    if asked:
        verdict = CPU_WORDS.get(cpu.sense, verdict)
    return CellComparison(
        stack=None,
        workload=a.result.workload,
        params=a.result.params,
        load=a.result.load,
        verdict=verdict,
        words=verdict_words(verdict, goodput, cpu, waiting),
        goodput=goodput,
        cpu_us=cpu,
        bound=(a.result.verdict, b.result.verdict),
        outcome=None if limit is None else worst_outcome(limit, goodput, cpu, waiting or asked),
    )


def metric_ratio(
    rounds: tuple[RoundValues, RoundValues],
    noise: NoiseFloor,
    quotient: Quotient,
    good: str,
    void: Mapping[str, ArmResult],
) -> MetricRatio:
    """Compare one metric: more of it is better, or less (`good`); `void` are arms that have none."""
    estimate = quotient(rounds[1], rounds[0]) if not void else None
    against = list(why_untrusted(void, estimate, noise))
    trusted = not against
    sense: Sense = "unknown"
    if estimate is not None and estimate.interval is not None and trusted:
        clear = standing(estimate, noise.value)
        inside = 1 / (1 + noise.value) <= estimate.interval.low and estimate.interval.high <= 1 + noise.value
        if clear != "tie":
            sense = "better" if clear == good else "worse"
        elif noise.value > MOST_FLOOR:
            against.append(f"the noise floor of {percent(noise.value)} hides what is less")
        elif inside:
            sense = "same"
    centres = [location(side) if not void else None for side in rounds]
    return MetricRatio(
        a=centres[0].value if centres[0] else None,
        b=centres[1].value if centres[1] else None,
        ratio=interval(estimate) if estimate else None,
        floor=noise.value,
        rounds=estimate.rounds if estimate else 0,
        sense=sense,
        trusted=trusted,
        further_rounds=further(estimate, noise) if sense == "unknown" and estimate else None,
        against=against,
    )


def why_untrusted(void: Mapping[str, ArmResult], estimate: Estimate | None, noise: NoiseFloor) -> Iterator[str]:
    for name, result in void.items():
        yield f"{name} has no number ({'; '.join(kinds(result.reasons))})"
    if void:
        return
    if estimate is None:
        yield "no round in which both were measured"
    elif estimate.interval is None:
        yield f"only {estimate.rounds} of the {LEAST_ROUNDS} rounds that an interval needs"
    elif noise.valid is False:
        yield "two copies of A differ from each other"
    elif noise.valid is None:
        yield f"A was timed against itself in fewer than {LEAST_ROUNDS} rounds, so the noise is not known"


def kinds(reasons: Iterable[Reason]) -> Iterator[str]:
    """Say why an arm has no number: each kind once, with the first of its details."""
    found: dict[str, list[str]] = {}
    for reason in dict.fromkeys(reasons):
        found.setdefault(reason.kind, []).append(reason.detail)
    for kind, details in found.items():
        more = f", and {len(details) - 1} more like it" if len(details) > 1 else ""
        yield f"{kind}: {details[0]}{more}"


def further(estimate: Estimate, noise: NoiseFloor) -> int | None:
    """Estimate how many more rounds would lift the interval out of the noise floor, or fit it in, if the ratio holds.

    From the interval's width, which shrinks with the root of the rounds; the noise floor is taken as it is.
    """
    if estimate.interval is None:
        return max(1, LEAST_ROUNDS - estimate.rounds)
    if noise.valid is False:
        return None
    margin = math.log1p(noise.value) - abs(math.log(estimate.value))
    inside = margin > 0
    if inside and noise.value > MOST_FLOOR:
        return None
    if estimate.interval.log_half_width > abs(margin) * math.sqrt(MOST_ROUNDS / estimate.rounds):
        return None
    more = further_rounds(estimate, margin) if inside else rounds_to_settle(estimate, noise.value)
    return None if more is None else max(1, more)


def worst_outcome(limit: Limit, goodput: MetricRatio, cpu: MetricRatio, either: bool) -> LimitOutcome:
    """Tell whether B is worse by more than the limit: in what it is of, or else in goodput, and where `either` in CPU.

    Unless asked for alone, CPU can say that B is worse, but not that it is no worse: what is not measured may be.
    """
    by_cpu = outcome_of(limit.share, replace(cpu, ratio=cpu.ratio.reciprocal if cpu.ratio else None))
    if limit.of == "cpu":
        return by_cpu
    outcomes = [outcome_of(limit.share, goodput), *([by_cpu] if either and limit.of is None else [])]
    if "worse" in outcomes:
        return "worse"
    return "undecided" if "undecided" in outcomes else "no worse"


def outcome_of(limit: float, metric: MetricRatio) -> LimitOutcome:
    """Judge by the whole interval of B ÷ A; a noise floor above the limit cannot show that nothing is worse."""
    if not metric.trusted or metric.ratio is None or metric.ratio.ci95 is None:
        return "undecided"
    low, high = metric.ratio.ci95
    if high < 1 - limit:
        return "worse" if metric.sense == "worse" else "undecided"
    return "no worse" if low >= 1 - limit and metric.floor <= limit else "undecided"


def verdict_words(verdict: SpeedVerdict, goodput: MetricRatio, cpu: MetricRatio, waiting: bool) -> str:
    rate, cost = ratio_words("goodput", goodput), ratio_words("CPU per request", cpu)
    across = f"the interval reaches across the edge of the noise floor of {percent(goodput.floor)}"
    untold = [] if goodput.sense != "unknown" else goodput.against or [across]
    if verdict in ("cheaper", "dearer"):
        parts = [f"{cost}, noise floor {percent(cpu.floor)}", rate, *(["load or slots set it"] if waiting else untold)]
    elif verdict == "can't tell":
        more = goodput.further_rounds
        settled = "" if more is None else f"about {more} more rounds would settle it"
        parts = [rate, *untold, settled, cost]
    else:
        parts = [f"{rate}, noise floor {percent(goodput.floor)}", cost]
    return "; ".join(part for part in parts if part)


def ratio_words(what: str, metric: MetricRatio) -> str:
    """Write `goodput B ÷ A 0.853 (95 %: 0.842 to 0.866)`; nothing where there is no ratio."""
    if metric.ratio is None:
        return ""
    ci95 = metric.ratio.ci95
    known = f"95 %: {factor(ci95[0])} to {factor(ci95[1])}" if ci95 else "no interval"
    return f"{what} B ÷ A {factor(metric.ratio.value)} ({known})"


def overall(answers: Iterable[CellComparison]) -> LimitOutcome:
    """Return the worst of all answers; where nothing was answered nothing is decided."""
    found = {answer.outcome for answer in answers}
    if "worse" in found:
        return "worse"
    return "no worse" if found == {"no worse"} else "undecided"


def compare_work(
    workload: str, params: dict[str, int | str], a: WorkCount, b: WorkCount, limit: float | None
) -> WorkComparison:
    """Hold the work of two variants against each other; less than 1 % of instructions is no difference."""
    ratio = b.instructions / a.instructions
    outcome: LimitOutcome | None = None if limit is None else "worse" if ratio > 1 + limit else "no worse"
    words = f"B executes {more_or_less(ratio, SAME_WORK)} instructions"
    if a.calls and b.calls:
        words += f" and {more_or_less(b.calls / a.calls, SAME_CALLS)} system calls that read or write"
    return WorkComparison(workload, params, a, b, ratio, f"{words} a request", outcome)


def more_or_less(ratio: float, same: float) -> str:
    """Write `4.3 % more`, `2.0 % fewer` or `as many`."""
    if abs(ratio - 1) < same:
        return "as many"
    return f"{percent(abs(ratio - 1))} {'more' if ratio > 1 else 'fewer'}"
