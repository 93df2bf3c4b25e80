"""From the trials of a run to what it says of each arm: valid or void, intervals, ratios, ranks, ceilings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeVar

from stackmatrix.analysis import statistics
from stackmatrix.analysis.ceilings import Demand, ceiling
from stackmatrix.catalog.stacks import Stack, Variant
from stackmatrix.catalog.workloads import Workload
from stackmatrix.results import (
    Arm,
    ArmResult,
    CeilingShare,
    CpuPerRequest,
    Entry,
    Errors,
    Floor,
    Interval,
    Latency,
    Ratio,
    Reason,
    Trial,
)

N = TypeVar("N", int, float)

Pooled = Callable[[Sequence[Trial]], Latency]
"""Reads the records of some trials and gives the percentiles of all their requests together."""


@dataclass(frozen=True)
class Catalog:
    """What the arms' names stand for."""

    stacks: Mapping[str, Stack]
    workloads: Mapping[str, Workload]


@dataclass(frozen=True)
class Judgement:
    """What a run says."""

    arms: list[ArmResult]
    aa: Floor | None


def judge(
    arms: Sequence[Arm],
    trials: Iterable[Trial],
    catalog: Catalog,
    cores: int,
    pooled: Pooled,
    barred: Mapping[str, Reason] | None = None,
) -> Judgement:
    """Judge every arm of a run; `cores` is how many the stack had, `barred` says why some arms were never timed."""
    barred = barred or {}
    by_arm: dict[str, list[Trial]] = {arm.id: [] for arm in arms}
    for trial in trials:
        if trial.arm in by_arm:
            by_arm[trial.arm].append(trial)
    kept = {arm: last_attempts(seen) for arm, seen in by_arm.items()}
    rounds = 1 + max((trial.round for seen in kept.values() for trial in seen), default=-1)
    goodputs = {arm: by_round(seen, rounds) for arm, seen in kept.items()}
    aa = floor(arms, goodputs)
    results = [
        verdict(arm, by_arm[arm.id], kept[arm.id], catalog, cores, pooled, barred.get(arm.id))
        for arm in arms
        if arm.twin_of is None
    ]
    return Judgement(compare(results, goodputs, aa.floor if aa else statistics.LEAST_FLOOR), aa)


def last_attempts(trials: Iterable[Trial]) -> list[Trial]:
    """The trial that stands for each round: the last attempt, in order of the rounds."""
    standing: dict[int, Trial] = {}
    for trial in trials:
        if trial.round not in standing or trial.attempt >= standing[trial.round].attempt:
            standing[trial.round] = trial
    return [standing[number] for number in sorted(standing)]


def by_round(trials: Iterable[Trial], rounds: int) -> list[float | None]:
    """The goodput of each round; None where the arm has no trial without a reason against it."""
    values: list[float | None] = [None] * rounds
    for trial in trials:
        if not trial.reasons:
            values[trial.round] = trial.goodput
    return values


def floor(arms: Sequence[Arm], goodputs: Mapping[str, list[float | None]]) -> Floor | None:
    """The noise floor from the arms that were timed twice; None when none was."""
    twins = [(arm.twin_of, arm.id) for arm in arms if arm.twin_of is not None]
    floors = [statistics.noise_floor(goodputs[baseline], goodputs[copy]) for baseline, copy in twins]
    seen = [item for item in floors if item.aa is not None]
    if not seen:
        return None
    worst = max(seen, key=lambda item: item.value)
    assert worst.aa is not None
    return Floor(worst.aa.value, interval(worst.aa).ci95, worst.value)


def verdict(
    arm: Arm,
    trials: Sequence[Trial],
    standing: Sequence[Trial],
    catalog: Catalog,
    cores: int,
    pooled: Pooled,
    barred: Reason | None,
) -> ArmResult:
    """One arm's result; numbers only when at least one round passed every gate and none failed for good."""
    good = [trial for trial in standing if not trial.reasons]
    reasons = list(dict.fromkeys(reason for trial in standing for reason in trial.reasons))
    if not standing:
        reasons = [barred or Reason("untimed", "the run ended before its first trial")]
    valid = bool(good) and not reasons
    estimate = statistics.location([trial.goodput for trial in good]) if valid else None
    cpu = cpu_per_request(good)
    return ArmResult(
        id=arm.id,
        stack=arm.stack,
        variant=arm.variant,
        workload=arm.workload,
        params=arm.params,
        load=arm.load,
        rounds=len(good),
        repeated=len(trials) - len(standing),
        valid=valid,
        reasons=reasons,
        goodput=interval(estimate) if estimate else None,
        latency_ms=pooled(good) if valid else Latency(),
        errors=sum((trial.errors for trial in standing), Errors()),
        cpu_us_per_request=cpu,
        memory_mib=most(trial.memory_mib for trial in good),
        threads=most(trial.threads for trial in good),
        db_sessions=most(trial.db_sessions for trial in good),
        ceiling=share(arm, catalog, cores, estimate.value, cpu.stack) if estimate else None,
        ledger=ledger(standing),
    )


def interval(estimate: statistics.Estimate) -> Interval:
    """An estimate as the results keep it."""
    found = estimate.interval
    return Interval(estimate.value, (found.low, found.high) if found else None)


def cpu_per_request(trials: Sequence[Trial]) -> CpuPerRequest:
    """The median over rounds of the CPU-µs per request of stack, upstreams and generator."""
    return CpuPerRequest(
        stack=middle(trial.cpu_us(trial.cpu_s.stack) for trial in trials),
        upstreams=middle(trial.cpu_us(trial.cpu_s.upstreams) for trial in trials),
        generator=middle(trial.cpu_us(trial.cpu_s.generator) for trial in trials),
    )


def share(arm: Arm, catalog: Catalog, cores: int, goodput: float, cpu_us: float | None) -> CeilingShare | None:
    """The arm's ceiling after METHOD: from its load, its wait, its slots and its measured CPU demand."""
    demand = demand_of(arm, catalog, cores, cpu_us)
    if demand is None:
        return None
    found = ceiling(demand)
    return CeilingShare(found.goodput, found.bound, goodput / found.goodput)


def demand_of(arm: Arm, catalog: Catalog, cores: int, cpu_us: float | None) -> Demand | None:
    """What the arm asks of its parts; None when neither wait nor CPU is known."""
    variant = Variant(catalog.stacks[arm.stack], arm.variant)
    waiting = (
        catalog.workloads[arm.workload].with_params({key: str(value) for key, value in arm.params.items()}).waiting()
    )
    wait_s = 0.0
    slots: int | None = None
    if waiting is not None:
        wait_s = waiting.seconds or 0.0
        slots = variant.slots(waiting.on)
        if variant.stack.concurrency == "blocked-loop" and waiting.ms is not None:
            wait_s = waiting.ms / 1000 * waiting.calls  # what blocks the loop cannot be gathered
    if not wait_s and not cpu_us:
        return None
    workers = int(variant.settings.get("workers", 1))
    return Demand(
        wait_s=wait_s,
        cpu_s=None if cpu_us is None else cpu_us / 1e6,
        users=arm.load.users,
        think_s=arm.load.think_s,
        rate=arm.load.rate,
        slots=slots,
        workers=workers,
        cores=cores,
    )


def compare(results: list[ArmResult], goodputs: Mapping[str, list[float | None]], floor: float) -> list[ArmResult]:
    """Add to each arm its ratio to the first valid arm of the same workload and load, and its rank among them."""
    groups: dict[tuple[object, ...], list[ArmResult]] = {}
    for result in results:
        key = (result.workload, tuple(sorted(result.params.items())), result.load)
        groups.setdefault(key, []).append(result)
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


def ledger(trials: Sequence[Trial]) -> list[Entry]:
    """The ledgers of all rounds added up, line by line."""
    lines: dict[str, Entry] = {}
    for entry in (entry for trial in trials for entry in trial.ledger):
        before = lines.get(entry.what, Entry(entry.what, 0, 0))
        counted = None if entry.counted is None or before.counted is None else before.counted + entry.counted
        lines[entry.what] = Entry(entry.what, before.implied + entry.implied, counted, before.slack + entry.slack)
    return list(lines.values())


def middle(values: Iterable[float | None]) -> float | None:
    """The median of what is there; None when nothing is."""
    seen = [value for value in values if value is not None]
    return median(seen) if seen else None


def most(values: Iterable[N | None]) -> N | None:
    """The largest of what is there; None when nothing is."""
    return max((value for value in values if value is not None), default=None)
