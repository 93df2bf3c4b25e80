"""One arm as the verdict and the explanation see it: what was measured of it, and how full each resource was.

A resource's utilisation is measured throughput ÷ what it could serve at most (the utilisation law U = X·D,
Denning & Buzen 1978). Pure functions; what was not measured is left out, never guessed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from stackmatrix.analysis.model.ceiling import BAND, Bound, Ceiling, Demand, ceiling
from stackmatrix.catalog.stacks import Variant, Wait
from stackmatrix.catalog.workloads import Waiting
from stackmatrix.cores import Cores
from stackmatrix.results.explain import Phases, SustainedRate
from stackmatrix.results.interval import Interval
from stackmatrix.results.reasons import Reason

# what binds an arm beside the model's terms: a counter of the kernel tells, and no term can
Cause = Literal["accept-queue", "delayed-ack"]

USED_UP = 1 - BAND  # a resource used this much is the bottleneck, as far as the model can tell

# pools of which a request takes one for each of its calls that run at the same time
CALL_POOLS = frozenset({"http_pool"})


@dataclass(frozen=True, slots=True)
class Pool:
    """Something of which each worker has so many, and a request takes some."""

    name: str  # the stack's setting, or `loop` for an event loop that waits block
    size: int
    takes: int = 1

    @property
    def requests(self) -> int:
        """Requests of one worker that it can hold; at least one, which then waits for its own calls."""
        return max(1, self.size // self.takes)


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """CPU-µs per request under this load, by who spent it; None where it was not metered."""

    stack: float | None = None
    postgres: float | None = None
    nginx: float | None = None
    delay: float | None = None
    generator: float | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One arm as measured, all rounds together; None is what was not."""

    arm: str  # the variant's label, as the tables show it
    workload: str
    demand: Demand | None  # what the model was told; None when neither the wait nor the CPU time is known
    waits_on: Wait | None = None  # what a request waits for besides the CPU; None when for nothing
    wait_known: bool = True  # False: `demand.wait_s` is no more than a lower bound of the wait
    calls: int = 1  # waits of one request that run at the same time
    pools: tuple[Pool, ...] = ()  # what limits the requests in flight of each worker for this wait, as declared
    goodput: Interval | None = None
    response_s: float | None = None  # mean response time
    cpu: CpuTimes = CpuTimes()
    cores: Cores | None = None
    generator_share: float | None = None  # of its core, by the busiest process of the generator
    foreign_share: float | None = None  # of the stack's cores, by anything but the stack; interrupts are in it
    database_s: float | None = None  # what the database itself counted as spent on one request
    in_flight: int | None = None  # the most calls that the upstream had at the same time
    call_s: float | None = None  # what each call asks the upstream to wait
    upstream_s: float | None = None  # what one call took by the upstream's own clock
    turned_away: int = 0  # connections, by the kernel before they were accepted, in all windows
    delayed_acks: float | None = None  # per answer
    writes: float | None = None  # system calls of the stack per answer; answers that leave by `send` are not in it
    least_s: float | None = None  # what a request waits by the workload's own word; None where it states nothing
    counted_s: float | None = None  # the window, where only what ended in it counts: a tool's, or a published one
    phases: Phases | None = None
    sustained: SustainedRate | None = None
    grown_bytes: float | None = None  # what the stack's memory grew by in a window
    grown_per_answer: float | None = None
    libraries: frozenset[str] = frozenset()  # what the arm really uses (`defaults.libraries`)
    reasons: tuple[Reason, ...] = ()  # why its numbers are not to be trusted; none when they are

    @cached_property
    def ceiling(self) -> Ceiling | None:
        return None if self.demand is None else ceiling(self.demand)

    @property
    def cpu_s(self) -> float | None:
        """The stack's CPU seconds per request, as metered under this load."""
        return None if self.demand is None else self.demand.cpu_s

    @property
    def users(self) -> int | None:
        return None if self.demand is None else self.demand.users

    @property
    def cpus(self) -> int:
        return len(self.cores.stack) if self.cores else 1

    @property
    def of_predicted(self) -> float | None:
        if self.goodput is None or self.ceiling is None:
            return None
        return self.goodput.value / self.ceiling.predicted_goodput

    @property
    def pool(self) -> Pool | None:
        return min(self.pools, key=lambda pool: pool.requests, default=None)

    @property
    def held_s(self) -> float | None:
        """S + D, how long a request holds its slot when nothing is in its way; None while the wait is not known."""
        if self.demand is None or not self.wait_known:
            return None
        return self.demand.service_s

    @property
    def held(self) -> float | None:
        """Requests that waited or computed at any one time, by Little's law X (S + D)."""
        return None if self.goodput is None or self.held_s is None else self.goodput.value * self.held_s


@dataclass(frozen=True, slots=True)
class Shared:
    """Sides that run on the same cores, the heaviest first, and how much of those cores all of them used."""

    sides: tuple[Bound, ...]
    cores: int
    share: float


def utilisation(facts: Facts) -> dict[Bound, float]:
    """Return the share of each resource that was used; CPU as metered under this load."""
    if facts.ceiling is None or facts.goodput is None:
        return {}
    used = {name: facts.goodput.value / bound for name, bound in facts.ceiling.terms.items()}
    used.update({name: share for name, share in core_shares(facts).items() if name != "server-cpu"})
    if facts.generator_share is not None:
        used["generator"] = facts.generator_share
    return used


def core_shares(facts: Facts) -> dict[Bound, float]:
    """Return the share of its cores that each side used; a side that was not metered is left out."""
    if facts.cores is None or facts.goodput is None:
        return {}
    return {name: facts.goodput.value / bound for name, bound in own_rates(facts.cpu, facts.cores).items()}


def rates(cpu: CpuTimes, cores: Cores) -> dict[Bound, float]:
    """Return for `Demand.rates` the requests/s that each side has CPU for; shared cores bind the heaviest."""
    alone, crowd = own_rates(cpu, cores), crowded(cpu, cores)
    bounds = dict(alone)
    if crowd:
        bounds[crowd[0]] = 1 / sum(1 / alone[name] for name in crowd)
    bounds.pop("server-cpu", None)  # the model has the stack's own CPU as a queue
    return bounds


def own_rates(cpu: CpuTimes, cores: Cores) -> dict[Bound, float]:
    """Return the requests per second that each side could serve on cores of its own; sides with metered work only."""
    upstream = [part for part in (cpu.nginx, cpu.delay) if part is not None]
    sides: dict[Bound, tuple[float | None, int]] = {
        "server-cpu": (cpu.stack, len(cores.stack)),
        "database": (cpu.postgres, len(cores.upstreams)),
        "upstream": (sum(upstream) if upstream else None, len(cores.upstreams)),
        "generator": (cpu.generator, len(cores.generator)),
    }
    return {name: count * 1e6 / spent for name, (spent, count) in sides.items() if spent}


def crowded(cpu: CpuTimes, cores: Cores) -> tuple[Bound, ...]:
    """Return the sides that share cores with the upstreams, the heaviest first; none when only one of them works."""
    placed: dict[Bound, tuple[int, ...]] = {
        "database": cores.upstreams,
        "upstream": cores.upstreams,
        "generator": cores.generator,
        "server-cpu": cores.stack,
    }
    alone = own_rates(cpu, cores)
    crowd = [name for name, cpus in placed.items() if name in alone and set(cpus) & set(cores.upstreams)]
    return tuple(sorted(crowd, key=lambda name: alone[name])) if len(crowd) > 1 else ()


def fullest(facts: Facts) -> dict[Bound, float]:
    """Say how full each resource was, whoever filled it: with others on the stack's cores, and of cores that are shared
    all that was used, as the heaviest side's."""
    full, together = utilisation(facts), shared(facts)
    if facts.users == 1 and max(full.values(), default=0.0) < USED_UP:
        full["load"] = 1.0  # who waits for each answer asks for no more, however long it takes
    if "server-cpu" in full:
        full["server-cpu"] += facts.foreign_share or 0.0
    if together is not None:
        heaviest = together.sides[0]
        full[heaviest] = max(full.get(heaviest, 0.0), together.share)
    return full


def shared(facts: Facts) -> Shared | None:
    """Return the cores on which the upstreams are not alone, and how much of them was used."""
    if facts.cores is None or facts.goodput is None:
        return None
    sides, shares = crowded(facts.cpu, facts.cores), core_shares(facts)
    share = sum(shares[name] for name in sides)
    return Shared(sides, len(facts.cores.upstreams), share) if sides else None


def pools(variant: Variant, waiting: Waiting | None) -> tuple[Pool, ...]:
    """Say what limits one worker's requests in flight for a workload's wait, as the manifest declares it."""
    terms = variant.stack.terms(waiting.on) if waiting else None
    if waiting is None or terms is None:
        return ()
    at_once = waiting.calls if waiting.mode == "parallel" else 1
    blocked = variant.stack.concurrency == "blocked-loop"
    return tuple(
        Pool("loop" if blocked else "slots", term)
        if isinstance(term, int)
        else Pool(term, int(variant.settings[term]), at_once if term in CALL_POOLS else 1)
        for term in terms
    )


def slots(declared: Iterable[Pool], workers: int) -> int | None:
    """Return for `Demand.slots` the requests that all workers hold in flight; None when nothing limits them."""
    least = min((pool.requests for pool in declared), default=None)
    return None if least is None else workers * least
