"""Why each number is what it is: a short list, made from the figures beside it, a claim a line.

A line is written only when every fact that it rests on was measured; what another setting would do is the
ceiling evaluated again with that setting, never a rule of thumb. The model is not asked where it disagrees.
"""

from collections.abc import Callable, Iterator, Mapping

from stackmatrix.analysis.explain.phrases import (
    BOUND_WORDS,
    KERNEL_CHANGES,
    crowd,
    lines,
    program,
    thing,
    things,
    waited_for,
)
from stackmatrix.analysis.model.bottleneck import Verdict, verdict
from stackmatrix.analysis.model.ceiling import BAND, Ceiling
from stackmatrix.analysis.model.disagreement import in_flight, late
from stackmatrix.analysis.model.facts import USED_UP, Facts
from stackmatrix.analysis.model.what_if import idle, lever
from stackmatrix.formatting import capital, count, duration, listed, percent, quantity, rate, some
from stackmatrix.results.explain import Phases

TimedParts = list[tuple[float, str]]  # seconds, and what they went to
LEAST_SHARE = 0.005  # of a request's time: what takes less is not worth a word
LEAK_BYTES, GROWN_BYTES = 5e3, 8e6  # memory that a request leaves behind, and a window, that is worth a word
LATE_LOOP_S = 0.005  # a loop that is later than this on average delays what it serves


def explain_arm(facts: Facts) -> list[str]:
    """List what bound the arm, where a request's time went, and what would move its ceiling."""
    found = verdict(facts)
    if found.of_ceiling is None:
        return lines(without_number(facts, found))
    told = (
        what_bound(facts, found),
        how_full(facts, found),
        *(from_inside(facts, found) or from_outside(facts, found)),
        *waiting_inside(facts),
        memory_growth(facts),
        not_sustained(facts),
        disagreement(facts, found),
        *outlook(facts, found),
        known_default(found),
    )
    return lines(told)


def without_number(facts: Facts, found: Verdict) -> Iterator[str]:
    if not found.reasons:
        yield f"No number for {facts.arm}: nothing was metered that could have bound it"
        return
    for detail in dict.fromkeys(reason.detail for reason in found.reasons):
        yield f"No number for {facts.arm}: {detail}"
    yield capital(found.reasons[0].remedy)


# What bound it.


def what_bound(facts: Facts, found: Verdict) -> str | None:
    if facts.goodput is None or facts.ceiling is None or found.of_ceiling is None:
        return None
    ceiling = rate(facts.ceiling.goodput)
    if found.name == "server-cpu":  # whose ceiling is made of this very cell's CPU time, and contains the result
        return f"{rate(facts.goodput.value)}: {facts.arm} is bound by {bound_by(facts, found)}"
    reached = f"{rate(facts.goodput.value)}, {percent(found.of_ceiling)} of the ceiling of {ceiling}"
    if found.name == "unexplained":
        return f"{reached}: nothing that was metered bound {facts.arm}"
    return f"{reached}: {facts.arm} is bound by {bound_by(facts, found)}"


def bound_by(facts: Facts, found: Verdict) -> str:
    if found.name == "slots" and found.pool is not None and facts.demand is not None:
        many = things(found.pool, facts.demand.workers)
        return f"waits that block its {many}" if found.pool.name == "loop" else f"its {many}"
    if found.name == "slots":
        return f"{found.default.library}'s own limit" if found.default else "a limit that nobody declared"
    return BOUND_WORDS.get(found.name, "what was not metered")


def how_full(facts: Facts, found: Verdict) -> str | None:
    """Say how full what bound it was; where that is the fact against the model, the line on the model says it."""
    why = candidates(facts, found) if found.name == "unexplained" else CAUSES[found.name](facts, found)
    return None if found.doubt is not None and why == found.doubt.words else capital(why or "")


def used(found: Verdict) -> float | None:
    """Say how full what bound the arm was, whoever filled it; None where nothing did."""
    return None if found.bound is None else found.full.get(found.bound)


def candidates(facts: Facts, found: Verdict) -> str:
    """Name the two fullest resources, though neither is used up."""
    named = {**BOUND_WORDS, "slots": f"the pool of {thing(facts.pool)}s" if facts.pool else BOUND_WORDS["slots"]}
    fullest = sorted(found.full, key=lambda bound: found.full[bound], reverse=True)[:2]
    shares = listed([f"{percent(found.full[bound])} ({named[bound]})" for bound in fullest])
    return f"{shares} is how full the fullest {'was' if len(fullest) == 1 else 'were'}"


def by_load(facts: Facts, found: Verdict) -> str | None:
    demand, share = facts.demand, used(found)
    if demand is None or share is None:
        return None
    if demand.rate is not None:
        return f"{rate(demand.rate)} is all that was offered" if share >= USED_UP else None
    waits = [f"{duration(demand.wait_s)} for {waited_for(facts.waits_on)}"] if knows_wait(facts) else []
    pauses = [f"{duration(demand.think_s)} between requests"] if demand.think_s else []
    who = some(demand.users or 0, "user") + (f", waiting {listed(waits + pauses)}," if waits + pauses else "")
    return f"{who} cannot ask for more" if share >= USED_UP else f"{who} ask for little more"


def by_slots(facts: Facts, found: Verdict) -> str | None:
    share, held = used(found), in_flight(facts)
    if found.pool is None or facts.demand is None:
        return None if held is None else f"{some(round(held), 'request')} at a time got as far as the wait"
    if share is None:
        return None
    state = "blocked" if found.pool.name == "loop" else "taken"
    each = f", {duration(facts.held_s)} by each request" if facts.held_s is not None else ""
    verb = "is" if found.pool.size * facts.demand.workers == 1 else "are"
    which = "it" if verb == "is" else "they"
    return f"{percent(min(share, 1.0))} of the time {which} {verb} {state}{each}"


def by_cpu(facts: Facts, found: Verdict) -> str | None:
    own, share = found.utilisation.get("server-cpu"), used(found)
    if own is None or share is None or facts.cpu_s is None or facts.demand is None:
        return None
    cores = min(facts.demand.cores, facts.demand.workers * facts.demand.cores_per_worker)
    which = "its core is" if cores == 1 else f"its {count(cores)} cores are"
    each = f"{duration(facts.cpu_s)} by each request"
    if share - own < LEAST_SHARE:
        return f"{percent(min(own, 1.0))} of the time {which} busy, {each}"
    return f"{percent(min(own, 1.0))} of the time {which} busy with it, {each}; {percent(share - own)} with others"


def by_side(facts: Facts, found: Verdict) -> str | None:
    """Say that an upstream or the generator is at its end, alone or on a core that it shares."""
    share = used(found)
    if share is None or (found.doubt is not None and found.doubt.bound == found.name):
        return None
    if found.shared is not None and found.name == found.shared.sides[0]:
        return crowd(found.shared, facts.cpu)
    return f"{percent(min(share, 1.0))} of the time {program(found.bound, facts.cpu)} is busy" if found.bound else None


def by_kernel(_facts: Facts, found: Verdict) -> str | None:
    return found.doubt.words if found.doubt else None


CAUSES: Mapping[str, Callable[[Facts, Verdict], str | None]] = {
    "load": by_load,
    "slots": by_slots,
    "server-cpu": by_cpu,
    "database": by_side,
    "upstream": by_side,
    "generator": by_side,
    "accept-queue": by_kernel,
    "delayed-ack": by_kernel,
}


# Where a request's time went.


def from_outside(facts: Facts, found: Verdict) -> list[str]:
    """Share out the response time: its wait and its CPU time as known, and what is left."""
    whole = facts.response_s
    if not whole or facts.cpu_s is None or facts.demand is None:
        return []
    parts = [(facts.demand.wait_s, f"waiting for {waited_for(facts.waits_on)}")] if knows_wait(facts) else []
    if facts.database_s and not facts.wait_known:
        parts.append((facts.database_s, "at work in the database"))
    parts.append((facts.cpu_s, "on the CPU"))
    rest = whole - sum(seconds for seconds, _ in parts)
    if rest < -BAND * whole:
        return []  # the parts overlap, and their shares say nothing
    if rest >= LEAST_SHARE * whole:
        parts.append((rest, rest_words(facts, found)))
    return time_lines(f"{duration(whole)} a request", parts, whole)


def knows_wait(facts: Facts) -> bool:
    return facts.demand is not None and facts.waits_on is not None and facts.wait_known and facts.demand.wait_s > 0


def rest_words(facts: Facts, found: Verdict) -> str:
    """Say what a request did besides its own wait and CPU time, as far as it is known."""
    unknown = [waited_for(facts.waits_on)] if facts.waits_on and not facts.wait_known and not facts.database_s else []
    line = in_line_for(found)
    if line is None:
        return f"elsewhere, {unknown[0]} included" if unknown else "elsewhere"
    return f"waiting for {listed([line, *unknown])}"


def in_line_for(found: Verdict) -> str | None:
    """Say what requests stand in line for: something inside the stack that is full; None when nothing is."""
    if found.name == "slots" and found.pool is None:
        return "its turn"
    if found.name not in ("slots", "server-cpu") or (found.doubt is not None and found.full[found.name] < USED_UP):
        return None
    if found.pool is None:
        return "the CPU"
    return "the event loop" if found.pool.name == "loop" else f"a free {thing(found.pool)}"


def from_inside(facts: Facts, found: Verdict) -> list[str]:
    """Share out the response time as the application itself timed it in the explaining pass."""
    phases = facts.phases
    if phases is None or not phases.response_s:
        return []
    whole = phases.response_s
    named = ((phases.queue_s, "waiting for a thread"), (phases.encode_s, "encoding"))
    timed = [(seconds, name) for seconds, name in named if seconds is not None]
    known = [*timed, *with_database(facts, found), *gathering(facts, found)]
    rest = phases.total_s - sum(seconds for seconds, _ in known)
    if min(rest, phases.outside_s) < -BAND * whole:
        return []  # the parts overlap, and their shares say nothing
    parts = [*known, *unnamed_time(rest, phases, in_line_for(found))]
    worth = [(seconds, name) for seconds, name in parts if seconds >= LEAST_SHARE * whole]
    return time_lines(f"{duration(whole)} a request, with Server-Timing on", worth, whole)


def unnamed_time(rest_s: float, phases: Phases, line: str | None) -> TimedParts:
    """Place what no phase names: in a thread pool the line lies within the application, for all else before it."""
    inside, outside = "elsewhere in the application", "outside the application"
    if line == "a free thread" and phases.queue_s is None:
        inside += f", in line for {line}"
    elif line in ("the CPU", "the event loop", "a free greenlet", "its turn"):
        outside += f", in line for {line}"
    return [(rest_s, inside), (phases.outside_s, outside)]


def with_database(facts: Facts, found: Verdict) -> TimedParts:
    whole = facts.phases.db_s if facts.phases else None
    if whole is None or facts.waits_on != "database":
        return []  # nothing counts statements here that would confirm it
    stated = facts.demand.wait_s if facts.demand and knows_wait(facts) and facts.waits_on == "database" else None
    work = facts.database_s or stated
    if work is None or work > whole:
        return [(whole, "with the database")]
    full = found.pool is not None and found.pool.name == "db_pool"
    around = "waiting for a database connection" if full else "in the driver, for a connection or for its turn to go on"
    return [(whole - work, around), (work, "at work in the database")]


def gathering(facts: Facts, found: Verdict) -> TimedParts:
    """Split its time with upstreams or the timer: the wait that is stated, and what is around that."""
    whole = facts.phases.gather_s if facts.phases else None
    if whole is None:
        return []
    if facts.demand is None or not knows_wait(facts) or facts.waits_on == "database" or facts.demand.wait_s > whole:
        return [(whole, "gathering")]
    full = found.pool is not None and found.pool.name == "http_pool"
    on, wait_s = waited_for(facts.waits_on), facts.demand.wait_s
    around = "waiting for an HTTP connection" if full else f"beside {on}, for its turn to go on"
    return [(whole - wait_s, around), (wait_s, f"waiting for {on}")]


def time_lines(head: str, parts: TimedParts, whole: float) -> list[str]:
    """Write `2.50 s a request: 1.50 s (60 %) waiting …`: the largest part, then the others two a line."""
    if not parts:
        return [f"{head}, of which nothing is known"]
    told = [
        f"{duration(part)} ({percent(min(part / whole, 1.0))}) {name}"
        for part, name in sorted(parts, key=lambda part: part[0], reverse=True)
    ]
    return [f"{head}: {told[0]}", *(listed(told[place : place + 2]) for place in range(1, len(told), 2))]


def not_sustained(facts: Facts) -> str | None:
    """Say that a long window showed another rate than the short ones."""
    long, goodput = facts.sustained, facts.goodput
    if long is None or goodput is None or long.holds is not False:
        return None
    away = long.goodput / goodput.value - 1
    seen = f"{rate(long.goodput)} in one window of {duration(long.window_s)}, {percent(abs(away))}"
    return f"{seen} more: short windows do not show its rate" if away > 0 else f"{seen} less: its rate does not last"


def memory_growth(facts: Facts) -> str | None:
    """Say that the stack would not last: its memory grows with every request."""
    each, total = facts.grown_per_answer, facts.grown_bytes
    if each is None or total is None or each < LEAK_BYTES or total < GROWN_BYTES:
        return None
    return f"{count(round(each / 1000))} kB a request is what its memory grew by: at this rate it does not last"


def waiting_inside(facts: Facts) -> Iterator[str]:
    """Say who stood in line inside the stack in the explaining pass, and what else was seen there."""
    phases = facts.phases
    if phases is None:
        return
    if (held := in_line(facts, phases)) is not None and held >= 1:
        yield f"{some(round(held), 'request')} stood in line for a thread at any one time"
    if phases.lag_s is not None and phases.lag_s >= LATE_LOOP_S:
        yield f"{duration(phases.lag_s)} is how late the event loop was"
    if phases.sessions_active is not None and phases.sessions_idle is not None and phases.sessions_active >= 1:
        all_of_them = some(round(phases.sessions_active + phases.sessions_idle), "database session")
        yield f"{count(round(phases.sessions_active, 1))} of its {all_of_them} were at work"


def in_line(facts: Facts, phases: Phases) -> float | None:
    """Count the requests that waited for a thread at any one time, by Little's law at the pass's own throughput."""
    if phases.queue_s is None or facts.demand is None:
        return None
    if facts.demand.users is None:
        return (facts.demand.rate or 0.0) * phases.queue_s
    cycle_s = phases.response_s + facts.demand.think_s
    return facts.demand.users * min(1.0, phases.queue_s / cycle_s) if cycle_s else None  # no more than there are


# What would change it.


def disagreement(facts: Facts, found: Verdict) -> str | None:
    if found.doubt is None or facts.ceiling is None:
        return None
    response_s = facts.ceiling.predicted_response_s
    expects = rate(facts.ceiling.predicted_goodput)
    if late(facts) and response_s is not None:
        expects = f"{duration(response_s)} a request"
    return f"The model expects {expects}, but {found.doubt.words}"


def outlook(facts: Facts, found: Verdict) -> list[str]:
    """Say what would move the ceiling, to what; and what would not."""
    if facts.ceiling is None:
        return []
    without = f"{rate(facts.ceiling.goodput)}, bound by {BOUND_WORDS[facts.ceiling.bound]}"
    if found.name in KERNEL_CHANGES:
        return [f"To go faster: {KERNEL_CHANGES[found.name]} ({without})"]
    if found.doubt is not None:
        hidden = found.default is not None and found.pool is None
        return [f"Without that limit the ceiling is {without}"] if hidden else []
    change, useless = lever(facts, found), idle(facts)
    if change is None:
        return []
    faster = f"To go faster: {change.what} (predicted: {band(change.ceiling)}, bound by {change.binds})"
    same = f"More {listed(useless, 'or')} would leave the ceiling at {rate(facts.ceiling.goodput)}"
    return [faster, same] if useless else [faster]


def band(ceiling: Ceiling) -> str:
    """Write what the model predicts, with its band: never beyond the ceiling."""
    return f"{quantity(ceiling.band[0])} to {rate(min(ceiling.band[1], ceiling.goodput))}"


def known_default(found: Verdict) -> str | None:
    """Say that a declared pool has the size that the library takes by itself."""
    default = found.default
    if found.pool is None or default is None:
        return None
    return f"{some(default.size, default.noun)} in each process is {default.library}'s default ({default.how})"
