"""What a run's own measurements say to an experiment's question: published, predicted and measured, and its claims.

An experiment's answer is made of claims, each a relation between measured figures that may hold or not. What cannot be
measured makes a claim unknown, never true. Pure functions of results.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from statistics import median
from typing import Final

from stackmatrix.analysis.ceilings import BAND, Bound, Ceiling, Demand, Rounds, ceiling, ramp, rounds_in_window
from stackmatrix.analysis.facts import Facts
from stackmatrix.analysis.judge import Catalog, facts_of, last_attempts, middle, most
from stackmatrix.analysis.words import duration, listed, number, percent, rate, some
from stackmatrix.catalog.experiments import (
    PLACE,
    By,
    Candidate,
    Claim,
    Experiment,
    Figure,
    Metric,
    Offer,
    Scale,
    figure,
)
from stackmatrix.results import (
    NOISE,
    Arm,
    ArmResult,
    Carried,
    ClaimOutcome,
    ClaimResult,
    Entry,
    ExperimentResult,
    ExperimentRow,
    Side,
    Trial,
)
from stackmatrix.runtime.base import Cores, share_cores

HELD: Final[tuple[Bound, ...]] = ("load", "slots")
"""What binds the arms that the model must predict within its band."""
BUSY: Final = 0.7
"""A tool that uses more of its core may be what is measured."""
STATEMENTS: Final = "SQL statements"
CALLS: Final = "upstream calls"
COUNTS: Final = "requests"
"""Where a tool's window has its own number of whole rounds, this is the figure to predict."""


@dataclass(frozen=True)
class Seen:
    """One arm of the experiment as one side saw it."""

    candidate: Candidate
    by: By
    scale: Scale
    arm: Arm
    result: ArmResult
    trials: Sequence[Trial]
    """The last attempt of each round."""
    facts: Facts

    @property
    def shown_anyway(self) -> bool:
        """Whether its figures are given whatever speaks against them: a tool's own story, and an arm that fails."""
        return self.by == "tool" or self.candidate.expects_failures

    @cached_property
    def counted(self) -> list[Trial]:
        """The trials that counts and CPU times are taken from: the clock on the wall may have been disturbed."""
        if self.shown_anyway:
            return [trial for trial in self.trials if trial.window_s]
        return [trial for trial in self.trials if all(reason.kind in NOISE for reason in trial.reasons)]

    @cached_property
    def clocked(self) -> list[Trial]:
        """The trials that rates and times are taken from."""
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
    def demand(self) -> Demand | None:
        """What the model is told of it."""
        return self.facts.demand

    @cached_property
    def bounds(self) -> Ceiling | None:
        """Ceiling and prediction."""
        return None if self.demand is None else ceiling(self.demand)

    @cached_property
    def offer(self) -> Offer:
        """The load at the run's scale."""
        return self.candidate.offer.scaled(self.scale)

    @cached_property
    def rounds(self) -> Rounds | None:
        """What the tool should count; None where it counts requests itself, is none, or CPU binds instead of waits."""
        if self.by == "generator" or self.offer.requests is not None or self.demand is None or self.bounds is None:
            return None
        if not held(self) or self.candidate.expects_failures:
            return None
        return in_window(self.demand, self.offer)

    @cached_property
    def window_s(self) -> float:
        """Of one trial."""
        return middle(trial.window_s for trial in self.trials) or self.offer.seconds


def in_window(demand: Demand, offer: Offer) -> Rounds:
    """Whole rounds of a load that begins cold."""
    starts = ramp(offer.users, offer.users / offer.ramp_s) if offer.ramp_s else None
    return rounds_in_window(demand, offer.seconds, starts)


def span(rounds: Rounds, offer: Offer) -> float:
    """What a tool divides its count by: Locust until its last answer, the others by the window."""
    return rounds.last_s if offer.tool == "locust" and rounds.last_s else offer.seconds


# How each figure is measured, and how it is written.


def per_right(trial: Trial, count: float | None) -> float | None:
    """A count of a whole trial, per right answer of it."""
    return None if count is None or not trial.right else count / trial.right


def entry(what: str) -> Callable[[Trial], float | None]:
    """What the other side counted, per right answer."""

    def counted(trial: Trial) -> float | None:
        lines: Iterable[Entry] = (line for line in trial.ledger if line.what == what)
        return next((per_right(trial, line.counted) for line in lines), None)

    return counted


def new_sessions(trial: Trial) -> float | None:
    """Database sessions opened, per right answer."""
    return per_right(trial, trial.new_db_sessions)


def failed_share(trial: Trial) -> float | None:
    """Of all requests that ended."""
    ended = requests(trial) if trial.told else trial.answered + trial.errors.total
    return trial.errors.total / ended if ended else None


def cpu_share(trial: Trial) -> float | None:
    """CPU seconds of the stack per second."""
    return None if trial.cpu_s.stack is None or not trial.window_s else trial.cpu_s.stack / trial.window_s


def counted(value: Callable[[Trial], float | None]) -> Callable[[Seen], float | None]:
    """The median over the rounds that count."""
    return lambda seen: middle(map(value, seen.counted))


def clocked(value: Callable[[Trial], float | None]) -> Callable[[Seen], float | None]:
    """The median over the rounds in which the clock can be trusted."""
    return lambda seen: middle(map(value, seen.clocked))


def goodput(seen: Seen) -> float | None:
    """The run's own estimate, or what an arm without one did; of a tool what it says, with all that it counts."""
    if seen.by == "tool":
        return middle(trial.told.rps for trial in seen.clocked if trial.told)
    if seen.result.goodput is not None:
        return seen.result.goodput.value
    return middle(trial.goodput for trial in seen.clocked)


def mean_ms(seen: Seen) -> float | None:
    """As measured; of a tool that ends by count, as it reckons it itself: users ÷ rate."""
    if seen.by == "tool" and seen.offer.requests is not None:
        per_second = goodput(seen)
        return seen.offer.users / per_second * 1e3 if per_second else None
    return middle(trial.latency_ms.mean for trial in seen.clocked)


def requests(trial: Trial) -> float:
    """Of one window: right answers, or all that a tool counts."""
    return trial.told.requests if trial.told else trial.answered


def reachable(seen: Seen) -> float | None:
    """Slots that the connections can take, as the accepts dealt them to the workers."""
    slots = seen.demand.slots_per_worker if seen.demand else None
    deals = [trial.connections_per_worker for trial in seen.counted if trial.connections_per_worker]
    if not deals:
        return None
    return median(sum(min(slots or users, users) for users in deal) for deal in deals)


def most_connections(seen: Seen) -> float | None:
    """Of the worker that has the most."""
    return middle(max(trial.connections_per_worker) for trial in seen.counted if trial.connections_per_worker)


def of_predicted(seen: Seen) -> float | None:
    """Measured ÷ predicted."""
    measured, expected = goodput(seen), predicted("goodput", seen)
    return measured / expected if measured is not None and expected else None


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric: what it is called, its unit, how it is measured, and how it is written inside a sentence."""

    what: str
    unit: str
    value: Callable[[Seen], float | None]
    write: Callable[[float], str]


def noun(one: str) -> Callable[[float], str]:
    """`4 threads`."""
    return lambda value: some(float(f"{value:.3g}") if value < 1000 else round(value), one)


def milliseconds(value: float) -> str:
    """A time given in ms."""
    return duration(value / 1e3)


def microseconds(value: float) -> str:
    """A time given in µs."""
    return duration(value / 1e6)


def peak(name: str) -> Callable[[Seen], float | None]:
    """The largest of a trial's own figure in any round."""
    return lambda seen: most(getattr(trial, name) for trial in seen.counted)


def phase(name: str) -> Callable[[Seen], float | None]:
    """A part of a request's time in the explaining pass."""

    def spent(seen: Seen) -> float | None:
        seconds = getattr(seen.result.phases, name, None)
        return None if seconds is None else seconds * 1e3

    return spent


def cpu_us(trial: Trial) -> float | None:
    """CPU-µs of the stack per right answer."""
    return trial.cpu_us(trial.cpu_s.stack)


def kilobytes(trial: Trial) -> float | None:
    """Of one answer."""
    return trial.bytes / trial.answered / 1e3 if trial.bytes and trial.answered else None


MEASURES: Final[Mapping[Metric, Measure]] = {
    "goodput": Measure("rate", "requests/s", goodput, rate),
    "requests": Measure("number of requests", "requests", clocked(requests), noun("request")),
    "mean_ms": Measure("mean time", "ms", mean_ms, milliseconds),
    "p50_ms": Measure("median time", "ms", clocked(lambda trial: trial.latency_ms.p50), milliseconds),
    "cpu_us": Measure("CPU per request", "µs", counted(cpu_us), microseconds),
    "cpu_share": Measure("use of CPU", "of a core", counted(cpu_share), percent),
    "threads": Measure("number of threads", "threads", peak("threads"), noun("thread")),
    "processes": Measure("number of processes", "processes", peak("processes"), noun("process")),
    "restarts": Measure("number of workers that ended", "", counted(lambda trial: trial.ended_processes), noun("time")),
    "failed": Measure("number of failures", "requests", counted(lambda trial: trial.errors.total), noun("request")),
    "failed_share": Measure("share of failures", "", counted(failed_share), percent),
    "statements": Measure("count of statements", "a request", counted(entry(STATEMENTS)), noun("statement")),
    "sessions": Measure("number of sessions", "sessions", peak("db_sessions"), noun("session")),
    "new_sessions": Measure("count of new sessions", "a request", counted(new_sessions), number),
    "calls": Measure("count of calls", "a request", counted(entry(CALLS)), noun("call")),
    "kilobytes": Measure("size of answers", "kB", counted(kilobytes), lambda kb: f"{number(kb)} kB"),
    "reachable": Measure("number of slots in reach", "slots", reachable, noun("slot")),
    "most_connections": Measure("deal of connections", "connections", most_connections, noun("connection")),
    "of_predicted": Measure("share of the prediction", "", of_predicted, percent),
    "gather_ms": Measure("time to gather", "ms", phase("gather_s"), milliseconds),
    "encode_ms": Measure("time to encode", "ms", phase("encode_s"), milliseconds),
    "outside_ms": Measure("time outside the application", "ms", phase("outside_s"), milliseconds),
}


def predicted(metric: str, seen: Seen) -> float | None:
    """What the model expects of this side's very window; None where it says nothing about the metric."""
    if seen.bounds is None or seen.candidate.expects_failures:
        return None
    if seen.bounds.bound in HELD and not held(seen):
        return None  # no more than an upper bound
    if seen.rounds is not None:
        known = {COUNTS: float(seen.rounds.requests), "goodput": seen.rounds.requests / span(seen.rounds, seen.offer)}
        return known.get(metric)
    if metric == "goodput":
        return seen.bounds.predicted_goodput
    response_s = seen.bounds.predicted_response_s
    if metric != "mean_ms" or response_s is None or seen.arm.timing is None:
        return None
    # A queue takes a whole response time to build up: what has warmed up for less has not seen it.
    return response_s * 1e3 if response_s <= seen.arm.timing.warmup_s else None


def explained(metric: str, seen: Seen) -> float | None:
    """What the model makes of the published command, where load or slots bind; CPU is another machine's."""
    waiting, offer = seen.candidate.workload.waiting(), seen.candidate.offer
    if seen.demand is None or waiting is None or waiting.ms is None or seen.candidate.expects_failures:
        return None
    stated = waiting.seconds or 0.0
    demand = replace(seen.demand, wait_s=stated, rates={})
    if ceiling(demand).bound not in HELD or offer.requests is not None:
        return None
    rounds = in_window(demand, offer)
    return {COUNTS: float(rounds.requests), "goodput": rounds.requests / span(rounds, offer)}.get(metric)


# The rows.


def examine(
    experiment: Experiment,
    carried: Carried,
    arms: Sequence[Arm],
    trials: Iterable[Trial],
    results: Sequence[ArmResult],
    catalog: Catalog,
    cpus: Sequence[int],
    shards: int = 1,
) -> ExperimentResult:
    """The rows, the claims, and where things differ from one another or from the model."""
    seen = Sight(experiment, carried, arms, trials, results, catalog, partial(share_cores, cpus, shards=shards))
    claims = [judge_claim(claim, seen) for claim in experiment.claims]
    return ExperimentResult(
        name=experiment.name,
        question=experiment.question,
        source=experiment.source,
        command=experiment.command,
        waits=carried.waits,
        windows=carried.windows,
        rows=[row for candidate in experiment.candidates for row in rows(candidate, seen)],
        claims=claims,
        answer=[f"Not shown: {claim.words}" if claim.outcome == "fails" else claim.words for claim in claims],
        differences=differences(experiment, seen),
        exceptions=[words for candidate in experiment.candidates for words in exceptions(candidate, seen)],
    )


class Sight:
    """All arms of an experiment, by their names and who timed them."""

    def __init__(
        self,
        experiment: Experiment,
        carried: Carried,
        arms: Sequence[Arm],
        trials: Iterable[Trial],
        results: Sequence[ArmResult],
        catalog: Catalog,
        share: Callable[[int], Cores],
    ) -> None:
        by_id, judged = {arm.id: arm for arm in arms}, {result.id: result for result in results}
        kept: dict[str, list[Trial]] = {arm.id: [] for arm in arms}
        for trial in trials:
            if trial.arm in kept:
                kept[trial.arm].append(trial)
        self.scale = Scale(carried.waits, carried.windows)
        self.names = [candidate.name for candidate in experiment.candidates]
        self._seen: dict[tuple[str, str], Seen] = {}
        sides: tuple[By, By] = ("generator", "tool")
        for candidate in experiment.candidates:
            for by, name in zip(sides, carried.arms.get(candidate.name, ()), strict=False):
                standing = last_attempts(kept[name])
                good = [trial for trial in standing if not trial.reasons] or standing
                facts = facts_of(by_id[name], good, (), judged[name].goodput, catalog, share)
                self._seen[candidate.name, by] = Seen(
                    candidate, by, self.scale, by_id[name], judged[name], standing, facts
                )

    def __call__(self, name: str, by: By) -> Seen | None:
        """One arm; None when the run does not have it."""
        return self._seen.get((name, by))


def rows(candidate: Candidate, sight: Sight) -> list[ExperimentRow]:
    """Goodput, and whatever else was published of one arm."""
    own, tool = sight(candidate.name, "generator"), sight(candidate.name, "tool")
    if own is None or tool is None:
        return []
    metrics: list[Metric] = ["goodput", *(metric for metric in candidate.published if metric != "goodput")]
    return [
        ExperimentRow(
            arm=candidate.name,
            ids=(own.arm.id, tool.arm.id),
            metric=metric,
            unit=MEASURES[metric].unit,
            published=candidate.published.get(metric),
            explained=explained(metric, tool),
            own=side(metric, own),
            tool=side(metric, tool),
            void=own.void,
        )
        for metric in metrics
    ]


def side(metric: Metric, seen: Seen) -> Side:
    """One figure as one side has it; counts of a window are the tool's alone, for it alone has a window of its own."""
    if metric == COUNTS and seen.by == "generator" and not seen.candidate.expects_failures:
        return Side()
    value = MEASURES[metric].value(seen)
    return Side(
        predicted=predicted(metric, seen),
        measured=value,
        ci95=seen.result.goodput.ci95 if metric == "goodput" and seen.result.goodput else None,
        at_scale=None if value is None else seen.candidate.at_published_scale(metric, value, seen.scale),
    )


# The claims.


def judge_claim(claim: Claim, sight: Sight) -> ClaimResult:
    """Whether a claim holds, in its words with the figures filled in."""
    value = value_of(claim, sight)
    outcome = judged(claim, value)
    arms = [claim.arm, *([claim.against] if claim.against else []), *(claim.of or ())]
    words = {"holds": claim.holds, "fails": claim.fails, "unknown": None}[outcome]
    return ClaimResult(
        outcome=outcome,
        words=filled(words, claim, value, sight) if words else unknown(claim, arms, sight),
        metric=claim.metric,
        value=value,
        least=finite(claim.least),
        most=finite(claim.most),
        arms=arms,
    )


def judged(claim: Claim, value: float | None) -> ClaimOutcome:
    """What a value makes of a claim."""
    if value is None:
        return "unknown"
    return "holds" if claim.least <= value <= claim.most else "fails"


def value_of(claim: Claim, sight: Sight) -> float | None:
    """The figure, ratio or share that is claimed; None when a part of it was not measured."""
    names = [claim.arm, *([claim.against] if claim.against else []), *(claim.of or ())]
    found = [value for name in names if (value := measured(Figure(claim.metric, claim.by, name), sight)) is not None]
    if len(found) < len(names):
        return None
    if len(found) == 1:
        return found[0]
    part, whole = (found[0] - found[1], found[2] - found[3]) if claim.of else (found[0], found[1])
    return part / whole if whole else None


def measured(wanted: Figure, sight: Sight) -> float | None:
    """A figure of one arm."""
    seen = sight(wanted.arm, wanted.by)
    return None if seen is None else MEASURES[wanted.metric].value(seen)


def filled(words: str, claim: Claim, value: float | None, sight: Sight) -> str:
    """The words of a claim with the measured figures in their places."""

    def write(place: re.Match[str]) -> str:
        wanted = figure(place[1], claim, sight.names)
        if wanted is None:
            return whole(claim, value)
        found = measured(wanted, sight)
        return "an unknown figure" if found is None else MEASURES[wanted.metric].write(found)

    return re.sub(PLACE, write, words)


def whole(claim: Claim, value: float | None) -> str:
    """What `{value}` is written as: a ratio, a share, or the figure itself."""
    if value is None:
        return "an unknown figure"
    if claim.of:
        return percent(value)
    return number(value) if claim.against else MEASURES[claim.metric].write(value)


def unknown(claim: Claim, arms: Sequence[str], sight: Sight) -> str:
    """That a claim could not be judged, and for want of what."""
    measure = MEASURES[claim.metric]
    without = []
    for name in dict.fromkeys(arms):
        seen = sight(name, claim.by)
        if seen is None or measure.value(seen) is None:
            without.append(f"{name} ({(seen.void if seen else '') or 'not counted here'})")
    return f"Not told, for want of the {measure.what} of {listed(without)}."


def finite(value: float) -> float | None:
    """None for no limit: JSON has no infinity."""
    return value if math.isfinite(value) else None


# Where the tool and the generator differ, and where the model does.


def differences(experiment: Experiment, sight: Sight) -> list[str]:
    """Where tool and generator agree, where whole rounds part them, and where something else does, with the reason."""
    agreeing: list[Pair] = []
    rounded: list[Pair] = []
    parted: dict[str, list[str]] = {}
    absent: list[str] = []
    for candidate in experiment.candidates:
        own, tool = sight(candidate.name, "generator"), sight(candidate.name, "tool")
        if own is None or tool is None:
            continue
        one, other = goodput(own), goodput(tool)
        if not one or other is None:
            absent.append(f"{candidate.name}: {missing(own, tool)}.")
        elif abs(other / one - 1) <= BAND:
            agreeing.append((own, tool, other / one))
        elif whole_rounds(own, tool) and abs((of_predicted(tool) or 0.0) - 1) <= BAND:
            rounded.append((own, tool, other / one))
        else:
            figures = f"{rate(other)} by {tool.offer.tool} against {rate(one)} on {candidate.name}"
            parted.setdefault(listed(why(own, tool)), []).append(figures)
    told = [f"{listed(figures)}: {reasons}." for reasons, figures in parted.items()]
    return [*agreement(agreeing), *cut_rounds(rounded), *told, *absent]


Pair = tuple[Seen, Seen, float]
"""The same arm by the generator and by the tool, and the tool's rate as a multiple of the generator's."""


def agreement(pairs: Sequence[Pair]) -> Iterable[str]:
    """On which arms there is nothing to explain."""
    for name, group in by_tool(pairs):
        widest = max(abs(ratio - 1) for _, _, ratio in group)
        yield (
            f"{name} and the project's own generator agree within {percent(widest)} on "
            f"{listed([own.candidate.name for own, _, _ in group])}."
        )


def cut_rounds(pairs: Sequence[Pair]) -> Iterable[str]:
    """The arms on which a cold window of whole rounds explains all."""
    for name, group in by_tool(pairs):
        tools = [tool for _, tool, _ in group]
        ratios = [ratio for _, _, ratio in group]
        low, high = min(ratios), max(ratios)
        span_words = percent(low) if percent(low) == percent(high) else f"{percent(low)} to {percent(high)}"
        off = max(abs((of_predicted(tool) or 0.0) - 1) for tool in tools)
        counts = listed([f"{middle(map(requests, tool.counted)) or 0:.0f}" for tool in tools])
        yield (
            f"{name} counts {span_words} of the rate that the project's own generator sees in steady state on "
            f"{listed([tool.candidate.name for tool in tools])}: its {duration(tools[0].offer.seconds)} begin "
            f"cold{ramped(tools[0].offer)}, and only whole rounds end in them. The model makes that "
            f"{listed([str(tool.rounds.requests) for tool in tools if tool.rounds])} requests, counted were {counts}, "
            f"within {percent(off)} of the predicted rate."
        )


def by_tool(pairs: Sequence[Pair]) -> Iterable[tuple[str, list[Pair]]]:
    """The pairs of each tool, with its name."""
    for name in dict.fromkeys(tool.offer.tool for _, tool, _ in pairs):
        yield name, [pair for pair in pairs if pair[1].offer.tool == name]


def ramped(offer: Offer) -> str:
    """That users are started one after another, if so."""
    return f", {duration(offer.ramp_s)} of them to start the users" if offer.ramp_s else ""


def missing(own: Seen, tool: Seen) -> str:
    """Which of the two has no figure, and why."""
    parts = [
        f"no figure by {'the project’s own generator' if seen.by == 'generator' else seen.offer.tool}"
        f" ({'; '.join(reasons_of(seen)) or 'not timed'})"
        for seen in (own, tool)
        if not goodput(seen)
    ]
    return listed(parts)


def reasons_of(seen: Seen) -> list[str]:
    """What speaks against its trials."""
    return list(dict.fromkeys(reason.detail for trial in seen.trials for reason in trial.reasons))


def why(own: Seen, tool: Seen) -> list[str]:
    """The measured facts that part the two, the most telling first; that there is none, if so."""
    connecting = noted(tool)
    facts = (
        whole_rounds(own, tool),
        too_late(tool),
        killed(tool),
        busy(tool),
        connecting,
        None if connecting else dearer(own, tool),  # connecting is what costs it
    )
    return [fact for fact in facts if fact] or ["nothing that was measured explains it"]


def whole_rounds(own: Seen, tool: Seen) -> str | None:
    """The tool's window begins cold and cuts its last round off: held against what that makes the count."""
    rounds, steady = tool.rounds, own.bounds
    if rounds is None or steady is None or not rounds.requests:
        return None
    lost = rounds.requests / span(rounds, tool.offer) / steady.predicted_goodput - 1
    seen = goodput(tool)
    if abs(lost) <= BAND / 2 or seen is None:
        return None
    counts = median(requests(trial) for trial in tool.counted)
    return (
        f"in {duration(tool.offer.seconds)} that begin cold{ramped(tool.offer)} only whole rounds of "
        f"{duration(rounds.cycle_s)} end, {rounds.requests} requests by the model and {counts:.0f} as counted"
    )


def too_late(tool: Seen) -> str | None:
    """Answers beyond the tool's time-out."""
    late = median(trial.errors.timeout for trial in tool.counted) if tool.counted else 0
    if not late or tool.offer.timeout_s is None:
        return None
    return f"{late:.0f} answers took longer than its time-out of {duration(tool.offer.timeout_s)}"


def killed(seen: Seen) -> str | None:
    """Workers that went under the load."""
    ended = most(trial.ended_processes for trial in seen.counted)
    if not ended:
        return None
    timeout = seen.candidate.variant(seen.scale).settings.get("worker_timeout")
    after = f", whose time-out is {timeout} s" if timeout is not None else ""
    return f"{some(ended, 'process')} of the stack ended under the load{after}"


def busy(tool: Seen) -> str | None:
    """The tool was near its own limit."""
    share = middle(trial.generator_share for trial in tool.counted)
    return f"{tool.offer.tool} itself used {percent(share)} of its core" if share is not None and share > BUSY else None


def dearer(own: Seen, tool: Seen) -> str | None:
    """A request cost the stack another amount of CPU, where that binds it."""
    one, other = MEASURES["cpu_us"].value(own), MEASURES["cpu_us"].value(tool)
    if not one or not other or abs(other / one - 1) <= BAND or own.bounds is None or own.bounds.bound in HELD:
        return None
    write = MEASURES["cpu_us"].write
    return f"a request cost the stack {write(other)} of CPU with {tool.offer.tool}, {write(one)} with the generator"


def noted(tool: Seen) -> str | None:
    """What the tool says of its connections in this very run; of answers that were too late there is a figure."""
    notes = (note for trial in tool.counted if trial.told for note in trial.told.notes)
    return next((note for note in notes if note[:1].isdigit() and "connection" in note), None)


def exceptions(candidate: Candidate, sight: Sight) -> Iterable[str]:
    """Why an arm that load or slots bind is not within the band of its prediction; void arms, and why."""
    if candidate.expects_failures:
        return
    for by in ("generator", "tool"):
        seen = sight(candidate.name, "generator" if by == "generator" else "tool")
        if seen is None:
            continue
        who = f"{candidate.name}, by {'the project’s own generator' if by == 'generator' else candidate.offer.tool}"
        expected, found = predicted("goodput", seen), goodput(seen)
        if found is None:
            yield f"{who}: no number ({'; '.join(reasons_of(seen)) or seen.void or 'not timed'})."
        elif expected and held(seen) and abs(found / expected - 1) > BAND:
            yield (
                f"{who}: {rate(found)}, {percent(found / expected)} of the predicted {rate(expected)}: {reason(seen)}."
            )


def held(seen: Seen) -> bool:
    """Whether load or slots bind it and the model knows how long a request waits."""
    return seen.bounds is not None and seen.bounds.bound in HELD and seen.facts.wait_known


def reason(seen: Seen) -> str:
    """What the facts say against the prediction."""
    facts = [fact for fact in (too_late(seen), killed(seen), busy(seen)) if fact] if seen.by == "tool" else []
    if facts:
        return listed(facts)
    if seen.rounds is not None:
        counts = median(requests(trial) for trial in seen.counted)
        off = (counts - seen.rounds.requests) / seen.rounds.lanes
        return f"{number(abs(off))} rounds {'more' if off > 0 else 'fewer'} than predicted ended in its window"
    if seen.result.doubt is not None:
        return seen.result.doubt.words
    return "nothing that was measured explains it"
