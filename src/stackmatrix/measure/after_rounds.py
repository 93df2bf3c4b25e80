"""Run extra trials after the rounds: to explain each arm, to draw flame graphs, to see whether a rate lasts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import TypeVar

from stackmatrix.analysis.judge import last_attempts, per_arm
from stackmatrix.analysis.statistics import LEAST_ROUNDS, middle
from stackmatrix.catalog.stacks import Variant
from stackmatrix.catalog.workloads import Workload
from stackmatrix.errors import UserError
from stackmatrix.measure.explain import PHASES_SETTING, explain, with_phases
from stackmatrix.measure.profile import LEAST_SAMPLED_S, TracingDeniedError, profile
from stackmatrix.measure.trial import Bench, HealingFailedError, extra_fields, extra_trial, utc_now
from stackmatrix.measure.watcher import Watcher
from stackmatrix.results.explain import Explained, ExtraTrial, Profiled, Sustained
from stackmatrix.results.plan import Arm, Cell, Plan, Timing
from stackmatrix.results.reasons import NOISE
from stackmatrix.results.trial import Trial
from stackmatrix.runtime.base import Service

AnyExtra = TypeVar("AnyExtra", Explained, Profiled, Sustained)

EXPLAIN_SHARE = 0.2  # of the budget, that explaining may take unless it was asked for

# Measured on two cores, in seconds:
TRIAL_OVERHEAD_S = 1.2  # of a trial besides its window: warm-up, drain, counting, switching stacks
ROUND_OVERHEAD_S = 2.6  # of an arm in a round besides its window, slow ones and repeats among them
REPEATS = 1.45  # trials of an arm in a round, where the host takes 2 to 6 % of the CPU time
RESTART_S = 4.0  # of a stack in a container that is restarted with other settings

USUAL_WINDOW_S = 5.0  # the most that a window lasts, whatever a headline trial takes, unless a response takes longer
LONGEST_WINDOW_S = 20.0  # the most to which a window is lengthened to hold a whole response time
RESPONSE_MARGIN = 1.25
SUSTAINED_WINDOW_S = 20.0  # burst credit of six seconds shows in 14


@dataclass(frozen=True)
class PlannedExtra:
    cell: Cell
    variant: Variant
    timing: Timing
    seconds: float  # what it will take, its restart not counted


def reserved_s(plan: Plan, cells: Sequence[Cell]) -> float:
    """Say how many seconds of the budget the rounds leave for explaining; the rounds that intervals need come first."""
    if plan.explain is False or plan.budget_s is None:
        return 0.0
    variants = {cell.variant.label for cell in cells}
    wanted = len(cells) * (min(plan.window_s, USUAL_WINDOW_S) + TRIAL_OVERHEAD_S) + len(variants) * RESTART_S
    rounds = LEAST_ROUNDS * len(cells) * (plan.window_s + ROUND_OVERHEAD_S)
    return max(0.0, min(wanted, plan.budget_s * EXPLAIN_SHARE, plan.budget_s - rounds))


class AfterRounds:
    """Runs the extra trials of the arms that have a number; each is on disk as soon as it ends."""

    def __init__(self, plan: Plan, bench: Bench, cells: Sequence[Cell], ends: float, watcher: Watcher) -> None:
        """`ends` is the instant at which the budget is spent; inf without one."""
        self._plan = plan
        self._ends = ends
        self._directory = bench.directory
        self._bench = bench
        self._watcher = watcher
        self._own = [cell.arm.id for cell in cells if cell.arm.twin_of is None]
        by_arm = per_arm(self._own, self._directory.trials())
        self._counting = {arm: counting for arm, trials in by_arm.items() if (counting := trials_that_count(trials))}
        self._cells = [cell for cell in cells if cell.arm.id in self._counting and cell.arm.load.tool is None]

    def run(self) -> None:
        if self._plan.explain is not False:
            self._explain()
        if self._plan.profile:
            self._profile()
        if self._plan.sustained:
            self._sustain()

    def _explain(self) -> None:
        done = without_gaps(self._directory.passes().explained.values())
        able = [cell for cell in self._cells if PHASES_SETTING in cell.variant.settings and cell.arm.id not in done]
        wanted = [self._planned(cell, with_phases(cell.variant), 0.0) for cell in able]
        share_s = inf
        if self._plan.budget_s and self._plan.explain is None:
            share_s = max(0.0, min(self._plan.budget_s * EXPLAIN_SHARE, self._ends - monotonic()))
        chosen = quickest(wanted, share_s)
        if wanted:
            self._watcher.extras_begin("explaining", len(chosen), len(wanted), total_s(wanted))
        self._run_each(chosen, explain, Explained)

    def _profile(self) -> None:
        done = without_gaps(self._directory.passes().profiled.values())
        wanted = [self._planned(cell, cell.variant, LEAST_SAMPLED_S) for cell in self._cells if cell.arm.id not in done]
        if wanted:
            self._watcher.extras_begin("profiling", len(wanted), len(wanted), total_s(wanted))
        if void := [arm for arm in self._own if arm not in self._counting]:
            self._watcher.extras_denied(f"a void cell has none: {', '.join(void)}")
        try:
            self._run_each(wanted, profile, Profiled)
        except TracingDeniedError as error:
            self._watcher.extras_denied(str(error))

    def _sustain(self) -> None:
        done = without_gaps(self._directory.passes().sustained.values())
        chosen = [cell for cell in busiest_of_each(self._cells, self._counting) if cell.arm.id not in done]
        wanted = [self._planned(cell, cell.variant, SUSTAINED_WINDOW_S) for cell in chosen]
        if wanted:
            self._watcher.extras_begin("sustaining", len(wanted), len(wanted), total_s(wanted))
        self._run_each(wanted, sustain, Sustained)

    def _planned(self, cell: Cell, variant: Variant, least_s: float) -> PlannedExtra:
        """Size the window to hold a whole response time, if that is not too long."""
        mean_ms = middle(trial.client.latency_ms.mean for trial in self._counting[cell.arm.id]) or 0.0
        response_s = mean_ms / 1000
        own = self._plan.timing(cell.arm)
        window_s = max(least_s, min(own.window_s, USUAL_WINDOW_S), min(RESPONSE_MARGIN * response_s, LONGEST_WINDOW_S))
        warmup_s = min(own.warmup_s, USUAL_WINDOW_S)
        seconds = window_s + TRIAL_OVERHEAD_S + min(response_s, warmup_s)
        return PlannedExtra(cell, variant, Timing(warmup_s, window_s), seconds)

    def _run_each(
        self, planned: Sequence[PlannedExtra], observe_arm: Callable[..., AnyExtra], kind: type[AnyExtra]
    ) -> None:
        """Run one after the other, those of one variant together, which spares restarts."""
        left = sorted(planned, key=lambda one: one.variant.label)
        while left:
            one, *left = left
            arm = one.cell.arm
            try:
                with self._bench.alone(one.variant) as service:
                    extra = observe_arm(self._bench, service, arm, one.cell.workload, one.timing)
            except (HealingFailedError, TracingDeniedError):
                raise
            except UserError as error:
                extra = kind(arm=arm.id, started=utc_now(), missing=str(error).splitlines()[0])
            self._directory.append(extra)
            self._watcher.extra_ended(extra, total_s(left))


def busiest_of_each(cells: Sequence[Cell], counting: Mapping[str, Sequence[Trial]]) -> list[Cell]:
    """Choose of each variant the cell that answered most a second."""

    def goodput(cell: Cell) -> float:
        return middle(trial.client.goodput for trial in counting[cell.arm.id]) or 0.0

    labels = dict.fromkeys(cell.variant.label for cell in cells)
    return [max((cell for cell in cells if cell.variant.label == label), key=goodput) for label in labels]


def sustain(bench: Bench, service: Service, arm: Arm, workload: Workload, timing: Timing) -> Sustained:
    """Put the service under the arm's load for one long window; UserError when a server or the generator is gone."""
    fields = extra_fields(extra_trial(bench, service, arm, workload, timing))
    told = "; ".join(reason.detail for reason in fields["reasons"])
    return Sustained(**fields, missing=told or (None if fields["goodput"] else "there was no answer"))


def without_gaps(lines: Iterable[ExtraTrial]) -> set[str]:
    """List the arms whose extra trial found what it was for; the others get another."""
    return {line.arm for line in lines if line.missing is None}


def trials_that_count(trials: Sequence[Trial]) -> list[Trial]:
    """Select the trials that make an arm's number; none when its own trials leave it without one."""
    standing = last_attempts(trials)
    failed = any(reason.kind not in NOISE for trial in standing for reason in trial.reasons)
    return [] if failed else [trial for trial in standing if not trial.reasons]


def total_s(planned: Sequence[PlannedExtra]) -> float:
    return sum(one.seconds for one in planned) + RESTART_S * len({one.variant.label for one in planned})


def quickest(planned: Sequence[PlannedExtra], seconds: float) -> list[PlannedExtra]:
    chosen: list[PlannedExtra] = []
    for one in sorted(planned, key=lambda one: one.seconds):
        if total_s([*chosen, one]) <= seconds:
            chosen.append(one)
    return chosen
