"""The answer first: a sentence for the run and one for each workload; `**…**` marks what is to stand out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from stackmatrix.analysis import statistics
from stackmatrix.analysis.statistics import LEAST_ROUNDS
from stackmatrix.formatting import MISSING, factor, listed, percent, quantity, some
from stackmatrix.report import slo
from stackmatrix.report.view import Group, MatrixCell, Pair, View
from stackmatrix.results.slo import ServiceLevel

AT_THE_LOAD: Final = 0.9  # an arm bound by its load that reaches this share of it has more to give

ENDED_BY: Final = {
    "precision": "every ratio was known to 5\u00a0%",
    "cap": "the most rounds were done",
    "budget": "the time budget was spent",
    "rounds": "so many rounds were asked for",
    "void": "no cell was left to time",
    "interrupted": "it was interrupted",
}


def headline(view: View) -> str:
    if view.run.experiment is not None:
        return view.run.experiment.question
    if view.run.levels:
        return highest(view)
    decided = [group for group in view.groups if group.ranked]
    if not decided:
        return "No stack has a valid number in this run"
    if len(view.groups) == 1:
        return group_sentence(view.groups[0])
    if not any(group.decided for group in decided):
        return f"{some(view.rounds, 'round')} cannot tell the stacks apart: an interval needs {LEAST_ROUNDS}"
    led = Counter(cell.name for group in decided for cell in leaders(group))
    (most, wins), *others = sorted(led.items(), key=lambda item: -item[1])
    what = "workloads" if not view.several_loads else "workloads and loads"
    text = f"**{most}** leads or shares the lead in {wins} of {len(view.groups)} {what}"
    return f"{text}; {listed([f'{name} in {count}' for name, count in others[:3]])}" if others else text


def highest(view: View) -> str:
    found, level = slo.by_arm(view.run.levels), slo.level_title(view.run.levels)
    firsts = [first for group in view.groups if (first := at_the_top(group, found))]
    if not firsts:
        return f"No rate was found at which a stack keeps {level}"
    if len(view.groups) == 1:
        rates = [value for value in firsts[0].values() if value]
        keeps = f"keeps {level}" if len(rates) == 1 else f"keep {level}"
        return f"**{listed(list(firsts[0]))}** {keeps} up to {rate_range(rates)}, the highest rate that was found"
    (most, wins), *_ = Counter(name for first in firsts for name in first).most_common()
    return (
        f"**{most}** keeps {level} up to the highest rate, or shares it, in {wins} of {some(len(firsts), 'workload')}"
    )


def at_the_top(group: Group, found: Mapping[str, ServiceLevel]) -> dict[str, float]:
    """List the rates in the first place; without places, which need intervals, the highest estimate."""
    known = {cell.name: found[cell.arm.id] for cell in group.cells if cell.arm.id in found}
    rates = {name: rate for name, level in known.items() if (rate := slo.found_rate(level)) is not None}
    placed = {name: rate for name, rate in rates.items() if known[name].rank == 1}
    return placed or dict(sorted(rates.items(), key=lambda item: -item[1])[:1])


def group_sentence(group: Group) -> str:
    return " ".join(part for part in (ranking(group), at_the_load(group), without(group)) if part)


def ranking(group: Group) -> str:
    ranked, first = group.ranked, leaders(group)
    if not ranked:
        return f"No stack has a valid number here{because(group)}."
    if len(ranked) == 1:
        return f"**{ranked[0].name}** alone has a valid number: {goodput_range(ranked)}."
    if not group.decided:
        done = some(ranked[0].arm.rounds, "round")
        return (
            f"{done} cannot tell the stacks apart, for an interval needs {LEAST_ROUNDS}; "
            f"{ranked[0].name} is ahead by estimate with {goodput_range(ranked[:1])}."
        )
    if len(first) == len(ranked):
        both = "both" if len(first) == 2 else "all"
        return f"**No difference** can be told between {names(first)}: {both} answer {goodput_range(first)}."
    follower = ranked[len(first)]
    clear = next((cell for cell in first if group.versus(cell, follower).standing == "higher"), first[0])
    ahead = f"{times(group.versus(clear, follower).goodput)} as much as {follower.name}"
    if len(first) == 1:
        return f"**{first[0].name}** leads with {goodput_range(first)}, {ahead}{behind(group)}."
    return f"**{names(first)}** share the lead with {goodput_range(first)}; {clear.name} does {ahead}{behind(group)}."


def behind(group: Group) -> str:
    last = group.ranked[-1]
    if len(group.ranked) <= len(leaders(group)) + 1:
        return ""
    return f"; {last.name} comes last with {goodput_range([last])}"


def at_the_load(group: Group) -> str:
    """Say that more users would tell more, where the leaders do all that they are asked."""
    first = leaders(group)
    idle = [c for c in first if c.arm.ceiling and c.arm.ceiling.bound == "load" and c.arm.ceiling.share >= AT_THE_LOAD]
    if not first or len(idle) < len(first):
        return ""
    more = "more users" if group.load.kind == "closed" else "a higher rate"
    who = "The leader does" if len(first) == 1 else "The leaders do"
    return f"{who} all that this load asks: {more} would show what is left."


def without(group: Group) -> str:
    return f"No number for {names(group.void)}{because(group)}." if group.void and group.ranked else ""


def because(group: Group) -> str:
    """Name the kinds of reasons why numbers are missing: ` (errors, drift)`."""
    kinds = dict.fromkeys(reason.kind for cell in group.void for reason in cell.arm.reasons)
    return f" ({', '.join(kinds)})" if kinds else ""


def comparison(pair: Pair, floor: float) -> str:
    one, other, factor = pair.first.name, pair.second.name, times(pair.goodput)
    noise = f"noise floor of {percent(floor)}"
    if pair.goodput is None:
        return f"{one} and {other} have no round in common, so nothing can be said of them."
    if pair.goodput.interval is None:
        return f"{one} answers {factor} as much as {other}, by estimate only: an interval needs {LEAST_ROUNDS} rounds."
    if pair.standing != "tie":
        word = "more" if pair.standing == "higher" else "fewer"
        return f"{one} answers {word} requests: {factor} as many as {other}, clear of the {noise}."
    further = (
        f"About {some(pair.settles_in, 'round')} more would settle it, should the ratio hold."
        if pair.settles_in
        else "More rounds would not help: the ratio itself lies within the floor."
    )
    return f"Can’t tell: {one} answers {factor} as many requests as {other}, which touches the {noise}. {further}"


def leaders(group: Group) -> list[MatrixCell]:
    return [cell for cell in group.ranked if cell.arm.rank == group.ranked[0].arm.rank]


def goodput_range(cells: Sequence[MatrixCell]) -> str:
    return rate_range([cell.arm.goodput.value for cell in cells if cell.arm.goodput])


def rate_range(values: Sequence[float]) -> str:
    low, high = quantity(min(values)), quantity(max(values))
    return f"{low}/s" if low == high else f"{low} to {high}/s"


def times(estimate: statistics.Estimate | None) -> str:
    """Write a ratio and its interval: `1.57× (1.55–1.60)`."""
    if estimate is None:
        return MISSING
    if estimate.interval is None:
        return f"{factor(estimate.value)}×"
    return f"{factor(estimate.value)}× ({factor(estimate.interval.low)}–{factor(estimate.interval.high)})"


def names(cells: Sequence[MatrixCell]) -> str:
    return listed([cell.name for cell in cells])
