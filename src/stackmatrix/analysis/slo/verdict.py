"""From the probes of a run to what it says of each arm's service level: pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Final

from stackmatrix.analysis import statistics
from stackmatrix.analysis.judge import interval, per_arm
from stackmatrix.analysis.slo.level import MOST_PROBE_WINDOW_S, Level, LevelSample, parse_level
from stackmatrix.analysis.slo.overload import FACTOR
from stackmatrix.analysis.slo.search import MOST_RATE, Bracket, RateAnswer
from stackmatrix.analysis.statistics import LEAST_ROUNDS
from stackmatrix.formatting import duration, percent, quantity, rate, some
from stackmatrix.load.job import CONNECTIONS
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, Plan
from stackmatrix.results.reasons import ReasonKind
from stackmatrix.results.slo import LevelEnd, Overloads, Probe, ProbeOutcome, ServiceLevel
from stackmatrix.results.trial import Trial


def service_levels_of_run(plan: Plan, directory: RunDirectory) -> list[ServiceLevel]:
    """Judge the probes on disk; nothing in a run that had no service level."""
    return judge_levels(plan.arms, directory.probes(), parse_level(plan.slo)) if plan.slo else []


# the outcomes that say something of a rate
ANSWERS: Final[Mapping[ProbeOutcome, RateAnswer]] = {"kept": "kept", "broken": "broken", "generator": "generator"}
# of a rate at which the machine took part; then lower ones are asked, for the stack may not keep those either
MOST_SPOILED: Final = 1
DISHONEST: Final[frozenset[ReasonKind]] = frozenset({"crash", "ledger"})  # after these no rate says anything
MACHINE: Final[frozenset[ReasonKind]] = frozenset({"neighbour", "steal"})


def probe_outcome(trial: Trial, seen: LevelSample) -> ProbeOutcome:
    """Judge a rate by its trial.

    Neighbours and a late generator can break a level, never keep it: they only matter where it was not kept. Requests
    that left late because all connections were taken waited for the stack, not for the generator.
    """
    kinds = {reason.kind for reason in trial.reasons}
    late = "drift" in kinds and trial.client.connections < CONNECTIONS
    if kinds & DISHONEST:
        return "failed"
    if seen.kept is None:
        return "unsupported"
    if seen.kept:
        return "kept"
    if kinds & MACHINE:
        return "spoiled"
    return "generator" if late or "generator" in kinds else "broken"


class Answers:
    def __init__(self) -> None:
        self._spoiled = 0

    def of(self, outcome: ProbeOutcome) -> RateAnswer | None:
        """Return the answer; None when the same rate is to be asked again."""
        if outcome in ANSWERS:
            self._spoiled = 0
            return ANSWERS[outcome]
        self._spoiled += 1
        if self._spoiled <= MOST_SPOILED:
            return None
        self._spoiled = 0
        return "spoiled"


def brackets(probes: Iterable[Probe]) -> dict[int, Bracket]:
    found: dict[int, Bracket] = {}
    heard: dict[int, Answers] = {}
    for probe in probes:
        if probe.purpose == "search":
            bracket = found.setdefault(probe.round, Bracket())
            answer = heard.setdefault(probe.round, Answers()).of(probe.outcome)
            if answer is not None:
                bracket.tell(probe.rate, answer)
    return found


def values(probes: Iterable[Probe], rounds: int) -> list[float | None]:
    found = brackets(probes)
    return [found[number].value if number in found else None for number in range(rounds)]


def judge_levels(arms: Sequence[Arm], probes: Iterable[Probe], level: Level) -> list[ServiceLevel]:
    by_arm = per_arm([arm.id for arm in arms], probes)
    rounds = 1 + max((probe.round for seen in by_arm.values() for probe in seen), default=-1)
    places = level_ranks(arms, {arm: values(seen, rounds) for arm, seen in by_arm.items()})
    return [service_level(arm, by_arm[arm.id], rounds, level, places.get(arm.id)) for arm in arms]


def level_ranks(arms: Sequence[Arm], found: Mapping[str, list[float | None]]) -> dict[str, int]:
    """Rank by the rates that were found, where two arms of one workload have enough of them for an interval."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for arm in arms:
        if sum(value is not None for value in found[arm.id]) >= LEAST_ROUNDS:
            groups.setdefault(arm.comparison_key, []).append(arm.id)
    return {
        arm: rank.place
        for group in groups.values()
        if len(group) > 1
        for arm, rank in statistics.ranks({arm: found[arm] for arm in group}, statistics.LEAST_FLOOR).items()
    }


def service_level(arm: Arm, probes: Sequence[Probe], rounds: int, level: Level, rank: int | None) -> ServiceLevel:
    found = values(probes, rounds)
    estimate = statistics.location(found)
    asked = [probe for probe in probes if probe.purpose == "search"]
    result = ServiceLevel(
        arm=arm.id,
        level=str(level),
        limit_ms=level.limit_ms,
        rate=interval(estimate) if estimate else None,
        rounds=sum(value is not None for value in found),
        kept=max((probe.rate for probe in asked if probe.outcome == "kept"), default=None),
        broken=min((probe.rate for probe in asked if probe.outcome == "broken"), default=None),
        ended="found" if estimate else level_end(asked, level),
        words="",
        rank=rank,
        overload=overloads([probe for probe in probes if probe.purpose == "overload"]),
    )
    return replace(result, words=f"{arm.variant_label} {says(result, level, asked)}.")


def level_end(asked: Sequence[Probe], level: Level) -> LevelEnd:
    if not asked:
        return "untimed"
    last = asked[-1]
    bracket = brackets(asked)[last.round]
    if last.outcome == "failed":
        return "failed"
    if bracket.narrow or (bracket.kept is None and bracket.lost is not None and bracket.lost <= level.least_rate):
        return "below" if bracket.by == "broken" else bracket.by
    return "above" if bracket.kept is not None and bracket.kept >= MOST_RATE else "untimed"


def overloads(probes: Sequence[Probe]) -> Overloads | None:
    seen = [probe.overload for probe in probes if probe.overload is not None]
    goodput = statistics.location([one.goodput for one in seen])
    if goodput is None:
        return None
    recovered = [one.recovery_s for one in seen if one.recovery_s is not None]
    known = [one.value_ms for one in seen if one.value_ms is not None]
    return Overloads(
        factor=FACTOR,
        rate=probes[-1].rate,
        trials=len(seen),
        goodput=interval(goodput),
        value_ms=median(known) if 2 * len(known) > len(seen) else None,
        recovery_s=median(recovered) if 2 * len(recovered) > len(seen) else None,
        recovery_range_s=(min(recovered), max(recovered)) if recovered else None,
        watched_s=min(one.watched_s for one in seen),
    )


def says(result: ServiceLevel, level: Level, asked: Sequence[Probe]) -> str:
    if result.rate is not None:
        return f"keeps {level.words} up to {rate(result.rate.value)}{known(result)}{overloaded(result, level)}"
    lowest, highest = rate(level.least_rate), rate(result.kept) if result.kept else ""
    asked_for = rate(asked[-1].rate) if asked else ""
    needed = (
        f"windows of {MOST_PROBE_WINDOW_S:.0f} s hold the {some(level.requests, 'request')} that {level.metric} needs"
    )
    told: dict[LevelEnd, str] = {
        "below": f"does not keep {level.words} at {lowest}, the least rate at which {needed}",
        "above": f"keeps {level.words} at {highest}, the most that is asked for",
        "generator": f"keeps {level.words} at {highest}: the generator could not offer more"
        if highest
        else f"cannot be asked about {level.words}: the generator could not offer {asked_for}",
        "failed": f"has no rate for {level.words}: {failure(asked)}",
        "spoiled": f"has no rate for {level.words}: the machine took part in every attempt{so_far(result)}",
        "untimed": f"has no rate for {level.words}: the time was over before one was found{so_far(result)}",
        "found": "",
    }
    return told[result.ended]


def known(result: ServiceLevel) -> str:
    if result.rate is not None and result.rate.ci95 is not None:
        low, high = result.rate.ci95
        return f" (95 % interval {quantity(low)} to {quantity(high)})"
    searches = "one search" if result.rounds == 1 else f"{result.rounds} searches"
    return f" (from {searches}; an interval needs {LEAST_ROUNDS})"


def overloaded(result: ServiceLevel, level: Level) -> str:
    found = result.overload
    if found is None:
        return ""
    slow = f"{level.metric} {duration(found.value_ms / 1000)}" if found.value_ms is not None else "many never"
    answered = (
        f"at {rate(found.rate)}, {percent(found.factor)} of that, it answers {rate(found.goodput.value)} ({slow})"
    )
    if found.recovery_s is None:
        return f"; {answered} and is not back within the limit in {duration(found.watched_s)} at half the rate"
    back = f"in {duration(found.recovery_s)}" if found.recovery_s > 0 else "at once"
    return f"; {answered} and is back within the limit {back} once half the rate comes"


def so_far(result: ServiceLevel) -> str:
    seen = [f"{word} at {rate(value)}" for word, value in (("kept", result.kept), ("not kept", result.broken)) if value]
    return f" ({', '.join(seen)})" if seen else ""


def failure(asked: Sequence[Probe]) -> str:
    reasons = [reason for probe in asked if probe.outcome == "failed" for reason in probe.trial.reasons]
    return next((reason.detail for reason in reasons if reason.kind in DISHONEST), "it failed")
