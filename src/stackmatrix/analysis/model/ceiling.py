"""The most that physics allows an arm, which term binds it, and what a queueing model expects of it.

Two numbers answer two questions, and are never mixed:

- the **ceiling** is an operational bound: the smallest of a few terms, each certain from conservation
  alone, whatever the distributions are. A stack above it refutes its inputs.
- the **prediction** is the exact throughput of a closed network of the same parts, at most the ceiling.
  It lies under it only near a knee, where two terms are about equal and requests get in one another's way.

The network: users think for Z, then take one of T slots, in which a request needs the CPU for D in all
and waits for S. The wait is a delay station and the think time is another, so by the BCMP theorem their
distributions do not matter: a timer that always takes the same S and a random wait of mean S predict
the same. What matters is how regular the *queues* are. The CPU is taken as processor sharing (or as
exponential); a more regular one comes nearer to the ceiling. With slots and think time, the number of
requests inside follows the machine repairman, exact for random holding times; waits of fixed length come
nearer to the ceiling (T = 40, S = 1 s, Z = 1.5 s, N = 100: 38.5/s when random, 40/s when fixed). Without
think time every slot is always taken, so prediction and ceiling differ by the CPU's queue alone. Hence
the band: ±10 % about the prediction, and up to the ceiling.

Units: seconds, requests per second; N users, D CPU demand, S wait, Z think time, T slots, W workers.

Sources: P. J. Denning, J. P. Buzen, "The operational analysis of queueing network models", ACM Comput.
Surv. 10 (1978); J. P. Buzen, "Computational algorithms for closed queueing networks with exponential
servers", Commun. ACM 16 (1973); F. Baskett et al., "Open, closed, and mixed networks of queues with
different classes of customers", J. ACM 22 (1975); K. M. Chandy, U. Herzog, L. Woo, "Parametric analysis
of queuing networks", IBM J. Res. Dev. 19 (1975), for the slots as a flow-equivalent server.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

import numpy as np

from stackmatrix.load.records import Floats

Bound = Literal["load", "slots", "server-cpu", "database", "upstream", "generator"]
# what binds arms whose requests mostly wait: the model must predict them within its band, and their CPU is spare
WAIT_BOUNDS: tuple[Bound, ...] = ("load", "slots")
BAND = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What an arm asks of its parts: the load, the request, and what the stack can hold. SI units.

    A closed load has `users`, an open one has a `rate`. Raises ValueError for a load that is neither or
    both, and for numbers that no arm can have.
    """

    wait_s: float  # S: what a request waits for outside, with nothing in its way (timer, upstream, database)
    # D: the stack's CPU time per request, measured under this load; None when unknown, and taken as 0
    cpu_s: float | None = None
    users: int | None = None  # N: connections that send the next request when the last is answered and thought about
    think_s: float = 0.0
    rate: float | None = None  # arrivals per second of an open load
    connections: int | None = None  # open load: the most requests that the generator keeps in flight
    # requests that all workers together hold in flight, each the same share; None when unlimited. A handler that blocks
    # its loop holds one per worker.
    slots: int | None = None
    workers: int = 1
    users_per_worker: tuple[int, ...] | None = None  # how the accepts fell out, as counted; None for an even deal
    cores: float = 1.0  # cores given to the stack
    cores_per_worker: float = 1.0  # cores one worker can use; a Python process runs on one at a time
    # what other parts were measured to serve at most, in requests of this kind per second
    rates: Mapping[Bound, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks = {
            "either users (closed load) or rate (open load)": (self.users is None) != (self.rate is None),
            "users, rate and connections are positive": all(
                value is None or value > 0 for value in (self.users, self.rate, self.connections)
            ),
            "times are not negative": min(self.wait_s, self.cpu_s or 0.0, self.think_s) >= 0,
            "a request waits or computes": self.wait_s > 0 or bool(self.cpu_s) or bool(self.rates),
            "workers and cores are positive": min(self.workers, self.cores, self.cores_per_worker) > 0,
            "every worker has a slot": self.slots is None or self.slots >= self.workers,
            "users_per_worker has one count per worker, users in all": self.users_per_worker is None
            or (len(self.users_per_worker), sum(self.users_per_worker)) == (self.workers, self.users),
        }
        broken = [rule for rule, kept in checks.items() if not kept]
        if broken:
            raise ValueError(f"{'; '.join(broken)}: {self}")

    @property
    def service_s(self) -> float:
        return self.wait_s + (self.cpu_s or 0.0)

    @property
    def slots_per_worker(self) -> int | None:
        return None if self.slots is None else self.slots // self.workers

    @property
    def deal(self) -> tuple[int, ...]:
        if self.users_per_worker is not None:
            return self.users_per_worker
        each, more = divmod(self.users or 0, self.workers)
        return tuple(each + (worker < more) for worker in range(self.workers))


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The bound and the prediction; every term in requests per second, and the smallest binds."""

    goodput: float
    # at the ceiling; None where an open load exceeds it, since the queue then grows without end
    response_s: float | None
    bound: Bound
    terms: Mapping[Bound, float]
    predicted_goodput: float
    predicted_response_s: float | None
    band: tuple[float, float]  # where a measured goodput agrees with the model


def ceiling(demand: Demand) -> Ceiling:
    """Find the ceiling of an arm, the term that binds it, and the model's prediction with its band."""
    terms = _terms(demand)
    goodput = min(terms.values())
    bound = next(name for name, term in terms.items() if term <= goodput * (1 + 1e-9))
    if demand.rate is None:
        predicted = min(_closed_goodput(demand), goodput)
        response: float | None = interactive_response(_users(demand), goodput, demand.think_s)
        predicted_response: float | None = interactive_response(_users(demand), predicted, demand.think_s)
    else:
        predicted = min(_saturated_goodput(demand), goodput)
        response = demand.service_s if bound == "load" else None
        predicted_response = _open_response(demand, demand.rate) if bound == "load" else None
    band = ((1 - BAND) * predicted, max((1 + BAND) * predicted, goodput))
    return Ceiling(goodput, response, bound, terms, predicted, predicted_response, band)


@dataclass(frozen=True, slots=True)
class WholeRounds:
    """What a closed load completes in a window that begins cold: only whole rounds count."""

    lanes: int  # users, or slots where those bind, each going its own rounds
    cycle_s: float
    requests: int
    last_s: float  # when the last of them is answered


def rounds_in_window(demand: Demand, window_s: float, starts: Sequence[float] | None = None) -> WholeRounds:
    """Count what a closed load completes in a window that begins cold, and say when the last is answered.

    `starts` holds each user's first request in seconds after the window's begin (default: all at 0).
    While slots bind, a worker's first T users fill its slots and each slot then serves round after
    round: Σ ⌊(W − startⱼ)/(time a slot is held)⌋ over the slots; otherwise every user goes its own
    rounds: Σ ⌊(W − startᵤ + Z)/(R + Z)⌋. R comes from the prediction. Up to a round per slot or user,
    R/W of the whole, is lost to the window's end. Raises ValueError for an open load.
    """
    starts = [0.0] * _users(demand) if starts is None else sorted(starts)
    if len(starts) != demand.users:
        raise ValueError(f"{len(starts)} starts for {demand.users} users")
    expected = ceiling(demand)
    slots = demand.slots_per_worker
    if expected.bound == "slots" and slots is not None:
        lanes = [start for own in _dealt(starts, demand.deal) for start in own[:slots]]
        rest = 0.0
    else:
        lanes, rest = starts, demand.think_s
    cycle = len(lanes) / expected.predicted_goodput
    turns = [max(0, math.floor((window_s - start + rest) / cycle)) for start in lanes]
    last = max((start + count * cycle - rest for start, count in zip(lanes, turns, strict=True) if count), default=0.0)
    return WholeRounds(len(lanes), cycle, sum(turns), last)


def ramp(users: int, per_second: float) -> list[float]:
    """Return the first request of each of so many users that are started so many a second, as Locust does."""
    return [user / per_second for user in range(users)]


def interactive_response(users: float, throughput: float, think_s: float = 0.0) -> float:
    """Return R = N/X − Z, by the interactive response time law (Little's law about the whole loop)."""
    return users / throughput - think_s


def mva(users: int, cpu_s: float, delay_s: float) -> Floats:
    """Return throughput of 1 … N users at one queueing station D and a delay, by exact mean value analysis: (N).

    M. Reiser, S. S. Lavenberg, "Mean-value analysis of closed multichain queueing networks", J. ACM 27
    (1980): R(n) = D (1 + Q(n−1)), X(n) = n/(R(n) + delay), Q(n) = X(n) R(n).
    """
    throughputs = np.empty(users)
    queue = 0.0
    for n in range(1, users + 1):
        response = cpu_s * (1 + queue)
        throughputs[n - 1] = n / (response + delay_s)
        queue = throughputs[n - 1] * response
    return throughputs


def machine_repairman(users: int, think_s: float, rates: Floats) -> float:
    """Return throughput of N users with think time Z at T slots: M/M/T//N, in log space.

    `rates[i − 1]` is what i taken slots complete per second, i = 1 … T: i/S where they only wait.
    """
    waiting = np.full(max(0, users - rates.size), rates[-1])
    return float(closed_network(think_s, np.append(rates, waiting)[:users])[-1])


def closed_network(delay_s: float, rates: Floats) -> Floats:
    """Return throughput of 1 … N customers between a delay station and a station of any rates: (N) → (N).

    `rates[i − 1]` is the station's completions per second with i customers in it, inf where it takes no
    time. The normalising constants G(n) = Σᵢ Πₘ₌₁ⁱ 1/rateₘ · delayⁿ⁻ⁱ/(n − i)! are summed as logarithms,
    X(n) = G(n − 1)/G(n): every term is positive, so nothing cancels, where textbook load-dependent mean
    value analysis does and goes astray (8.9 instead of 38.51 for T = 40, S = 1, Z = 1.5, N = 100).
    """
    if delay_s == 0:
        return rates
    sizes = np.arange(1, rates.size + 1)
    station = np.concatenate([[0.0], np.cumsum(-np.log(rates))])
    delayed = np.concatenate([[0.0], np.cumsum(math.log(delay_s) - np.log(sizes))])
    logs = [_log_sum(station[: n + 1] + delayed[n::-1]) for n in range(rates.size + 1)]
    return np.exp(-np.diff(logs))


def _log_sum(logs: Floats) -> float:
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).sum()))


def _terms(demand: Demand) -> dict[Bound, float]:
    slots = demand.slots_per_worker
    terms: dict[Bound, float] = {}
    if demand.rate is not None:
        terms["load"] = demand.rate
    elif demand.service_s + demand.think_s > 0:
        terms["load"] = _users(demand) / (demand.service_s + demand.think_s)
    if slots is not None and demand.service_s > 0:
        terms["slots"] = _over_workers(demand, slots / demand.service_s)
    if demand.cpu_s:
        # Never capped by the users of a counted deal: that few ask for more makes no core busier.
        terms["server-cpu"] = min(demand.cores, demand.workers * demand.cores_per_worker) / demand.cpu_s
    terms.update(demand.rates)
    if demand.connections is not None and demand.service_s > 0:
        pool = demand.connections / demand.service_s
        terms["generator"] = min(pool, terms.get("generator", pool))
    return terms


def _over_workers(demand: Demand, each: float) -> float:
    """Say what all workers serve when one can serve `each`: of a counted deal, no more than its users ask for."""
    if demand.users_per_worker is None:
        return demand.workers * each
    cycle = demand.service_s + demand.think_s
    return sum(min(users / cycle, each) for users in demand.users_per_worker)


def _closed_goodput(demand: Demand) -> float:
    """Return the network's throughput, from two models that each forgive one thing: the smaller is the better.

    `apart` gives every worker its own cores and is exact where there are enough of them; `pooled` lets
    the workers share slots and cores, and is exact where cores are scarce and nobody thinks.
    """
    slots = demand.slots_per_worker
    each = min(demand.cores_per_worker, demand.cores)
    apart, inside = 0.0, 0
    workers = Counter(users for users in demand.deal if users)
    for users, count in workers.items():
        held = users if slots is None else min(users, slots)
        inside += count * held
        apart += count * machine_repairman(users, demand.think_s, _inside(demand, held, each))
    cores = min(demand.cores, each * workers.total())
    pooled = machine_repairman(_users(demand), demand.think_s, _inside(demand, inside, cores))
    return min(apart, pooled)


def _inside(demand: Demand, slots: int, cores: float) -> Floats:
    """Say what 1 … T taken slots complete per second, when their requests wait and share the cores."""
    busy = np.arange(1, slots + 1)
    if not demand.cpu_s:
        return busy / demand.wait_s if demand.wait_s else np.full(slots, math.inf)
    if cores <= 1:
        return mva(slots, demand.cpu_s / cores, demand.wait_s)
    return closed_network(demand.wait_s, np.minimum(busy, cores) / demand.cpu_s)


def _saturated_goodput(demand: Demand) -> float:
    """Say what the slots of an open load complete when none is ever free; inf when there is no end of them."""
    if demand.slots_per_worker is None:
        return math.inf
    users = demand.slots_per_worker * demand.workers
    return _closed_goodput(replace(demand, rate=None, connections=None, users=users, think_s=0.0))


def _open_response(demand: Demand, rate: float) -> float | None:
    """Return mean response time under Poisson arrivals; None where a queue has no steady state.

    Exact where requests wait for the CPU alone. The time in line for a slot is that of random holding
    times; with waits of fixed length it is about half as long.
    """
    slots = demand.slots_per_worker
    each = min(demand.cores_per_worker, demand.cores)
    cores = min(demand.cores, each * demand.workers)
    apart = _open_slotted(demand, rate / demand.workers, slots, each)
    pooled = _open_slotted(demand, rate, demand.slots, cores)
    return None if apart is None or pooled is None else max(apart, pooled)


def _open_slotted(demand: Demand, rate: float, slots: int | None, cores: float) -> float | None:
    if slots is not None:
        return _queue_response(rate, _inside(demand, slots, cores))
    if not demand.cpu_s:
        return demand.wait_s
    queueing = _queue_response(rate, np.minimum(np.arange(1, math.ceil(cores) + 1), cores) / demand.cpu_s)
    return None if queueing is None else demand.wait_s + queueing


def _queue_response(arrivals: float, rates: Floats) -> float | None:
    """Return mean time in a birth–death queue whose last rate goes on for ever: (k) rates; M/M/c and its kin."""
    spare = 1 - arrivals / float(rates[-1])
    if spare <= 0:
        return None
    logs = np.concatenate([[0.0], np.cumsum(math.log(arrivals) - np.log(rates))])
    weights = np.exp(logs - logs.max())
    # The states beyond k are geometric: Σ ρʲ = ρ/(1 − ρ) and Σ jρʲ = ρ/(1 − ρ)², j ≥ 1.
    beyond = weights[-1] * (1 - spare) / spare
    number = float(weights @ np.arange(weights.size) + beyond * (rates.size + 1 / spare))
    return number / float(weights.sum() + beyond) / arrivals


def _dealt(starts: Sequence[float], deal: Sequence[int]) -> list[list[float]]:
    """Deal the starts of the users in turn to the workers that still have room."""
    hands: list[list[float]] = [[] for _ in deal]
    queue = iter(starts)
    while any(len(hand) < size for hand, size in zip(hands, deal, strict=True)):
        open_hands = [hand for hand, size in zip(hands, deal, strict=True) if len(hand) < size]
        for hand, start in zip(open_hands, islice(queue, len(open_hands)), strict=True):
            hand.append(start)
    return hands


def _users(demand: Demand) -> int:
    if demand.users is None:
        raise ValueError("an open load has no users")
    return demand.users
