"""Turn an experiment into a run's arms, each by the project's own generator and by the original tool."""

import math
from collections.abc import Iterator
from dataclasses import replace

from stackmatrix.catalog.experiments import Candidate, Experiment, Scale
from stackmatrix.results.experiment import PlannedExperiment
from stackmatrix.results.plan import Arm, Load, Timing, arms_of

LEAST_WINDOW_S = 1.0
# waits in a window of the project's own generator: a whole number of them, since slots that were taken together come
# free together
LEAST_WAITS = 3
WARMUP_S = 2.0
WARM_WAITS = 3
SOON_WARM_S = 0.7  # what a warm-up takes of its time where no request waits
SWITCH_S = 2.5  # between two trials: a variant starts, requests under way end. Measured on two cores, as what follows.
ADMISSION_S = 4.0  # of one variant
UPSTREAMS_S = 10.0  # until servers are up, what they need having been made before
EXPLAINED_S = 4.0  # of one arm in the explaining pass


def arms(experiment: Experiment, scale: Scale, rounds: int) -> tuple[list[Arm], PlannedExperiment]:
    found: list[Arm] = []
    named: dict[str, tuple[str, str]] = {}
    for candidate in experiment.candidates:
        own, tool = own_arm(candidate, scale, rounds), tool_arm(candidate, scale)
        found += [own, tool]
        named[candidate.name] = own.id, tool.id
    return found, PlannedExperiment(experiment.name, scale.waits, scale.windows, named)


def own_arm(candidate: Candidate, scale: Scale, rounds: int) -> Arm:
    """Make the arm for the own generator: timed once steady, or from the beginning if it is expected to fail."""
    offer = candidate.offer.scaled(scale)
    if candidate.expects_failures:
        load = Load("closed", users=offer.users, ramp_s=offer.ramp_s)
        return replace(
            arm(candidate, scale, load),
            timing=Timing(0.0, offer.seconds, fitted=False),
            rounds=1,
            expects_failures=True,
        )
    steady_arm = arm(candidate, scale, Load("closed", users=offer.users))
    return replace(steady_arm, timing=steady(candidate, scale), rounds=rounds)


def tool_arm(candidate: Candidate, scale: Scale) -> Arm:
    """Make the arm for the original tool: as published, once."""
    offer = candidate.offer.scaled(scale)
    load = Load(
        "closed",
        users=offer.users,
        ramp_s=offer.ramp_s,
        requests=offer.requests,
        tool=offer.tool,
        timeout_s=offer.timeout_s,
    )
    found = arm(candidate, scale, load)
    return replace(
        found, timing=Timing(0.0, offer.seconds, fitted=False), rounds=1, expects_failures=candidate.expects_failures
    )


def arm(candidate: Candidate, scale: Scale, load: Load) -> Arm:
    """Make the arm of a candidate under a load, its waits shortened; its id has what differs from the workload."""
    workload = candidate.scaled(scale)
    asked = {key: str(value) for key, value in workload.params.items()}
    (found,) = arms_of([candidate.variant(scale)], [candidate.base], asked, [load], twice=False)
    return replace(found, overlaps=candidate.overlaps)


def steady(candidate: Candidate, scale: Scale) -> Timing:
    waiting = candidate.scaled(scale).waiting()
    wait_s = (waiting.seconds if waiting else None) or 0.0
    waits = max(LEAST_WAITS, math.ceil(LEAST_WINDOW_S / wait_s)) if wait_s else 0
    return Timing(max(WARMUP_S, WARM_WAITS * wait_s), waits * wait_s or LEAST_WINDOW_S)


def expected_s(experiment: Experiment, scale: Scale, rounds: int) -> float:
    explained = EXPLAINED_S * len(experiment.candidates) * experiment.explain
    until_trials_s = UPSTREAMS_S + ADMISSION_S * len({each.variant(scale).label for each in experiment.candidates})
    return until_trials_s + sum(trials_s(experiment, scale, rounds)) + explained


def trials_s(experiment: Experiment, scale: Scale, rounds: int) -> Iterator[float]:
    for candidate in experiment.candidates:
        offer, own = candidate.offer.scaled(scale), own_arm(candidate, scale, rounds)
        timing = own.timing or steady(candidate, scale)
        warm = timing.warmup_s if candidate.waits else min(timing.warmup_s, SOON_WARM_S)
        yield (own.rounds or rounds) * (warm + timing.window_s + SWITCH_S)
        yield offer.seconds + SWITCH_S
