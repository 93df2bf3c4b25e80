"""Execute a plan end to end: start servers, preflight checks, rounds, after the rounds, analysis."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

from stackmatrix.analysis.run import Circumstances, judge_run
from stackmatrix.analysis.slo.level import parse_level
from stackmatrix.analysis.statistics import DEFAULT_RULE, PRECISE_RULE
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Variant, Wait
from stackmatrix.contract.overlap import MANY
from stackmatrix.cores import share_cores
from stackmatrix.errors import LackingError, UserError
from stackmatrix.load.calibration import calibrate
from stackmatrix.measure.after_rounds import AfterRounds, reserved_s
from stackmatrix.measure.preflight import PreflightResult, check_variant
from stackmatrix.measure.rounds import Policy, Rounds
from stackmatrix.measure.slo import search_rates
from stackmatrix.measure.trial import Bench, HealingFailedError, crashed, timed_trial
from stackmatrix.measure.watcher import Watcher
from stackmatrix.meter import machine
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, Cell, Plan, cells_of
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import Identity, Run
from stackmatrix.results.trial import Trial
from stackmatrix.runtime.base import Runtime
from stackmatrix.runtime.select import choose


@dataclass
class Session:
    plan: Plan
    directory: RunDirectory
    catalog: Catalog
    watcher: Watcher
    barred: dict[str, Reason] = field(default_factory=dict)  # why some arms are never timed
    environment: dict[str, Any] = field(default_factory=machine.describe)
    identities: dict[str, Identity] = field(default_factory=dict)
    began: float = field(default_factory=monotonic)

    def execute(self) -> Run:
        """Measure; whatever ends it, judge what there is, and keep that as run.json."""
        self.environment |= {"seed": self.plan.seed, "window_s": self.plan.window_s}
        cells = cells_of(self.plan, self.catalog)
        ended_by: str | None = None
        try:
            with choose(self.plan.runtime, self.watcher.note) as runtime:
                ended_by = self.measure(runtime, cells)
                self.watcher.stage("stopping servers")
        except (KeyboardInterrupt, UserError) as error:
            if ended_by is None and isinstance(error, UserError):
                if any(self.directory.trials()):
                    self.judge("error")
                raise
            if str(error):  # what stopping has left
                self.watcher.note(str(error))
        return self.judge(ended_by or "interrupted")

    def measure(self, runtime: Runtime, cells: list[Cell]) -> str:
        """Start the servers, check them, and time the arms of those that pass; say what ended it."""
        self.watcher.stage("starting servers")
        runtime.up({cell.variant.stack.name: cell.variant.stack for cell in cells}.values())
        self.environment |= runtime.environment()
        runtime.reset_notes()
        timed = self.preflight(runtime, cells)
        ready = monotonic()
        if not timed:
            return "contract"
        bench = self.calibrated(runtime)
        self.directory.write("environment.json", self.environment)
        if self.plan.slo is not None:
            return search_rates(self.plan, parse_level(self.plan.slo), bench, timed, self.watcher)
        began = self.began if self.plan.experiment else ready  # any other budget is that of the timing
        ends = inf if self.plan.budget_s is None else began + self.plan.budget_s
        ended_by = self.time_rounds(bench, timed, ends - reserved_s(self.plan, cells))
        AfterRounds(self.plan, bench, timed, ends, self.watcher).run()
        return ended_by

    def preflight(self, runtime: Runtime, cells: list[Cell]) -> list[Cell]:
        """Check every variant against contract and manifest; return the cells of those that may be timed."""
        variants = {cell.variant.label: cell.variant for cell in cells}
        for number, (label, variant) in enumerate(variants.items(), 1):
            self.watcher.preflight_begins(label, number, len(variants))
            own = [cell for cell in cells if cell.variant.label == label]
            found = self.checked(runtime, variant, waiting_users(own))
            refused = {cell.arm.id: found.against(*waiting_for(cell)) for cell in own}
            self.barred |= {arm: reason for arm, reason in refused.items() if reason is not None}
            for words in dict.fromkeys(found.words or reason.detail for reason in refused.values() if reason):
                self.watcher.refused(label, words)
        return [cell for cell in cells if cell.arm.id not in self.barred]

    def checked(self, runtime: Runtime, variant: Variant, users: dict[Wait, int]) -> PreflightResult:
        """Check one variant; what this machine lacks for it is a reason too."""
        try:
            with runtime.service(variant) as service:
                found = check_variant(runtime, service, users)
        except LackingError as error:
            return PreflightResult(reason=Reason("lacking", str(error)))
        if found.identity is not None:
            self.identities[variant.label] = found.identity
        return found

    def calibrated(self, runtime: Runtime) -> Bench:
        """Measure what the generator can do here, on the cores that it will have."""
        self.watcher.stage("calibrating the load generator")
        cpus = tuple(sorted(os.sched_getaffinity(0)))
        most = calibrate(share_cores(cpus, shards=self.plan.shards).generator, self.plan.shards)
        self.environment["generator"] = (
            f"{most.ceiling:.0f} requests/s at most, {most.cpu_us_per_request:.1f} µs of CPU for each"
        )
        return Bench(runtime, cpus, self.directory, self.plan.seed, self.plan.shards, most.ceiling)

    def time_rounds(self, bench: Bench, cells: list[Cell], ends: float) -> str:
        """Time every arm round by round until precision, number of rounds or the instant `ends`; say which."""
        by_arm = {cell.arm.id: cell for cell in cells}

        def time_arm(arm: Arm, number: int, attempt: int) -> Trial:
            cell = by_arm[arm.id]
            try:
                with bench.alone(cell.variant) as service:
                    if self.plan.fresh:
                        bench.runtime.restart(service)
                    return timed_trial(bench, service, arm, cell.workload, self.plan.timing(arm), number, attempt)
            except HealingFailedError:
                raise
            except UserError as error:
                return bench.with_log(crashed(arm, number, attempt, error), cell.variant.stack.name)

        policy = Policy(
            self.plan.seed,
            PRECISE_RULE if self.plan.fresh else DEFAULT_RULE,
            rounds=self.plan.rounds,
            budget_s=None if ends == inf else ends - monotonic(),
            paired=self.plan.fresh,
        )
        self.watcher.rounds_begin(len(cells), self.plan.window_s, self.directory.shown)
        return Rounds([cell.arm for cell in cells], policy, self.directory, time_arm, self.watcher).execute()

    def judge(self, ended_by: str) -> Run:
        self.watcher.stage("computing the results")
        cpus = sorted(os.sched_getaffinity(0))
        found = Circumstances(ended_by, self.environment, cpus, self.barred, self.identities)
        return judge_run(self.plan, self.directory, self.catalog, found)


def waiting_users(cells: Iterable[Cell]) -> dict[Wait, int]:
    """Count the most users that will wait at once for each kind of thing; for arrivals, which nobody knows, many."""
    found: dict[Wait, int] = {}
    for cell in cells:
        wait, users = waiting_for(cell)
        if wait is not None:
            found[wait] = max(found.get(wait, 0), users)
    return found


def waiting_for(cell: Cell) -> tuple[Wait | None, int]:
    """Say what the users of an arm wait for, if its capacity is to be checked, and how many they are."""
    waiting = cell.workload.waiting() if cell.arm.overlaps else None
    return waiting.on if waiting else None, cell.arm.load.users or MANY
