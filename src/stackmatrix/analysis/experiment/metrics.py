"""What each arm of an experiment measured: its metrics, and what the model makes of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import Final

from stackmatrix.analysis.judge import STACK_CPU, last_attempts, per_arm
from stackmatrix.analysis.model.ceiling import (
    WAIT_BOUNDS,
    Demand,
    WholeRounds,
    ceiling,
    ramp,
    rounds_in_window,
)
from stackmatrix.analysis.model.facts import Facts
from stackmatrix.analysis.model.observed import Setup, facts_of
from stackmatrix.analysis.statistics import middle, most
from stackmatrix.catalog.experiments import By, Candidate, Experiment, MetricName, PublishedLoad, Scale
from stackmatrix.formatting import duration, percent, quantity, rate, some
from stackmatrix.results.experiment import PlannedExperiment
from stackmatrix.results.plan import Arm
from stackmatrix.results.reasons import NOISE
from stackmatrix.results.run import ArmResult
from stackmatrix.results.trial import Trial

SIDES: Final[tuple[By, By]] = ("generator", "tool")
COUNTS: Final = "requests"  # where a tool's window has its own number of whole rounds, this is the figure to predict


@dataclass(frozen=True)
class ArmView:
    candidate: Candidate
    by: By
    scale: Scale
    arm: Arm
    result: ArmResult
    trials: Sequence[Trial]  # the last attempt of each round
    facts: Facts

    @property
    def shown_anyway(self) -> bool:
        """Whether its figures are given whatever speaks against them: a tool's own story, and an arm that fails."""
        return self.by == "tool" or self.candidate.expects_failures

    @cached_property
    def counted(self) -> list[Trial]:
        """The trials that counts and CPU times are taken from: the clock on the wall may have been disturbed."""
        if self.shown_anyway:
            return [trial for trial in self.trials if trial.client.window_s]
        return [trial for trial in self.trials if all(reason.kind in NOISE for reason in trial.reasons)]

    @cached_property
    def clocked(self) -> list[Trial]:
        if self.shown_anyway:
            return self.counted
        return [trial for trial in self.trials if not trial.reasons] if self.result.valid else []

    @property
    def void(self) -> str:
        """Why its figures are void for comparison; empty when they are not."""
        kinds = ", ".join(dict.fromkeys(reason.kind for trial in self.trials for reason in trial.reasons))
        if self.candidate.expects_failures:
            return "shown failing"
        if self.by == "generator" and not self.result.valid:
            return ", ".join(dict.fromkeys(reason.kind for reason in self.result.reasons)) or "not timed"
        return kinds if self.by == "tool" else ""

    @cached_property
    def offer(self) -> PublishedLoad:
        return self.candidate.offer.scaled(self.scale)

    @cached_property
    def rounds(self) -> WholeRounds | None:
        """What the tool should count; None where it counts requests itself, is none, or CPU binds instead of waits."""
        if (
            self.by == "generator"
            or self.offer.requests is not None
            or self.facts.demand is None
            or self.facts.ceiling is None
        ):
            return None
        if not is_predictable(self) or self.candidate.expects_failures:
            return None
        return in_window(self.facts.demand, self.offer)


def in_window(demand: Demand, offer: PublishedLoad) -> WholeRounds:
    starts = ramp(offer.users, offer.users / offer.ramp_s) if offer.ramp_s else None
    return rounds_in_window(demand, offer.seconds, starts)


def counted_seconds(rounds: WholeRounds, offer: PublishedLoad) -> float:
    """Say what a tool divides its count by: Locust until its last answer, the others by the window."""
    return rounds.last_s if offer.tool == "locust" and rounds.last_s else offer.seconds


def entry(what: str) -> Callable[[Trial], float | None]:
    return lambda trial: next((trial.per_right(line.counted) for line in trial.ledger if line.what == what), None)


def failed_share(trial: Trial) -> float | None:
    ended = requests(trial) if trial.client.tool else trial.client.answered + trial.client.errors.total
    return trial.client.errors.total / ended if ended else None


def cpu_share(trial: Trial) -> float | None:
    used = trial.server.cpu_s.stack
    return None if used is None or not trial.client.window_s else used / trial.client.window_s


def counted(value: Callable[[Trial], float | None]) -> Callable[[ArmView], float | None]:
    return lambda seen: middle(map(value, seen.counted))


def clocked(value: Callable[[Trial], float | None]) -> Callable[[ArmView], float | None]:
    return lambda seen: middle(map(value, seen.clocked))


def measured_rate(seen: ArmView) -> float | None:
    """Return the run's own estimate, or what an arm without one did; of a tool its own figure, whatever it counts."""
    if seen.by == "tool":
        return middle(trial.client.tool.rps for trial in seen.clocked if trial.client.tool)
    if seen.result.goodput is not None:
        return seen.result.goodput.value
    return middle(trial.client.goodput for trial in seen.clocked)


def mean_ms(seen: ArmView) -> float | None:
    """Return the mean time; of a tool that ends by count users ÷ rate, as it reckons it itself."""
    if seen.by == "tool" and seen.offer.requests is not None:
        per_second = measured_rate(seen)
        return seen.offer.users / per_second * 1e3 if per_second else None
    return middle(trial.client.latency_ms.mean for trial in seen.clocked)


def requests(trial: Trial) -> float:
    return trial.client.tool.requests if trial.client.tool else trial.client.answered


def reachable(seen: ArmView) -> float | None:
    """Count the slots that the connections can take, as the accepts dealt them to the workers."""
    slots = seen.facts.demand.slots_per_worker if seen.facts.demand else None
    deals = [trial.server.connections_per_worker for trial in seen.counted if trial.server.connections_per_worker]
    if not deals:
        return None
    return median(sum(min(slots or users, users) for users in deal) for deal in deals)


def most_connections(seen: ArmView) -> float | None:
    return middle(
        max(trial.server.connections_per_worker) for trial in seen.counted if trial.server.connections_per_worker
    )


def of_predicted(seen: ArmView) -> float | None:
    measured, expected = measured_rate(seen), expected_figure("goodput", seen)
    return measured / expected if measured is not None and expected else None


def is_predictable(seen: ArmView) -> bool:
    """Tell whether load or slots bind it and the model knows how long a request waits."""
    return seen.facts.ceiling is not None and seen.facts.ceiling.bound in WAIT_BOUNDS and seen.facts.wait_known


@dataclass(frozen=True, slots=True)
class ArmMetric:
    """A metric: what it is called, its unit, how it is measured, and how it is written inside a sentence."""

    what: str
    unit: str
    value: Callable[[ArmView], float | None]
    write: Callable[[float], str]


def noun(one: str) -> Callable[[float], str]:
    """Write a number with this noun: `4 threads`."""
    return lambda value: some(float(f"{value:.3g}") if value < 1000 else round(value), one)


def time_in(per_second: float) -> Callable[[float], str]:
    return lambda value: duration(value / per_second)


def peak(name: str) -> Callable[[ArmView], float | None]:
    return lambda seen: most(getattr(trial.server, name) for trial in seen.counted)


def phase(name: str) -> Callable[[ArmView], float | None]:
    def spent(seen: ArmView) -> float | None:
        seconds = getattr(seen.result.phases, name, None)
        return None if seconds is None else seconds * 1e3

    return spent


def kilobytes(trial: Trial) -> float | None:
    return trial.client.bytes / trial.client.answered / 1e3 if trial.client.bytes and trial.client.answered else None


MEASURES: Final[Mapping[MetricName, ArmMetric]] = {
    "goodput": ArmMetric("rate", "requests/s", measured_rate, rate),
    "requests": ArmMetric("number of requests", "requests", clocked(requests), noun("request")),
    "mean_ms": ArmMetric("mean time", "ms", mean_ms, time_in(1e3)),
    "p50_ms": ArmMetric("median time", "ms", clocked(lambda trial: trial.client.latency_ms.p50), time_in(1e3)),
    "cpu_us": ArmMetric("CPU per request", "µs", counted(STACK_CPU), time_in(1e6)),
    "cpu_share": ArmMetric("use of CPU", "of a core", counted(cpu_share), percent),
    "threads": ArmMetric("number of threads", "threads", peak("threads"), noun("thread")),
    "processes": ArmMetric("number of processes", "processes", peak("processes"), noun("process")),
    "restarts": ArmMetric(
        "number of workers that ended", "", counted(lambda trial: trial.server.ended_processes), noun("time")
    ),
    "failed": ArmMetric(
        "number of failures", "requests", counted(lambda trial: trial.client.errors.total), noun("request")
    ),
    "failed_share": ArmMetric("share of failures", "", counted(failed_share), percent),
    "statements": ArmMetric("count of statements", "a request", counted(entry("SQL statements")), noun("statement")),
    "sessions": ArmMetric("number of sessions", "sessions", peak("db_sessions"), noun("session")),
    "new_sessions": ArmMetric(
        "count of new sessions",
        "a request",
        counted(lambda trial: trial.per_right(trial.server.new_db_sessions)),
        quantity,
    ),
    "calls": ArmMetric("count of calls", "a request", counted(entry("upstream calls")), noun("call")),
    "kilobytes": ArmMetric("size of answers", "kB", counted(kilobytes), lambda kb: f"{quantity(kb)} kB"),
    "reachable": ArmMetric("number of slots in reach", "slots", reachable, noun("slot")),
    "most_connections": ArmMetric("deal of connections", "connections", most_connections, noun("connection")),
    "of_predicted": ArmMetric("share of the prediction", "", of_predicted, percent),
    "gather_ms": ArmMetric("time to gather", "ms", phase("gather_s"), time_in(1e3)),
    "encode_ms": ArmMetric("time to encode", "ms", phase("encode_s"), time_in(1e3)),
    "outside_ms": ArmMetric("time outside the application", "ms", phase("outside_s"), time_in(1e3)),
}


def expected_figure(metric: str, seen: ArmView) -> float | None:
    """Say what the model expects of this side's very window; None where it says nothing about the metric."""
    if seen.facts.ceiling is None or seen.candidate.expects_failures:
        return None
    if seen.facts.ceiling.bound in WAIT_BOUNDS and not is_predictable(seen):
        return None  # no more than an upper bound
    if seen.rounds is not None:
        known = {
            COUNTS: float(seen.rounds.requests),
            "goodput": seen.rounds.requests / counted_seconds(seen.rounds, seen.offer),
        }
        return known.get(metric)
    if metric == "goodput":
        return seen.facts.ceiling.predicted_goodput
    response_s = seen.facts.ceiling.predicted_response_s
    if metric != "mean_ms" or response_s is None or seen.arm.timing is None:
        return None
    # A queue takes a whole response time to build up: what has warmed up for less has not seen it.
    return response_s * 1e3 if response_s <= seen.arm.timing.warmup_s else None


def explained(metric: str, seen: ArmView) -> float | None:
    """Say what the model makes of the published command, where load or slots bind; CPU is another machine's."""
    waiting, offer = seen.candidate.workload.waiting(), seen.candidate.offer
    if seen.facts.demand is None or waiting is None or waiting.ms is None or seen.candidate.expects_failures:
        return None
    stated = waiting.seconds or 0.0
    demand = replace(seen.facts.demand, wait_s=stated, rates={})
    if ceiling(demand).bound not in WAIT_BOUNDS or offer.requests is not None:
        return None
    rounds = in_window(demand, offer)
    return {COUNTS: float(rounds.requests), "goodput": rounds.requests / counted_seconds(rounds, offer)}.get(metric)


class Sight:
    def __init__(
        self,
        experiment: Experiment,
        carried: PlannedExperiment,
        arms: Sequence[Arm],
        trials: Iterable[Trial],
        results: Sequence[ArmResult],
        setup: Setup,
    ) -> None:
        by_id, judged = {arm.id: arm for arm in arms}, {result.id: result for result in results}
        kept = per_arm(by_id, trials)
        self.experiment, self.carried = experiment, carried
        self.scale = Scale(carried.waits, carried.windows)
        self.names = [candidate.name for candidate in experiment.candidates]
        self._seen: dict[tuple[str, str], ArmView] = {}
        for candidate in experiment.candidates:
            for by, name in zip(SIDES, carried.arms.get(candidate.name, ()), strict=False):
                standing = last_attempts(kept[name])
                good = [trial for trial in standing if not trial.reasons] or standing
                facts = facts_of(by_id[name], good, setup, judged[name].goodput)
                self._seen[candidate.name, by] = ArmView(
                    candidate, by, self.scale, by_id[name], judged[name], standing, facts
                )

    def __call__(self, name: str, by: By) -> ArmView | None:
        return self._seen.get((name, by))
