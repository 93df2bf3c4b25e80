"""Why two arms of one workload differ, or do not; and who is first in a workload: short lists, a claim a line."""

from collections.abc import Sequence

from stackmatrix.analysis.explain.arm import bound_by
from stackmatrix.analysis.explain.phases import time_by_part
from stackmatrix.analysis.explain.phrases import arm_names, lines
from stackmatrix.analysis.model.bottleneck import verdict
from stackmatrix.analysis.model.ceiling import BAND
from stackmatrix.analysis.model.facts import Facts
from stackmatrix.analysis.model.what_if import lever
from stackmatrix.analysis.statistics import LEAST_FLOOR
from stackmatrix.formatting import capital, duration, factor, listed, rate
from stackmatrix.results.interval import Interval

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
MOST_BOUNDS = 2  # that are named of arms that share a place


def explain_pair(one: Facts, other: Facts, ratio: Interval | None = None, floor: float = LEAST_FLOOR) -> list[str]:
    """List what parts two arms; `ratio` is `one` ÷ `other`, paired by round. ValueError for two workloads."""
    if one.workload != other.workload:
        raise ValueError(f"{one.arm} and {other.arm} are arms of two workloads: {one.workload}, {other.workload}")
    without = [facts.arm for facts in (one, other) if facts.goodput is None or facts.reasons]
    if without or one.goodput is None or other.goodput is None:
        return [f"No comparison: no number for {arm_names(without)}."]
    if not min(one.goodput.value, other.goodput.value):
        return ["No comparison: one of them answered nothing (0/s)."]
    ratio = ratio or Interval(one.goodput.value / other.goodput.value)
    if ratio.value < 1:
        return explain_pair(other, one, ratio.reciprocal, floor)
    head = times_as_much(one, other, ratio, floor), bounds(one, other), figures_behind(one, other, ratio)
    return lines((*head, remedy(one, other), longest_part(one, other)))


def times_as_much(one: Facts, other: Facts, ratio: Interval, floor: float) -> str | None:
    if one.goodput is None or other.goodput is None:
        return None
    figures = f"{rate(one.goodput.value)} against {rate(other.goodput.value)}"
    times = f"{factor(ratio.value)} times as much on {one.arm} as on {other.arm}"
    if ratio.ci95 is None:
        return f"{times}, by estimate alone: {figures}"
    low, high = ratio.ci95
    interval = f"95 %: {factor(low)} to {factor(high)}"
    if low > 1 + floor:
        return f"{times}: {figures} ({interval})"
    names = arm_names([one.arm, other.arm])
    return f"No difference between {names} was shown: {figures}, ratio {factor(ratio.value)} ({interval})"


def bounds(one: Facts, other: Facts) -> str:
    first, second = bound_by(one, verdict(one)), bound_by(other, verdict(other))
    apart = f"{one.arm} is bound by {first}, {other.arm} by {second}"
    return f"Both are bound by {first}" if first == second else apart


def figures_behind(one: Facts, other: Facts, ratio: Interval) -> str | None:
    """Name the figures that stand in the same ratio: the CPU times where CPU binds, else the ceilings."""
    for facts in (other, one):
        doubted = verdict(facts).doubt
        if doubted is not None:
            return f"The model disagrees with {facts.arm}: {doubted.words}"
    if verdict(one).name == verdict(other).name == "server-cpu" and one.cpu_s and other.cpu_s:
        cpu = other.cpu_s / one.cpu_s
        costs = f"{duration(other.cpu_s)} against {duration(one.cpu_s)} of CPU a request"
        if cpu >= 1 and within_band(cpu, ratio.value):
            return f"{factor(cpu)} times as much CPU on {other.arm}, and that is the difference: {costs}"
        return f"{costs} on {other.arm}"
    if one.ceiling is None or other.ceiling is None:
        return None
    above, below = one.ceiling.goodput, other.ceiling.goodput
    if rate(above) == rate(below):
        return f"{rate(above)} is the ceiling of both"
    ceilings = f"{rate(above)} against {rate(below)}"
    if within_band(above, below) or not within_band(above / below, ratio.value):
        return f"{ceilings} are their ceilings"
    return f"{factor(above / below)} times apart are their ceilings, and that is the difference: {ceilings}"


def longest_part(one: Facts, other: Facts) -> str | None:
    """Say on which part a request spends most of what it takes longer; None when no part stands out."""
    if one.phases is None or other.phases is None:
        return None
    longer = other.phases.response_s - one.phases.response_s
    less, more = time_by_part(one.phases), time_by_part(other.phases)
    gaps = {part: seconds - less.get(part, 0.0) for part, seconds in more.items()}
    part = max(gaps, key=lambda part: gaps[part])
    if longer <= BAND * one.phases.response_s or gaps[part] < longer / 2:
        return None
    most = f"{duration(gaps[part])} of it {part}"
    return f"A request took {duration(longer)} longer on {other.arm} with Server-Timing on, {most}"


def within_band(one: float, other: float) -> bool:
    return abs(one / other - 1) <= BAND


def remedy(one: Facts, other: Facts) -> str | None:
    """Say what would lift the slower; where the load binds both, what would tell them apart."""
    first, second = verdict(one), verdict(other)
    if first.doubt or second.doubt:
        return None
    ahead, behind = lever(one, first), lever(other, second)
    if first.name == second.name == "load":
        if ahead is None or behind is None or within_band(ahead.ceiling.goodput, behind.ceiling.goodput):
            return "The load sets this figure, not the stacks"
        return f"To tell them apart: {behind.what} ({rate(ahead.ceiling.goodput)} and {rate(behind.ceiling.goodput)})"
    if behind is None:
        return None
    return f"To make {other.arm} faster: {behind.what} ({rate(behind.ceiling.goodput)}, bound by {behind.binds})"


def answer_workload(arms: Sequence[tuple[Facts, int | None]]) -> list[str]:
    """Say who is first, who shares a place because no difference was shown, and what bound each: a line a place.

    `arms` come with their places as `statistics.ranks` deals them (1, 1, 3 …), None for those without a number.
    """
    if not arms:
        raise ValueError("no arm, no answer")
    by_place: dict[int, list[Facts]] = {}
    for facts, place in arms:
        if place is not None and facts.goodput is not None:
            by_place.setdefault(place, []).append(facts)
    told = [one_place(place, by_place[place], len(by_place) == 1) for place in sorted(by_place)]
    without = [facts.arm for facts, place in arms if place is None or facts.goodput is None]
    first, *more = [*told, *([f"no number for {arm_names(without)}"] if without else [])]
    return lines([f"{arms[0][0].workload}: {first}", *map(capital, more)])


def one_place(place: int, arms: Sequence[Facts], only: bool) -> str:
    best = sorted(arms, key=goodput_of, reverse=True)
    most, least = rate(goodput_of(best[0])), rate(goodput_of(best[-1]))
    reasons = list(dict.fromkeys(bound_by(facts, verdict(facts)).removeprefix("its ") for facts in best))
    why = listed(reasons if len(reasons) <= MOST_BOUNDS else [*reasons[:MOST_BOUNDS], "others"])
    figure = most if most == least else f"{least} to {most}"
    names = arm_names([facts.arm for facts in best])
    if only and len(best) > 1:
        return f"no difference between {names} was shown ({figure}, bound by {why})"
    ordinal = ORDINALS[place - 1] if place <= len(ORDINALS) else f"{place}th"
    who = "alone" if only else f"{ordinal} place{' shared' if len(best) > 1 else ''}"
    return f"{figure} for {names}, {who}, bound by {why}"


def goodput_of(facts: Facts) -> float:
    return facts.goodput.value if facts.goodput else 0.0
