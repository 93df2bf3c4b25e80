"""Time every arm round by round: random order, repeats, a time budget; go on later with what is on disk."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import mean
from typing import Literal

from stackmatrix.analysis import statistics
from stackmatrix.analysis.judge import by_round, last_attempts
from stackmatrix.errors import UserError
from stackmatrix.measure.watcher import Watcher
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, ComparisonKey
from stackmatrix.results.reasons import NOISE
from stackmatrix.results.trial import Trial

MOST_REPEATS = 2
EndedBy = Literal["precision", "cap", "budget", "rounds", "void"]


@dataclass(frozen=True)
class Policy:
    seed: int
    rule: statistics.StoppingRule = field(default_factory=statistics.StoppingRule)
    rounds: int | None = None  # exactly so many rounds, whatever they show
    budget_s: float | None = None  # no round begins that would end later than this
    # whether arms that are compared follow one another in a round and are repeated together, for the sharpest ratios;
    # else those of one variant follow one another, which spares switching servers, and each is repeated by itself
    paired: bool = True


TimeArm = Callable[[Arm, int, int], Trial]  # times one arm once: (arm, round, attempt) → the trial


class Rounds:
    """Times arms; every trial is on disk as soon as it ends, so a run can always go on."""

    def __init__(
        self, arms: Sequence[Arm], policy: Policy, directory: RunDirectory, time_arm: TimeArm, watcher: Watcher
    ) -> None:
        self.arms = arms
        self.policy = policy
        self.directory = directory
        self.trials: list[Trial] = list(directory.trials())
        self._time_arm = time_arm
        self._watcher = watcher
        self._began = time.monotonic()
        self._void: set[str] = set()

    def execute(self) -> EndedBy:
        """Run rounds until the rule, the cap, the number of rounds or the budget ends it; say which did."""
        number = 0
        costs: list[float] = []
        while True:
            started = time.monotonic()
            fresh = self._round(number)
            if fresh:
                costs.append((time.monotonic() - started) / fresh)
            number += 1
            cost = (mean(costs) if costs else 0.0) * len(self._taking_part(number))
            ended = self._ended_by(number, cost)
            expected = self._expected(number, cost)
            left_s = (expected - number) * cost if cost else None
            self._watcher.round_ended(number, expected, left_s, self.widest())
            if ended is not None:
                return ended

    def widest(self) -> float | None:
        """Find the largest relative half-width of a headline ratio; None while one has no interval yet."""
        widths = [estimate.interval.half_width if estimate.interval else None for estimate in self._headlines()]
        known = [width for width in widths if width is not None]
        return max(known, default=None) if len(known) == len(widths) else None

    def groups(self) -> list[list[Arm]]:
        found: dict[ComparisonKey, list[Arm]] = {}
        for arm in self.arms:
            found.setdefault(arm.comparison_key, []).append(arm)
        return list(found.values())

    def _taking_part(self, number: int) -> list[Arm]:
        return [arm for arm in self.arms if arm.id not in self._void and (arm.rounds is None or number < arm.rounds)]

    def _round(self, number: int) -> int:
        """Time every arm once, in a fresh random order; count those that were not on disk already."""
        done = {trial.arm: trial for trial in last_attempts(trial for trial in self.trials if trial.round == number)}
        order = self._taking_part(number)
        random.Random(f"{self.policy.seed} round {number}").shuffle(order)
        if not self.policy.paired:
            order = by_variant(order)
        fresh = [arm for arm in order if arm.id not in done]
        for arm in fresh:
            self._time(arm, number, 0)
        for group in self.groups() if self.policy.paired else [self.arms]:
            self._repeat(group, number)
        return len(fresh)

    def _repeat(self, group: Sequence[Arm], number: int) -> None:
        """Repeat what failed or was spoiled; where arms are paired, all of them for one that the machine spoiled."""
        arms = [arm for arm in group if arm.id not in self._void and arm.repeats]
        ids = {arm.id for arm in arms}
        while True:
            standing = last_attempts(trial for trial in self.trials if trial.round == number and trial.arm in ids)
            bad = [trial for trial in standing if trial.reasons]
            attempt = 1 + max((trial.attempt for trial in standing), default=0)
            if not bad:
                return
            # What the machine spoils is tried again in the next round; what the stack does will not change.
            failed = {trial.arm for trial in bad if any(reason.kind not in NOISE for reason in trial.reasons)}
            hopeless = {trial.arm for trial in bad if any(reason.kind == "short" for reason in trial.reasons)}
            if attempt > MOST_REPEATS or self._spent(0.0) or len(hopeless) == len(bad):
                self._void.update(failed)
                return
            again = ids if self.policy.paired and len(failed) < len(bad) else {trial.arm for trial in bad}
            order = [arm for arm in arms if arm.id in again - hopeless]
            self._watcher.round_repeated(order, bad)
            random.Random(f"{self.policy.seed} round {number} attempt {attempt}").shuffle(order)
            for arm in order if self.policy.paired else by_variant(order):
                if self._spent(0.0):
                    break
                self._time(arm, number, attempt)

    def _time(self, arm: Arm, number: int, attempt: int) -> None:
        self._watcher.trial_begins(arm, number, attempt)
        trial = self._time_arm(arm, number, attempt)
        self.directory.append(trial)
        self.trials.append(trial)
        self._watcher.trial_ended(trial)

    def _headlines(self) -> list[statistics.Estimate]:
        """Estimate the ratios that the run is to settle: each arm against the first of its group, and the A/A arms."""
        rounds = 1 + max((trial.round for trial in self.trials), default=-1)
        goodputs: Mapping[str, list[float | None]] = {
            arm.id: by_round(last_attempts(trial for trial in self.trials if trial.arm == arm.id), rounds)
            for arm in self.arms
            if arm.id not in self._void
        }
        found: list[statistics.Estimate] = []
        for group in self.groups():
            ids = [arm.id for arm in group if arm.id in goodputs]
            for other in ids[1:]:
                estimate = statistics.ratio(goodputs[other], goodputs[ids[0]])
                if estimate is not None:
                    found.append(estimate)
        return found

    def _ended_by(self, rounds: int, cost: float) -> EndedBy | None:
        if all(arm.id in self._void for arm in self.arms):
            return "void"
        if self.policy.rounds is not None:
            return "rounds" if rounds >= self.policy.rounds or self._spent(cost) else None
        return self.policy.rule.ended_by(rounds, self._headlines(), self._spent(cost))

    def _left_s(self) -> float:
        """Compute what is left of the budget; inf without one."""
        return inf if self.policy.budget_s is None else self.policy.budget_s - (time.monotonic() - self._began)

    def _spent(self, cost: float) -> bool:
        return cost > self._left_s()

    def _expected(self, rounds: int, cost: float) -> int:
        """Estimate how many rounds it will be: never more than the budget holds."""
        more = (self.policy.rounds or max(self.policy.rule.start, rounds)) - rounds
        return rounds + max(0, int(min(more, self._left_s() / cost)) if cost else more)


def by_variant(arms: Sequence[Arm]) -> list[Arm]:
    """Order arms by variant, the variants as their first arms stand; an A/A arm is as far from its twin as others."""
    places: dict[tuple[str, bool], list[Arm]] = {}
    for arm in arms:
        places.setdefault((arm.variant_label, arm.twin_of is not None), []).append(arm)
    return [arm for together in places.values() for arm in together]


def window_for(budget_s: float, arms: int, overhead_s: float, rounds: float, least_s: float, most_s: float) -> float:
    """Size the window, in seconds, so that `rounds` rounds of `arms` fit a budget; UserError when not even one does."""
    if arms * (overhead_s + least_s) > budget_s:
        needed = arms * (overhead_s + least_s)
        raise UserError(
            f"--budget {budget_s:.0f}s is too short for one round of {arms} arms: give at least {needed:.0f}s, "
            "or fewer arms with --stack and --workload"
        )
    return min(most_s, max(least_s, budget_s / (arms * rounds) - overhead_s))
