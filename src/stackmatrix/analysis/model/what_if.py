"""What would move an arm's ceiling, to what, and what would not: the ceiling evaluated again with one thing changed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from stackmatrix.analysis.explain.phrases import BOUND_WORDS, thing, things
from stackmatrix.analysis.model.bottleneck import Verdict
from stackmatrix.analysis.model.ceiling import Ceiling, Demand, ceiling
from stackmatrix.analysis.model.facts import Facts, Pool, rates, slots
from stackmatrix.formatting import rate, some

NO_CHANGE = 0.01  # a ceiling that a change lifts by less than this does not move


@dataclass(frozen=True, slots=True)
class Change:
    what: str  # after `to go faster`: `500 threads`; of a change that does nothing, after `more`: `users`
    demand: Demand
    pools: tuple[Pool, ...]

    @property
    def ceiling(self) -> Ceiling:
        return ceiling(self.demand)

    @property
    def binds(self) -> str:
        pool = min(self.pools, key=lambda pool: pool.requests, default=None)
        if self.ceiling.bound == "slots" and pool is not None:
            return f"its {things(pool, self.demand.workers)}"
        return BOUND_WORDS[self.ceiling.bound]


def lever(facts: Facts, found: Verdict) -> Change | None:
    """Find the change that lifts what binds; None when none is known, or when it alone would do nothing."""
    demand = facts.demand
    if demand is None:
        return None
    change = None
    if found.name == "load":
        change = Change(*more_load(demand), facts.pools)
    elif found.name == "server-cpu":
        change = Change(*another_core(demand), facts.pools)
    elif found.name == "slots" and found.pool is not None:
        change = more_of(found.pool, demand, facts.pools)
    elif found.shared is not None and found.name in found.shared.sides and facts.cores is not None:
        free = 1 + max((*facts.cores.stack, *facts.cores.generator, *facts.cores.upstreams))
        apart = replace(facts.cores, generator=tuple(range(free, free + len(facts.cores.generator))))
        own = {**demand.rates, **rates(facts.cpu, apart)}
        change = Change("the generator on a core of its own", replace(demand, rates=own), facts.pools)
    return change if change is not None and lifts(change, demand) else None


def idle(facts: Facts) -> list[str]:
    """Say what would not move the ceiling: more `users`, `threads` …"""
    demand = facts.demand
    if demand is None:
        return []
    return [change.what for change in doubled(demand, facts.pools) if not lifts(change, demand)]


def doubled(demand: Demand, pools: tuple[Pool, ...]) -> Iterator[Change]:
    yield Change("arrivals" if demand.users is None else "users", more_load(demand)[1], pools)
    for pool in pools:
        if pool.name not in ("loop", "slots"):
            more = tuple(replace(each, size=2 * each.size) if each == pool else each for each in pools)
            yield Change(f"{thing(pool)}s", replace(demand, slots=slots(more, demand.workers)), more)
    yield Change("workers on the same cores", replace(another_core(demand)[1], cores=demand.cores), pools)
    yield Change("cores for the same workers", replace(demand, cores=2 * demand.cores), pools)


def more_load(demand: Demand) -> tuple[str, Demand]:
    if demand.users is None:
        more = 2 * (demand.rate or 0.0)
        return f"{rate(more)} offered", replace(demand, rate=more)
    return some(2 * demand.users, "user"), replace(demand, users=2 * demand.users, users_per_worker=None)


def another_core(demand: Demand) -> tuple[str, Demand]:
    workers, cores = 2 * demand.workers, 2 * min(demand.cores, demand.workers * demand.cores_per_worker)
    twice = None if demand.slots is None else 2 * demand.slots
    more = replace(demand, workers=workers, cores=cores, slots=twice, users_per_worker=None)
    return f"{workers} workers on {some(cores, 'core')}", more


def more_of(pool: Pool, demand: Demand, pools: tuple[Pool, ...]) -> Change | None:
    if pool.name == "slots":
        return None
    if pool.name == "loop":
        return Change("waits that do not block the event loop", replace(demand, slots=None), ())
    others = tuple(other for other in pools if other != pool)
    rest = ceiling(replace(demand, slots=slots(others, demand.workers))).goodput
    each = ceil(rest * demand.service_s / demand.workers - 1e-6) * pool.takes
    more = tuple(replace(other, size=max(each, pool.size)) if other == pool else other for other in pools)
    many = some(each, thing(pool)) + (" in each worker" if demand.workers > 1 else "")
    return Change(many, replace(demand, slots=slots(more, demand.workers)), more)


def lifts(change: Change, demand: Demand) -> bool:
    return change.ceiling.goodput > ceiling(demand).goodput * (1 + NO_CHANGE)
