"""Numbers that cannot be: beyond a term that is certain from conservation alone, whatever the distributions are."""

from collections.abc import Iterator

from stackmatrix.analysis.explain.phrases import things, waited_for
from stackmatrix.analysis.model.facts import Facts, utilisation
from stackmatrix.formatting import duration, percent, rate, some
from stackmatrix.results.reasons import Reason

CLOCKS = 0.01  # how far two clocks may differ, and a timer ring early
METERS = 0.05  # how far the CPU's meter and the window may differ
UNKNOWN = 0.15  # how far a number of one round may be off: ten answers in a window are counted to one and a half


def beyond_physics(facts: Facts) -> Reason | None:
    """Name the certain term that the whole interval of an arm exceeds; None when it exceeds none."""
    if facts.goodput is None or facts.demand is None:
        return None
    least = facts.goodput.ci95[0] if facts.goodput.ci95 else facts.goodput.value / (1 + UNKNOWN)
    for most, words in certain_terms(facts):
        if least > most * (1 + CLOCKS):
            return Reason("physics", f"{rate(facts.goodput.value)} is beyond the {rate(most)} that {words} allow")
    used = utilisation(facts).get("server-cpu", 0.0)
    if used > 1 + METERS:
        return Reason("physics", f"more CPU time was metered than the stack's cores have: {percent(used)}")
    return None


def certain_terms(facts: Facts) -> Iterator[tuple[float, str]]:
    """List what users and declared slots can reach at most when a request takes no longer than its stated wait."""
    demand, wait_s = facts.demand, facts.least_s
    if demand is None or not wait_s:
        return
    waits = f"{duration(wait_s)} for {waited_for(facts.waits_on)}"
    slots = demand.slots_per_worker
    if slots is not None and facts.pool is not None:
        deal = demand.deal if demand.users else (slots,) * demand.workers
        held = sum(min(users, slots) for users in deal)
        yield held / wait_s, f"{things(facts.pool, demand.workers)} and waits of {waits}"
    if demand.users is not None:
        yield demand.users / (wait_s + demand.think_s), f"{some(demand.users, 'user')} and waits of {waits}"
