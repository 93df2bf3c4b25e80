"""From the trials of a run to what it says of each arm: valid or void, intervals, ratios, ranks, ceilings."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from operator import attrgetter
from typing import TypeVar

from stackmatrix.analysis import statistics
from stackmatrix.analysis.explain.arm import explain_arm
from stackmatrix.analysis.explain.pair import answer_workload, explain_pair
from stackmatrix.analysis.model.bottleneck import verdict
from stackmatrix.analysis.model.facts import Facts
from stackmatrix.analysis.model.observed import Setup, facts_of, workers_of
from stackmatrix.analysis.model.physics import beyond_physics
from stackmatrix.analysis.statistics import least, middle, most
from stackmatrix.formatting import some
from stackmatrix.load.latency import Latency
from stackmatrix.results.explain import (
    ExtraTrial,
    ExtraTrials,
    FlameGraph,
    InstrumentationCost,
    Sustained,
    SustainedRate,
)
from stackmatrix.results.interval import Interval, Ratio
from stackmatrix.results.plan import Arm
from stackmatrix.results.reasons import NOISE, WALL_CLOCK, Reason
from stackmatrix.results.run import ArmResult, CeilingShare, Comparison, CpuPerRequest, Disagreement, Floor, Predicted
from stackmatrix.results.slo import Probe
from stackmatrix.results.trial import Errors, LedgerLine, Trial

UNEQUAL = 0.05  # database sessions opened per request by which two arms may differ and still do the same work
# reads the records of some trials and gives the percentiles of all their requests together
Pooled = Callable[[Sequence[Trial]], Latency]
Line = TypeVar("Line", Trial, Probe)
TrialMetric = Callable[[Trial], float | None]
GOODPUT: TrialMetric = attrgetter("client.goodput")
STACK_CPU: TrialMetric = attrgetter("stack_cpu_us")


@dataclass(frozen=True)
class Judgement:
    arms: list[ArmResult]
    aa: Floor | None
    answers: dict[str, str]
    comparisons: list[Comparison]


@dataclass(frozen=True)
class ArmTrials:
    """The trials of one arm that stand, and whether its numbers do.

    Numbers only when no standing trial has a reason that speaks against the stack, and the machine's noise spoiled
    less than half of the rounds; a spoiled round is left out.
    """

    arm: Arm
    standing: Sequence[Trial]
    repeated: int  # earlier attempts
    against: Reason | None = None  # what speaks against all of them, or why there are none

    @cached_property
    def good(self) -> list[Trial]:
        return [trial for trial in self.standing if not trial.reasons]

    @cached_property
    def reasons(self) -> list[Reason]:
        if not self.standing:
            return [self.against or Reason("untimed", "the run ended before its first trial")]
        seen = dict.fromkeys(alike(reason for trial in self.standing for reason in trial.reasons))
        noise_counts = 2 * len(self.good) <= len(self.standing)
        own = [reason for reason in seen if noise_counts or reason.kind not in NOISE]
        return own if self.against is None else [*own, self.against]

    @cached_property
    def goodput(self) -> Interval | None:
        """The centre over the good rounds, with its interval; None for an arm that is not valid."""
        estimate = statistics.location([trial.client.goodput for trial in self.good]) if self.valid else None
        return interval(estimate) if estimate else None

    @property
    def valid(self) -> bool:
        return bool(self.good) and not self.reasons


def alike(reasons: Iterable[Reason]) -> Iterator[Reason]:
    """Tell once, with its first figure, what the machine did in several rounds."""
    kinds: dict[str, list[Reason]] = {}
    for reason in reasons:
        kinds.setdefault(reason.kind, []).append(reason)
    for kind, found in kinds.items():
        first, more = found[0], len(found) - 1
        if kind in NOISE and more:
            yield replace(first, detail=f"{first.detail}, and so in {some(more, 'more round')}")
        else:
            yield from found


def judge(
    arms: Sequence[Arm],
    trials: Iterable[Trial],
    setup: Setup,
    pooled: Pooled,
    barred: Mapping[str, Reason] | None = None,
    passes: ExtraTrials | None = None,
) -> Judgement:
    """Judge every arm of a run; `barred` says why some were never timed, `passes` what extra trials showed."""
    barred, passes = barred or {}, passes or ExtraTrials()
    by_arm = per_arm([arm.id for arm in arms], trials)
    kept = {arm: last_attempts(seen) for arm, seen in by_arm.items()}
    rounds = 1 + max((trial.round for seen in kept.values() for trial in seen), default=-1)
    goodputs = {arm: by_round(seen, rounds) for arm, seen in kept.items()}
    aa = floor(arms, goodputs)
    least_floor = aa.floor if aa else statistics.LEAST_FLOOR
    unequal = unequal_work(arms, kept, setup)
    results: list[ArmResult] = []
    facts: dict[str, Facts] = {}
    for arm in arms:
        if arm.twin_of is None:
            standing = kept[arm.id]
            against = (unequal if standing else barred).get(arm.id)
            timed = ArmTrials(arm, standing, len(by_arm[arm.id]) - len(standing), against)
            facts[arm.id] = explained_facts(timed, setup, passes, least_floor)
            if (impossible := beyond_physics(facts[arm.id])) is not None:
                timed = replace(timed, against=impossible)
                facts[arm.id] = explained_facts(timed, setup, passes, least_floor)
            results.append(arm_result(timed, facts[arm.id], setup, pooled, passes))
    if aa is not None and aa.valid is False:  # copies that differ: no difference of this run can be trusted
        return Judgement(results, aa, {}, [])
    results = ranked(results, goodputs, least_floor)
    return Judgement(results, aa, workload_answers(results, facts), comparisons(results, goodputs, facts, least_floor))


def comparisons(
    results: Sequence[ArmResult], goodputs: Mapping[str, list[float | None]], facts: Mapping[str, Facts], floor: float
) -> list[Comparison]:
    """Explain every two valid arms of a workload and load by each other."""
    found: list[Comparison] = []
    for one, other in combinations([result for result in results if result.valid], 2):
        if one.comparison_key == other.comparison_key:
            estimate = statistics.ratio(goodputs[one.id], goodputs[other.id])
            paired = interval(estimate) if estimate else None
            words = explain_pair(facts[one.id], facts[other.id], paired, floor)
            found.append(Comparison(one.id, other.id, words))
    return found


def workload_answers(results: Sequence[ArmResult], facts: Mapping[str, Facts]) -> dict[str, str]:
    """Answer each workload and load in which anything can be told apart: not without an interval."""
    groups: dict[str, list[ArmResult]] = {}
    for result in results:
        groups.setdefault(result.comparison_label, []).append(result)
    return {
        name: "\n".join(answer_workload([(facts[result.id], result.rank) for result in group]))
        for name, group in groups.items()
        if any(result.goodput and result.goodput.ci95 for result in group)
    }


def per_arm(arms: Iterable[str], lines: Iterable[Line]) -> dict[str, list[Line]]:
    """Part trials or probes by the ids of these arms; those of other arms are left out."""
    found: dict[str, list[Line]] = {arm: [] for arm in arms}
    for line in lines:
        if line.arm in found:
            found[line.arm].append(line)
    return found


def last_attempts(trials: Iterable[Trial]) -> list[Trial]:
    """Keep the trial that stands for each arm and round, the last attempt, in order of the rounds."""
    standing: dict[tuple[str, int], Trial] = {}
    for trial in trials:
        place = trial.arm, trial.round
        if place not in standing or trial.attempt >= standing[place].attempt:
            standing[place] = trial
    return sorted(standing.values(), key=lambda trial: trial.round)


def by_round(trials: Iterable[Trial], rounds: int, metric: TrialMetric = GOODPUT) -> list[float | None]:
    """Return the metric of each round; None where the arm has no trial without a reason against it."""
    values: list[float | None] = [None] * rounds
    for trial in trials:
        if not trial.reasons:
            values[trial.round] = metric(trial)
    return values


def floor(arms: Sequence[Arm], goodputs: Mapping[str, list[float | None]]) -> Floor | None:
    """Find the noise floor by the arms that were timed twice; None when none was."""
    twins = [(arm.twin_of, arm.id) for arm in arms if arm.twin_of is not None]
    floors = [statistics.noise_floor(goodputs[baseline], goodputs[copy]) for baseline, copy in twins]
    seen = [item for item in floors if item.aa is not None]
    if not seen:
        return None
    worst = max(seen, key=lambda item: item.value)
    assert worst.aa is not None
    return Floor(worst.aa.value, interval(worst.aa).ci95, worst.value, worst.valid)


def unequal_work(arms: Sequence[Arm], trials: Mapping[str, Sequence[Trial]], setup: Setup) -> dict[str, Reason]:
    """Find the arms that open more database sessions per request than another one that they are compared with.

    Statements, calls and files need no comparison: the ledger holds every arm to what the workload says. A variant
    that does other work on purpose is neither held to this nor the measure for others.
    """
    opened = {
        arm.id: opened_per_request(arm, trials[arm.id], setup)
        for arm in arms
        if trials[arm.id] and setup.variant(arm).equal_work
    }
    found: dict[str, Reason] = {}
    for arm in arms:
        others = [other.id for other in arms if other.id in opened and other.comparison_key == arm.comparison_key]
        least = min(others, key=lambda other: opened[other], default=arm.id)
        if arm.id in opened and opened[arm.id] > opened[least] + UNEQUAL:
            found[arm.id] = Reason(
                "unequal",
                f"opens {opened[arm.id]:.2f} database sessions per request where {least} opens {opened[least]:.2f}",
            )
    return found


def opened_per_request(arm: Arm, trials: Sequence[Trial], setup: Setup) -> float:
    """Count the database sessions opened per right answer, without those that fill the pools once in a trial."""
    variant = setup.variant(arm)
    pools = workers_of(variant) * int(variant.settings.get("db_pool", 0))
    opened = sum(max(0, trial.server.new_db_sessions - pools) for trial in trials)
    return opened / max(1, sum(trial.client.right for trial in trials))


def explained_facts(timed: ArmTrials, setup: Setup, passes: ExtraTrials, floor: float) -> Facts:
    facts = facts_of(timed.arm, timed.good, setup, timed.goodput, timed.reasons)
    explained, long = passes.explained.get(timed.arm.id), passes.sustained.get(timed.arm.id)
    return replace(
        facts,
        phases=explained.phases if explained else None,
        sustained=sustained(long, timed.good, floor) if long and timed.valid else None,
    )


def sustained(long: Sustained, good: Sequence[Trial], floor: float) -> SustainedRate | None:
    """Hold a long window against the rounds: it differs when it lies outside all of them, by more than the floor."""
    if long.goodput is None or long.missing is not None:
        return None
    rates = [trial.client.goodput for trial in good if trial.client.goodput is not None]
    enough = len(rates) >= statistics.LEAST_ROUNDS
    holds = min(rates) / (1 + floor) <= long.goodput <= max(rates) * (1 + floor) if enough else None
    return SustainedRate(long.goodput, long.window_s, holds)


def arm_result(timed: ArmTrials, facts: Facts, setup: Setup, pooled: Pooled, passes: ExtraTrials) -> ArmResult:
    arm, good, goodput = timed.arm, timed.good, timed.goodput
    explained, profiled = passes.explained.get(arm.id), passes.profiled.get(arm.id)
    found = verdict(facts)
    ceiling, predicted = by_model(facts)
    cpu = cpu_per_request(good or [trial for trial in timed.standing if cpu_holds(trial)])
    return ArmResult(
        id=arm.id,
        stack=arm.stack,
        variant=arm.variant,
        workload=arm.workload,
        params=arm.params,
        load=arm.load,
        rounds=len(good),
        repeated=timed.repeated,
        valid=timed.valid,
        reasons=timed.reasons,
        goodput=goodput,
        latency_ms=pooled(good) if timed.valid else Latency(),
        errors=sum((trial.client.errors for trial in timed.standing), Errors()),
        cpu_us_per_request=cpu,
        memory_mib=least(trial.server.memory_mib for trial in good),  # what ran before leaves memory and threads
        threads=least(trial.server.threads for trial in good),
        db_sessions=most(trial.server.db_sessions for trial in good),
        ceiling=ceiling,
        predicted=predicted,
        verdict=found.name,
        pool=found.pool.name if found.pool else None,
        utilisation={str(name): used for name, used in found.utilisation.items()},
        doubt=Disagreement(found.doubt.kind, found.doubt.words) if found.doubt else None,
        explanation=explain_arm(facts),
        settings=setup.variant(arm).settings,
        ledger=summed_ledger(timed.standing),
        phases=explained.phases if explained and timed.valid else None,
        explaining=cost_of_looking(explained, goodput, cpu) if explained and explained.phases and goodput else None,
        profile=FlameGraph(profiled.file, profiled.samples, cost_of_looking(profiled, goodput, cpu))
        if profiled and profiled.file and goodput
        else None,
        sustained=facts.sustained,
    )


def by_model(facts: Facts) -> tuple[CeilingShare, Predicted] | tuple[None, None]:
    """Hold an arm's goodput against the most that physics allows it, and against what the queueing model expects."""
    bounds, goodput = facts.ceiling, facts.goodput
    if bounds is None or goodput is None:
        return None, None
    response = None if bounds.predicted_response_s is None else bounds.predicted_response_s * 1000
    share = goodput.value / bounds.predicted_goodput
    return (
        CeilingShare(bounds.goodput, bounds.bound, goodput.value / bounds.goodput),
        Predicted(bounds.predicted_goodput, response, bounds.band, share),
    )


def cost_of_looking(extra: ExtraTrial, goodput: Interval, cpu: CpuPerRequest) -> InstrumentationCost:
    if extra.reasons:
        return InstrumentationCost(unknown=[reason.detail for reason in extra.reasons])
    return InstrumentationCost(
        goodput=extra.goodput / goodput.value if extra.goodput is not None and goodput.value else None,
        cpu=extra.cpu_us / cpu.stack if extra.cpu_us is not None and cpu.stack else None,
    )


def interval(estimate: statistics.Estimate) -> Interval:
    found = estimate.interval
    return Interval(estimate.value, (found.low, found.high) if found else None)


def cpu_holds(trial: Trial) -> bool:
    """Tell whether nothing but the clock on the wall speaks against a trial."""
    return all(reason.kind in WALL_CLOCK for reason in trial.reasons)


def cpu_per_request(trials: Sequence[Trial]) -> CpuPerRequest:
    """Return the median over rounds of the CPU-µs per request of stack, upstreams and generator."""
    return CpuPerRequest(
        stack=middle(trial.stack_cpu_us for trial in trials),
        upstreams=middle(trial.cpu_us(trial.server.cpu_s.upstreams) for trial in trials),
        generator=middle(trial.cpu_us(trial.client.cpu_s) for trial in trials),
    )


def ranked(results: list[ArmResult], goodputs: Mapping[str, list[float | None]], floor: float) -> list[ArmResult]:
    """Add to each arm its ratio to the first valid arm of the same workload and load, and its rank among them."""
    groups: dict[tuple[object, ...], list[ArmResult]] = {}
    for result in results:
        groups.setdefault(result.comparison_key, []).append(result)
    compared: dict[str, ArmResult] = {}
    for group in groups.values():
        valid = [result for result in group if result.valid]
        ranks = statistics.ranks({result.id: goodputs[result.id] for result in valid}, floor)
        for result in group:
            estimate = statistics.ratio(goodputs[result.id], goodputs[valid[0].id]) if result in valid else None
            compared[result.id] = replace(
                result,
                ratio=Ratio(valid[0].id, estimate.value, interval(estimate).ci95) if estimate else None,
                rank=ranks[result.id].place if result.id in ranks else None,
            )
    return [compared[result.id] for result in results]


def summed_ledger(trials: Sequence[Trial]) -> list[LedgerLine]:
    lines: dict[str, LedgerLine] = {}
    for entry in (entry for trial in trials for entry in trial.ledger):
        before = lines.get(entry.what, LedgerLine(entry.what, 0, 0))
        counted = None if entry.counted is None or before.counted is None else before.counted + entry.counted
        lines[entry.what] = replace(
            entry, implied=before.implied + entry.implied, counted=counted, slack=before.slack + entry.slack
        )
    return list(lines.values())
