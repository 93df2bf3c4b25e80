"""From an experiment to a run's arms, each by the project's own generator and by the original tool; and back."""

import math
from collections.abc import Iterator
from dataclasses import replace

from stackmatrix.catalog.experiments import Candidate, Experiment, Scale
from stackmatrix.results.experiment import Carried
from stackmatrix.results.plan import Arm, Load, Timing, arms_of

LEAST_WINDOW_S = 1.0


LEAST_WAITS = 3
"""Waits in a window of the project's own generator: a whole number of them, since slots that were taken together come
free together."""


WARMUP_S = 2.0


WARM_WAITS = 3


SOON_WARM_S = 0.7
"""What a warm-up takes of its time where no request waits."""


SWITCH_S = 2.5
"""Between two trials: a variant starts, requests under way end. Measured on two cores, as what follows."""


ADMISSION_S = 4.0
"""Of one variant."""


UPSTREAMS_S = 10.0
"""Until servers are up, what they need having been made before."""


EXPLAINED_S = 4.0
"""Of one arm in the explaining pass."""


def arms(experiment: Experiment, scale: Scale, rounds: int) -> tuple[list[Arm], Carried]:
    """The arms of a run, and which of them are which of the experiment's."""
    found: list[Arm] = []
    named: dict[str, tuple[str, str]] = {}
    for candidate in experiment.candidates:
        own, tool = own_arm(candidate, scale, rounds), tool_arm(candidate, scale)
        found += [own, tool]
        named[candidate.name] = own.id, tool.id
    return found, Carried(experiment.name, scale.waits, scale.windows, named)


def own_arm(candidate: Candidate, scale: Scale, rounds: int) -> Arm:
    """Timed when it is steady; one that fails never is, and is timed from the beginning."""
    offer = candidate.offer.scaled(scale)
    if candidate.expects_failures:
        load = Load("closed", users=offer.users, ramp_s=offer.ramp_s)
        return replace(arm(candidate, scale, load), timing=Timing(0.0, offer.seconds), rounds=1, expects_failures=True)
    return replace(
        arm(candidate, scale, Load("closed", users=offer.users)), timing=steady(candidate, scale), rounds=rounds
    )


def tool_arm(candidate: Candidate, scale: Scale) -> Arm:
    """As published, once."""
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
    return replace(found, timing=Timing(0.0, offer.seconds), rounds=1, expects_failures=candidate.expects_failures)


def arm(candidate: Candidate, scale: Scale, load: Load) -> Arm:
    """The candidate under a load, its waits shortened; called by what its workload's file does not say already."""
    workload = candidate.scaled(scale)
    asked = {key: str(value) for key, value in workload.params.items()}
    (found,) = arms_of([candidate.variant(scale)], [candidate.base], asked, [load], twice=False)
    return replace(found, overlaps=candidate.overlaps)


def steady(candidate: Candidate, scale: Scale) -> Timing:
    """Warm-up and window of the project's own generator."""
    waiting = candidate.scaled(scale).waiting()
    wait_s = (waiting.seconds if waiting else None) or 0.0
    waits = max(LEAST_WAITS, math.ceil(LEAST_WINDOW_S / wait_s)) if wait_s else 0
    return Timing(max(WARMUP_S, WARM_WAITS * wait_s), waits * wait_s or LEAST_WINDOW_S)


def until_trials_s(experiment: Experiment, scale: Scale) -> float:
    """How long it takes until the first trial, about."""
    return UPSTREAMS_S + ADMISSION_S * len({candidate.variant(scale).label for candidate in experiment.candidates})


def expected_s(experiment: Experiment, scale: Scale, rounds: int) -> float:
    """How long a run takes, about."""
    explained = EXPLAINED_S * len(experiment.candidates) * experiment.explain
    return until_trials_s(experiment, scale) + sum(trials_s(experiment, scale, rounds)) + explained


def trials_s(experiment: Experiment, scale: Scale, rounds: int) -> Iterator[float]:
    """Of each arm, its rounds together."""
    for candidate in experiment.candidates:
        offer, own = candidate.offer.scaled(scale), own_arm(candidate, scale, rounds)
        timing = own.timing or steady(candidate, scale)
        warm = timing.warmup_s if candidate.waits else min(timing.warmup_s, SOON_WARM_S)
        yield (own.rounds or rounds) * (warm + timing.window_s + SWITCH_S)
        yield offer.seconds + SWITCH_S
