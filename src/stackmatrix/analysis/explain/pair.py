"""Why two arms of one workload differ, or do not; and a workload's answer in one sentence."""

from collections.abc import Sequence

from stackmatrix.analysis.explain.phases import time_by_part
from stackmatrix.analysis.explain.phrases import BOUND_WORDS, MOST_SENTENCES, listed, sentences, things
from stackmatrix.analysis.model.bottleneck import Verdict, verdict
from stackmatrix.analysis.model.ceiling import BAND
from stackmatrix.analysis.model.facts import Facts
from stackmatrix.analysis.model.what_if import lever
from stackmatrix.analysis.statistics import LEAST_FLOOR
from stackmatrix.formatting import duration, quantity, rate
from stackmatrix.results.interval import Interval

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def explain_pair(one: Facts, other: Facts, ratio: Interval | None = None, floor: float = LEAST_FLOOR) -> list[str]:
    """Up to four sentences on two arms of one workload and load; `ratio` is `one` ÷ `other`, paired by round.

    Raises ValueError for arms of two workloads, of which nothing can be said together.
    """
    if one.workload != other.workload:
        raise ValueError(f"{one.arm} and {other.arm} are arms of two workloads: {one.workload}, {other.workload}")
    without = [facts.arm for facts in (one, other) if facts.goodput is None or facts.reasons]
    if without or one.goodput is None or other.goodput is None:
        return [f"No comparison: {listed(without)} {'has' if len(without) == 1 else 'have'} no number."]
    if not min(one.goodput.value, other.goodput.value):
        return ["No comparison: one of them answered nothing."]
    ratio = ratio or Interval(one.goodput.value / other.goodput.value)
    if ratio.value < 1:
        return explain_pair(other, one, ratio.reciprocal, floor)
    told = (
        times_as_much(one, other, ratio, floor),
        bounds(one, other),
        figures_behind(one, other, ratio),
        remedy(one, other),
    )
    return sentences((*told, longest_part(one, other)))[:MOST_SENTENCES]


def times_as_much(one: Facts, other: Facts, ratio: Interval, floor: float) -> str | None:
    """How many times more, with the interval; or that no difference was shown."""
    if one.goodput is None or other.goodput is None:
        return None
    figures = f"{rate(one.goodput.value)} against {rate(other.goodput.value)}"
    times = f"{one.arm} answered {quantity(ratio.value)} times as much as {other.arm}"
    if ratio.ci95 is None:
        return f"{times}, {figures}, without an interval that would show a difference"
    low, high = ratio.ci95
    interval = f"95 % interval {quantity(low)} to {quantity(high)}"
    if low > 1 + floor:
        return f"{times}: {figures}, {interval}"
    shown = f"No difference between {one.arm} and {other.arm} was shown"
    return f"{shown}: {figures}, ratio {quantity(ratio.value)}, {interval}"


def bounds(one: Facts, other: Facts) -> str:
    """What bound each of them."""
    first, second = bound_by(one, verdict(one)), bound_by(other, verdict(other))
    return (
        f"Both are bound by {first}" if first == second else f"{one.arm} is bound by {first}, {other.arm} by {second}"
    )


def bound_by(facts: Facts, found: Verdict) -> str:
    """What bound an arm, in a few words."""
    if found.name == "slots" and found.pool is not None and facts.demand is not None:
        many = things(found.pool, facts.demand.workers)
        return f"waits that block its {many}" if found.pool.name == "loop" else many
    if found.name == "slots":
        return f"{found.default.library}'s own limit" if found.default else "a limit that nobody declared"
    return "what was not metered" if found.name == "void" else BOUND_WORDS[found.name]


def figures_behind(one: Facts, other: Facts, ratio: Interval) -> str | None:
    """Which figures stand in the same ratio: the CPU times where CPU binds, else the ceilings."""
    for facts in (other, one):
        doubted = verdict(facts).doubt
        if doubted is not None:
            return f"The model disagrees with {facts.arm}: {doubted.words}"
    if verdict(one).name == verdict(other).name == "server-cpu" and one.cpu_s and other.cpu_s:
        costs = f"A request costs {duration(one.cpu_s)} of CPU on {one.arm} and {duration(other.cpu_s)} on {other.arm}"
        cpu = other.cpu_s / one.cpu_s
        return f"{costs}, {quantity(cpu)} times as much" if cpu >= 1 and within_band(cpu, ratio.value) else costs
    if one.ceiling is None or other.ceiling is None:
        return None
    above, below = one.ceiling.goodput, other.ceiling.goodput
    if rate(above) == rate(below):
        return f"Both have a ceiling of {rate(above)}"
    ceilings = f"Their ceilings are {rate(above)} and {rate(below)}"
    if within_band(above, below) or not within_band(above / below, ratio.value):
        return ceilings
    return f"{ceilings}, {quantity(above / below)} times apart, and that is the difference"


def longest_part(one: Facts, other: Facts) -> str | None:
    """On which part of its time a request spends most of what it takes longer; none when no part stands out."""
    if one.phases is None or other.phases is None:
        return None
    longer = other.phases.response_s - one.phases.response_s
    less, more = time_by_part(one.phases), time_by_part(other.phases)
    gaps = {part: seconds - less.get(part, 0.0) for part, seconds in more.items()}
    part = max(gaps, key=lambda part: gaps[part])
    if longer <= BAND * one.phases.response_s or gaps[part] < longer / 2:
        return None
    most = f"{duration(gaps[part])} more {part}"
    return f"With Server-Timing on, a request took {duration(longer)} longer on {other.arm}: {most}"


def within_band(one: float, other: float) -> bool:
    """Whether two figures are the same within the model's band."""
    return abs(one / other - 1) <= BAND


def remedy(one: Facts, other: Facts) -> str | None:
    """What would lift the slower; where the load binds both, what would tell them apart."""
    first, second = verdict(one), verdict(other)
    if first.doubt or second.doubt:
        return None
    ahead, behind = lever(one, first), lever(other, second)
    if first.name == second.name == "load":
        if ahead is None or behind is None or within_band(ahead.ceiling.goodput, behind.ceiling.goodput):
            return "The load sets this figure, not the stacks"
        return (
            f"With {behind.what} their ceilings become {rate(ahead.ceiling.goodput)} and {rate(behind.ceiling.goodput)}"
        )
    if behind is None:
        return None
    return (
        f"With {behind.what} the ceiling of {other.arm} becomes {rate(behind.ceiling.goodput)}, bound by {behind.binds}"
    )


def answer_workload(arms: Sequence[tuple[Facts, int | None]]) -> str:
    """One sentence: who is first, who shares a place because no difference was shown, and what bound each.

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
    if without:
        told.append(f"{listed(without)} {'has' if len(without) == 1 else 'have'} no number")
    return f"{arms[0][0].workload}: {'; '.join(told)}."


def one_place(place: int, arms: Sequence[Facts], only: bool) -> str:
    """The arms of one place, the best first."""
    best = sorted(arms, key=goodput_of, reverse=True)
    most, least = rate(goodput_of(best[0])), rate(goodput_of(best[-1]))
    why = listed(list(dict.fromkeys(bound_by(facts, verdict(facts)) for facts in best)))
    names = listed([facts.arm for facts in best])
    if only:
        who = f"no difference between {names} was shown" if len(best) > 1 else f"{names} stands alone"
    else:
        ordinal = ORDINALS[place - 1] if place <= len(ORDINALS) else f"{place}th"
        who = f"{names} {'share' if len(best) > 1 else 'takes'} {ordinal} place"
    return f"{who} ({most if most == least else f'{least} to {most}'}, bound by {why})"


def goodput_of(facts: Facts) -> float:
    """What an arm answered per second."""
    return facts.goodput.value if facts.goodput else 0.0
