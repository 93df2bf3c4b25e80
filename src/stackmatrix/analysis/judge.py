"""From the trials of a run to what it says of each arm: valid or void, intervals, ratios, ranks, ceilings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from operator import attrgetter

from stackmatrix.analysis import statistics
from stackmatrix.analysis.explain.arm import explain_arm
from stackmatrix.analysis.explain.pair import answer_workload, explain_pair
from stackmatrix.analysis.model.bottleneck import verdict
from stackmatrix.analysis.model.ceiling import Ceiling, Demand
from stackmatrix.analysis.model.facts import CpuTimes, Facts, pools, rates, slots
from stackmatrix.analysis.model.library_defaults import libraries
from stackmatrix.analysis.statistics import middle, most
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Variant
from stackmatrix.catalog.workloads import Waiting
from stackmatrix.cores import Cores, share_cores
from stackmatrix.load.latency import Latency
from stackmatrix.results.explain import Cost, Extra, FlameGraph, Passes
from stackmatrix.results.interval import Interval, Ratio
from stackmatrix.results.plan import Arm
from stackmatrix.results.reasons import NOISE, WALL_CLOCK, Reason
from stackmatrix.results.run import ArmResult, CeilingShare, Comparison, CpuPerRequest, Disagreement, Floor, Predicted
from stackmatrix.results.trial import Entry, Errors, Trial

UNEQUAL = 0.05
"""Database sessions opened per request by which two arms may differ and still do the same work."""


Pooled = Callable[[Sequence[Trial]], Latency]
"""Reads the records of some trials and gives the percentiles of all their requests together."""


TrialMetric = Callable[[Trial], float | None]


GOODPUT: TrialMetric = attrgetter("goodput")


@dataclass(frozen=True)
class Judgement:
    """What a run says."""

    arms: list[ArmResult]
    aa: Floor | None
    answers: dict[str, str]
    comparisons: list[Comparison]


def judge(
    arms: Sequence[Arm],
    trials: Iterable[Trial],
    catalog: Catalog,
    cpus: Sequence[int],
    pooled: Pooled,
    barred: Mapping[str, Reason] | None = None,
    shards: int = 1,
    passes: Passes | None = None,
) -> Judgement:
    """Judge every arm of a run; `cpus` are the machine's, `barred` says why some arms were never timed.

    `passes` are what was looked at after the rounds.
    """
    share = partial(share_cores, cpus, shards=shards)
    barred, passes = barred or {}, passes or Passes()
    by_arm: dict[str, list[Trial]] = {arm.id: [] for arm in arms}
    for trial in trials:
        if trial.arm in by_arm:
            by_arm[trial.arm].append(trial)
    kept = {arm: last_attempts(seen) for arm, seen in by_arm.items()}
    rounds = 1 + max((trial.round for seen in kept.values() for trial in seen), default=-1)
    goodputs = {arm: by_round(seen, rounds) for arm, seen in kept.items()}
    aa = floor(arms, goodputs)
    unequal = unequal_work(arms, kept, catalog)
    results: list[ArmResult] = []
    facts: dict[str, Facts] = {}
    for arm in arms:
        if arm.twin_of is None:
            seen = kept[arm.id]
            against = barred.get(arm.id), unequal.get(arm.id)
            result, facts[arm.id] = judge_arm(arm, seen, catalog, share, pooled, *against, passes)
            results.append(replace(result, repeated=len(by_arm[arm.id]) - len(seen)))
    least = aa.floor if aa else statistics.LEAST_FLOOR
    if aa is not None and aa.valid is False:  # copies that differ: no difference of this run can be trusted
        return Judgement(results, aa, {}, [])
    results = ranked(results, goodputs, least)
    return Judgement(results, aa, workload_answers(results, facts), comparisons(results, goodputs, facts, least))


def comparisons(
    results: Sequence[ArmResult], goodputs: Mapping[str, list[float | None]], facts: Mapping[str, Facts], floor: float
) -> list[Comparison]:
    """Every two valid arms of a workload and load, explained by each other."""
    found: list[Comparison] = []
    for one, other in combinations([result for result in results if result.valid], 2):
        if (one.workload, one.params, one.load) == (other.workload, other.params, other.load):
            estimate = statistics.ratio(goodputs[one.id], goodputs[other.id])
            paired = interval(estimate) if estimate else None
            words = explain_pair(facts[one.id], facts[other.id], paired, floor)
            found.append(Comparison(one.id, other.id, words))
    return found


def workload_answers(results: Sequence[ArmResult], facts: Mapping[str, Facts]) -> dict[str, str]:
    """One sentence for each workload and load in which anything can be told apart: not without an interval."""
    groups: dict[str, list[ArmResult]] = {}
    for result in results:
        groups.setdefault(result.id.partition("/")[2], []).append(result)
    return {
        name: answer_workload([(facts[result.id], result.rank) for result in group])
        for name, group in groups.items()
        if any(result.goodput and result.goodput.ci95 for result in group)
    }


def last_attempts(trials: Iterable[Trial]) -> list[Trial]:
    """The trial that stands for each arm and round: the last attempt, in order of the rounds."""
    standing: dict[tuple[str, int], Trial] = {}
    for trial in trials:
        place = trial.arm, trial.round
        if place not in standing or trial.attempt >= standing[place].attempt:
            standing[place] = trial
    return sorted(standing.values(), key=lambda trial: trial.round)


def by_round(trials: Iterable[Trial], rounds: int, metric: TrialMetric = GOODPUT) -> list[float | None]:
    """The metric of each round; None where the arm has no trial without a reason against it."""
    values: list[float | None] = [None] * rounds
    for trial in trials:
        if not trial.reasons:
            values[trial.round] = metric(trial)
    return values


def cpu_us(trial: Trial) -> float | None:
    """The stack's CPU-µs per request."""
    return trial.cpu_us(trial.cpu_s.stack)


def floor(arms: Sequence[Arm], goodputs: Mapping[str, list[float | None]]) -> Floor | None:
    """The noise floor from the arms that were timed twice; None when none was."""
    twins = [(arm.twin_of, arm.id) for arm in arms if arm.twin_of is not None]
    floors = [statistics.noise_floor(goodputs[baseline], goodputs[copy]) for baseline, copy in twins]
    seen = [item for item in floors if item.aa is not None]
    if not seen:
        return None
    worst = max(seen, key=lambda item: item.value)
    assert worst.aa is not None
    return Floor(worst.aa.value, interval(worst.aa).ci95, worst.value, worst.valid)


def unequal_work(arms: Sequence[Arm], trials: Mapping[str, Sequence[Trial]], catalog: Catalog) -> dict[str, Reason]:
    """The arms that open more database sessions per request than another one that they are compared with.

    Statements, calls and files need no comparison: the ledger holds every arm to what the workload says. A variant
    that does other work on purpose is neither held to this nor the measure for others.
    """
    opened = {
        arm.id: opened_per_request(arm, trials[arm.id], catalog)
        for arm in arms
        if trials[arm.id] and variant_of(arm, catalog).equal_work
    }
    found: dict[str, Reason] = {}
    for arm in arms:
        others = [other.id for other in arms if other.id in opened and comparable(other) == comparable(arm)]
        least = min(others, key=lambda other: opened[other], default=arm.id)
        if arm.id in opened and opened[arm.id] > opened[least] + UNEQUAL:
            found[arm.id] = Reason(
                "unequal",
                f"opens {opened[arm.id]:.2f} database sessions per request where {least} opens {opened[least]:.2f}",
            )
    return found


def opened_per_request(arm: Arm, trials: Sequence[Trial], catalog: Catalog) -> float:
    """Database sessions opened per right answer, without those that fill the pools once in a trial."""
    settings = variant_of(arm, catalog).settings
    pools = int(settings.get("workers", 1)) * int(settings.get("db_pool", 0))
    opened = sum(max(0, trial.new_db_sessions - pools) for trial in trials)
    return opened / max(1, sum(trial.right for trial in trials))


def variant_of(arm: Arm, catalog: Catalog) -> Variant:
    """The arm's stack with its settings."""
    return Variant(catalog.stacks[arm.stack], arm.variant)


def comparable(arm: Arm | ArmResult) -> tuple[object, ...]:
    """What arms have in common that are compared with one another."""
    return arm.workload, tuple(sorted(arm.params.items())), arm.load


def judge_arm(
    arm: Arm,
    standing: Sequence[Trial],
    catalog: Catalog,
    share: Callable[[int], Cores],
    pooled: Pooled,
    barred: Reason | None,
    unequal: Reason | None,
    passes: Passes,
) -> tuple[ArmResult, Facts]:
    """One arm's result, and the facts behind it.

    Numbers only when no standing trial has a reason that speaks against the stack, and the machine's noise spoiled
    less than half of the rounds; a spoiled round is left out.
    """
    good = [trial for trial in standing if not trial.reasons]
    reasons = list(dict.fromkeys(reason for trial in standing for reason in trial.reasons))
    if 2 * len(good) > len(standing):
        reasons = [reason for reason in reasons if reason.kind not in NOISE]
    if not standing:
        reasons = [barred or Reason("untimed", "the run ended before its first trial")]
    elif unequal is not None:
        reasons.append(unequal)
    valid = bool(good) and not reasons
    estimate = statistics.location([trial.goodput for trial in good]) if valid else None
    goodput = interval(estimate) if estimate else None
    facts = facts_of(arm, good, reasons, goodput, catalog, share)
    explained, profiled = passes.explained.get(arm.id), passes.profiled.get(arm.id)
    if explained is not None:
        facts = replace(facts, phases=explained.phases)
    found = verdict(facts)
    cpu = cpu_per_request(good or [trial for trial in standing if cpu_holds(trial)])
    bounds = facts.ceiling
    result = ArmResult(
        id=arm.id,
        stack=arm.stack,
        variant=arm.variant,
        workload=arm.workload,
        params=arm.params,
        load=arm.load,
        rounds=len(good),
        repeated=0,
        valid=valid,
        reasons=reasons,
        goodput=goodput,
        latency_ms=pooled(good) if valid else Latency(),
        errors=sum((trial.errors for trial in standing), Errors()),
        cpu_us_per_request=cpu,
        memory_mib=most(trial.memory_mib for trial in good),
        threads=most(trial.threads for trial in good),
        db_sessions=most(trial.db_sessions for trial in good),
        ceiling=CeilingShare(bounds.goodput, bounds.bound, goodput.value / bounds.goodput)
        if bounds and goodput
        else None,
        predicted=prediction(bounds, goodput) if bounds and goodput else None,
        verdict=found.name,
        pool=found.pool.name if found.pool else None,
        utilisation={str(name): used for name, used in found.utilisation.items()},
        doubt=Disagreement(found.doubt.kind, found.doubt.words) if found.doubt else None,
        explanation=explain_arm(facts),
        settings=variant_of(arm, catalog).settings,
        ledger=summed_ledger(standing),
        phases=explained.phases if explained and valid else None,
        explaining=cost_of_looking(explained, goodput, cpu) if explained and explained.phases and goodput else None,
        profile=FlameGraph(profiled.file, profiled.samples, cost_of_looking(profiled, goodput, cpu))
        if profiled and profiled.file and goodput
        else None,
    )
    return result, facts


def cost_of_looking(extra: Extra, goodput: Interval, cpu: CpuPerRequest) -> Cost:
    """What a look at an arm cost it."""
    if extra.reasons:
        return Cost(unknown=[reason.detail for reason in extra.reasons])
    return Cost(
        goodput=extra.goodput / goodput.value if extra.goodput is not None and goodput.value else None,
        cpu=extra.cpu_us / cpu.stack if extra.cpu_us is not None and cpu.stack else None,
    )


def prediction(bounds: Ceiling, goodput: Interval) -> Predicted:
    """The model's expectation beside what was measured."""
    response = bounds.predicted_response_s
    return Predicted(
        goodput=bounds.predicted_goodput,
        response_ms=None if response is None else response * 1000,
        band=bounds.band,
        share=goodput.value / bounds.predicted_goodput,
    )


def interval(estimate: statistics.Estimate) -> Interval:
    """An estimate as the results keep it."""
    found = estimate.interval
    return Interval(estimate.value, (found.low, found.high) if found else None)


def cpu_holds(trial: Trial) -> bool:
    """Whether nothing but the clock on the wall speaks against a trial."""
    return all(reason.kind in WALL_CLOCK for reason in trial.reasons)


def cpu_per_request(trials: Sequence[Trial]) -> CpuPerRequest:
    """The median over rounds of the CPU-µs per request of stack, upstreams and generator."""
    return CpuPerRequest(
        stack=middle(trial.cpu_us(trial.cpu_s.stack) for trial in trials),
        upstreams=middle(trial.cpu_us(trial.cpu_s.upstreams) for trial in trials),
        generator=middle(trial.cpu_us(trial.cpu_s.generator) for trial in trials),
    )


def facts_of(
    arm: Arm,
    trials: Sequence[Trial],
    reasons: Sequence[Reason],
    goodput: Interval | None,
    catalog: Catalog,
    share: Callable[[int], Cores],
) -> Facts:
    """The arm as measured, for the model, the verdict and the explanation."""
    variant = variant_of(arm, catalog)
    workload = catalog.workloads[arm.workload].with_params({key: str(value) for key, value in arm.params.items()})
    waiting = workload.waiting()
    workers = int(variant.settings.get("workers", 1))
    cores = share(workers)
    names = ("stack", "postgres", "nginx", "delay", "generator")
    cpu = CpuTimes(**{name: middle(trial.cpu_us(getattr(trial.cpu_s, name)) for trial in trials) for name in names})
    declared = pools(variant, waiting)
    stated = stated_wait(variant, waiting)
    database_s = middle(database_per_request(trial) for trial in trials) if workload.effects().statements else None
    # What is fetched from Nginx is waited for as well, for a time that nobody states.
    waits_on = waiting.on if waiting else ("upstream" if workload.effects().fixtures else None)
    demand = None
    if stated or cpu.stack:
        demand = Demand(
            wait_s=(database_s or 0.0) if stated is None else stated,
            cpu_s=None if cpu.stack is None else cpu.stack / 1e6,
            users=arm.load.users,
            think_s=arm.load.think_s,
            rate=arm.load.rate,
            slots=slots(declared, workers),
            workers=workers,
            users_per_worker=users_per_worker(arm, trials, workers),
            cores=len(cores.stack),
            rates=rates(cpu, cores),
        )
    response_ms = middle(trial.latency_ms.mean for trial in trials)
    return Facts(
        arm=variant.label,
        workload=workload.name,
        demand=demand,
        waits_on=waits_on,
        wait_known=waits_on is None or stated is not None,
        calls=waiting.calls if waiting and waiting.mode == "parallel" else 1,
        pools=declared,
        goodput=goodput,
        response_s=None if response_ms is None else response_ms / 1000,
        cpu=cpu,
        cores=cores,
        database_s=database_s,
        in_flight=most(trial.upstream_in_flight for trial in trials) if workload.effects().upstream else None,
        generator_share=middle(trial.generator_share for trial in trials),
        foreign_share=middle(trial.foreign_share for trial in trials),
        window_s=middle(trial.window_s for trial in trials),
        libraries=libraries(variant),
        reasons=tuple(reasons),
    )


def database_per_request(trial: Trial) -> float | None:
    """Seconds that the database counted for one right answer: where nobody states the wait, a lower bound of it."""
    return None if trial.database_s is None or not trial.right else trial.database_s / trial.right


def users_per_worker(arm: Arm, trials: Sequence[Trial], workers: int) -> tuple[int, ...] | None:
    """How the accepts fell out in the round of the middle goodput; None for one worker, or where it was not seen."""
    seen = sorted((trial for trial in trials if trial.connections_per_worker), key=lambda trial: trial.goodput)
    if workers == 1 or not seen:
        return None
    counts = tuple(seen[len(seen) // 2].connections_per_worker or ())
    return counts if (len(counts), sum(counts)) == (workers, arm.load.users) else None


def stated_wait(variant: Variant, waiting: Waiting | None) -> float | None:
    """Seconds that one request waits by the workload's own word; what blocks the loop cannot be gathered."""
    if waiting is None or waiting.ms is None:
        return None
    if variant.stack.concurrency == "blocked-loop":
        return waiting.ms / 1000 * waiting.calls
    return waiting.seconds


def ranked(results: list[ArmResult], goodputs: Mapping[str, list[float | None]], floor: float) -> list[ArmResult]:
    """Add to each arm its ratio to the first valid arm of the same workload and load, and its rank among them."""
    groups: dict[tuple[object, ...], list[ArmResult]] = {}
    for result in results:
        groups.setdefault(comparable(result), []).append(result)
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


def summed_ledger(trials: Sequence[Trial]) -> list[Entry]:
    """The ledgers of all rounds added up, line by line."""
    lines: dict[str, Entry] = {}
    for entry in (entry for trial in trials for entry in trial.ledger):
        before = lines.get(entry.what, Entry(entry.what, 0, 0))
        counted = None if entry.counted is None or before.counted is None else before.counted + entry.counted
        lines[entry.what] = replace(
            entry, implied=before.implied + entry.implied, counted=counted, slack=before.slack + entry.slack
        )
    return list(lines.values())
