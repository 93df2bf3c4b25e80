"""Where model and measurement disagree: the first assumption of the model that a fact speaks against."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stackmatrix.analysis.explain.phrases import crowd, waited_for
from stackmatrix.analysis.model.ceiling import BAND, Bound
from stackmatrix.analysis.model.facts import CALL_POOLS, USED_UP, Cause, Facts, fullest, shared
from stackmatrix.analysis.model.library_defaults import Default, matching
from stackmatrix.analysis.validity import DELAYED_ACK_MS
from stackmatrix.catalog.stacks import Wait
from stackmatrix.formatting import count, duration, listed, percent, some

MAKES_WAIT = 0.70  # what is used less than this makes nobody wait for long
FAR = 2.0  # an open load's mean response time beyond this multiple of the predicted one refutes the model
NETWORK_S = 0.001  # what network, kernel and generator may take of a request without being a queue
ONE_EACH = 0.5  # delayed acknowledgements for an answer: from here on most answers had one
WHOLE_ROUNDS = 10  # a window of fewer rounds may lose more than the band to the one that its end cuts off
POOLS_OF_WAIT: dict[Wait, frozenset[str]] = {
    "timer": frozenset({"threads", "workers"}),
    "database": frozenset({"threads", "workers", "db_pool"}),
    "upstream": frozenset({"threads", "workers", "http_pool"}),
}
DoubtKind = Literal[
    "slow-database",
    "slow-upstream",
    "accept-queue",
    "delayed-ack",
    "short-window",
    "overhead",
    "default-limit",
    "neighbours",
    "shared-core",
    "uneven-deal",
    "unknown-wait",
    "unmetered-cpu",
    "unnamed-limit",
    "unexplained",
]


@dataclass(frozen=True, slots=True)
class Doubt:
    kind: DoubtKind
    words: str  # the fact against it, as the end of a sentence
    bound: Bound | Cause | None = None  # what bound the arm if the doubt is right; None leaves it to the utilisations
    default: Default | None = None  # the library's limit that nobody declared


Assumption = Callable[[Facts], Doubt | None]


def doubt(facts: Facts) -> Doubt | None:
    """Find the assumption that is in doubt; None when the model agrees, or there is none."""
    model, goodput = facts.ceiling, facts.goodput
    if model is None or goodput is None:
        return None
    low, high = model.band
    if low <= goodput.value <= high and not late(facts):
        return None
    # More than the model expects refutes one of its estimates; more than is possible at all is no doubt (`physics`).
    found = (assumption(facts) for assumption in (() if goodput.value > high else BELOW))
    unexplained = Doubt("unexplained", "nothing that was metered explains the difference")
    return next((one for one in found if one is not None), unexplained)


def late(facts: Facts) -> bool:
    """Tell whether an open load, which sets its own throughput, waited far longer than predicted."""
    model, response_s = facts.ceiling, facts.response_s
    if model is None or response_s is None or model.predicted_response_s is None or facts.users is not None:
        return False
    return response_s > FAR * model.predicted_response_s + NETWORK_S


def slow_database(facts: Facts) -> Doubt | None:
    """Doubt that the database takes as long as stated: it counted more itself."""
    if facts.demand is None or facts.database_s is None or not facts.wait_known or full(facts, USED_UP):
        return None
    words = f"the database itself counted {duration(facts.database_s)} a request, not {duration(facts.demand.wait_s)}"
    return Doubt("slow-database", words, "database") if facts.database_s > facts.demand.wait_s * (1 + BAND) else None


def slow_upstream(facts: Facts) -> Doubt | None:
    """Doubt that the upstream takes as long as it was told: by its own clock it took longer."""
    if facts.upstream_s is None or facts.call_s is None or facts.upstream_s <= facts.call_s * (1 + BAND):
        return None
    words = f"the upstream itself counted {duration(facts.upstream_s)} a call, not {duration(facts.call_s)}"
    return Doubt("slow-upstream", words, "upstream")


def accept_queue(facts: Facts) -> Doubt | None:
    """Doubt that everybody who connects is let in: the kernel turned some away."""
    words = f"the kernel turned {some(facts.turned_away, 'connection')} away before they were accepted"
    return Doubt("accept-queue", words, "accept-queue") if facts.turned_away else None


def delayed_ack(facts: Facts) -> Doubt | None:
    """Doubt that answers leave at once: their last part waited until the client acknowledged the first."""
    acks, (low, high) = facts.delayed_acks, (edge / 1000 for edge in DELAYED_ACK_MS)
    if acks is None or acks < ONE_EACH or facts.response_s is None or facts.held_s is None or facts.held_s >= low:
        return None  # a wait that long has requests acknowledged late, whatever their answers do
    more, at_once = facts.response_s - facts.held_s, facts.writes is not None and round(facts.writes) == 1
    if not low <= more <= high or at_once or fullest(facts).get("server-cpu", 1.0) >= MAKES_WAIT:
        return None
    seen = [some(round(acks, 1), "delayed acknowledgement")]
    if facts.writes is not None and round(facts.writes) > 1:
        seen.append(some(round(facts.writes, 1), "write"))
    words = f"a request takes {duration(more)} longer, with {listed(seen)} an answer"
    return Doubt("delayed-ack", words, "delayed-ack")


def short_window(facts: Facts) -> Doubt | None:
    """Doubt that the window is long: its end cuts off at most R/W of the whole (METHOD §4), and that is missing."""
    if facts.counted_s is None or facts.response_s is None or facts.of_predicted is None:
        return None
    few = facts.response_s > facts.counted_s / WHOLE_ROUNDS
    words = (
        f"a window of {duration(facts.counted_s)} holds few requests of {duration(facts.response_s)} "
        "and cuts off the last"
    )
    lost = facts.response_s / facts.counted_s
    return Doubt("short-window", words) if few and 1 - facts.of_predicted <= lost else None


def overhead(facts: Facts) -> Doubt | None:
    """Doubt that only waits, CPU and queues take time: less is missing than network and generator may take."""
    if facts.held_s is None or facts.response_s is None or facts.response_s - facts.held_s > NETWORK_S:
        return None
    return Doubt("overhead", "requests are so short that network, kernel and generator count, which it leaves out")


def default_limit(facts: Facts) -> Doubt | None:
    """Doubt that nothing but the declared limits requests: as many are in flight as a library allows by itself."""
    held = in_flight(facts)
    if facts.waits_on is None or facts.demand is None or facts.cpu_s is None or held is None or full(facts, USED_UP):
        return None
    limits = POOLS_OF_WAIT[facts.waits_on]
    for waiting, pools in ((held * facts.calls, limits & CALL_POOLS), (held, limits - CALL_POOLS)):
        found = matching(waiting, pools, facts.libraries, workers=facts.demand.workers, cpus=facts.cpus)
        if found is not None:
            own = f"{found.library}'s default in each process ({found.how})"
            words = f"about {count(round(waiting))} are in flight at once, {own}"
            return Doubt("default-limit", words, "slots", found)
    return None


def neighbours(facts: Facts) -> Doubt | None:
    """Doubt that the stack has its cores for itself: others used them too, interrupts included."""
    share = facts.foreign_share or 0.0
    busy = fullest(facts).get("server-cpu", 0.0) >= MAKES_WAIT
    words = f"others, interrupts included, used {percent(share)} of the stack's core"
    return Doubt("neighbours", words) if busy and share > BAND else None


def shared_core(facts: Facts) -> Doubt | None:
    """Doubt that upstreams and generator do not get in one another's way: they share a core, and it is busy."""
    together = shared(facts)
    return Doubt("shared-core", crowd(together, facts.cpu)) if together and together.share >= MAKES_WAIT else None


def uneven_deal(facts: Facts) -> Doubt | None:
    """Doubt that connections fall evenly to the workers: nobody counted."""
    demand = facts.demand
    if demand is None or demand.workers == 1 or demand.users_per_worker is not None:
        return None
    return Doubt("uneven-deal", f"how the connections fell to the {demand.workers} workers was not counted")


def unknown_wait(facts: Facts) -> Doubt | None:
    """Doubt that the wait is known: it is not."""
    words = f"how long {waited_for(facts.waits_on)} takes was not measured"
    if facts.database_s:
        counted = duration(facts.database_s)
        words = f"what network and driver add to the {counted} that the database itself counted is not known"
    return None if facts.wait_known else Doubt("unknown-wait", words)


def unmetered_cpu(facts: Facts) -> Doubt | None:
    """Doubt that the CPU time is known: it is not."""
    return Doubt("unmetered-cpu", "the CPU time of a request was not metered") if facts.cpu_s is None else None


def unnamed_limit(facts: Facts) -> Doubt | None:
    """Doubt that nothing but the declared limits requests: never more than on average waited, and all else is idle."""
    held = in_flight(facts)
    if facts.waits_on is None or facts.cpu_s is None or held is None or held < USED_UP or full(facts, MAKES_WAIT):
        return None
    if facts.in_flight is None or facts.in_flight > held * facts.calls * (1 + BAND):
        return None  # where more were there at times, it was no limit that kept others away
    words = f"about {some(round(held), 'request')} at a time got as far as the wait, and nothing metered was busy"
    return Doubt("unnamed-limit", words, "slots")


# less than predicted: something takes longer, or holds less, than the model was told
BELOW: tuple[Assumption, ...] = (
    slow_database,
    slow_upstream,
    accept_queue,
    delayed_ack,
    overhead,
    default_limit,
    neighbours,
    shared_core,
    short_window,
    uneven_deal,
    unknown_wait,
    unmetered_cpu,
    unnamed_limit,
)


def full(facts: Facts, share: float) -> bool:
    """Tell whether any resource is used so much; an open load, served in full, always is and does not count."""
    shares = fullest(facts)
    if facts.users is None:
        shares.pop("load", None)
    return max(shares.values(), default=0.0) >= share


def in_flight(facts: Facts) -> float | None:
    """Count the requests that waited at the same time: by Little's law, or at most if never more than a tenth more."""
    most = None if facts.in_flight is None else facts.in_flight / facts.calls
    return most if most is not None and (facts.held is None or most <= facts.held * (1 + BAND)) else facts.held
