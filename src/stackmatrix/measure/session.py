"""Execute a plan end to end: start servers, preflight checks, rounds, analysis."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

from rich.console import Console

from stackmatrix.analysis.run import Seen, judge_run
from stackmatrix.analysis.slo.level import parse_level
from stackmatrix.analysis.statistics import DEFAULT_RULE, PRECISE_RULE
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Wait
from stackmatrix.cli.watch import Watch
from stackmatrix.contract.overlap import MANY
from stackmatrix.cores import share_cores
from stackmatrix.errors import LackingError, UserError
from stackmatrix.load.calibration import calibrate
from stackmatrix.measure import after_rounds
from stackmatrix.measure.preflight import admit
from stackmatrix.measure.rounds import Policy, Rounds
from stackmatrix.measure.slo import find
from stackmatrix.measure.trial import Bench, crashed, timed_trial
from stackmatrix.meter import machine
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, Cell, Plan, Timing, cells_of
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import Identity
from stackmatrix.results.run import Run as RunFile
from stackmatrix.results.trial import Trial
from stackmatrix.runtime.base import Runtime
from stackmatrix.runtime.select import choose


@dataclass
class Session:
    """One carrying out of a plan, from servers up to servers down."""

    plan: Plan
    directory: RunDirectory
    catalog: Catalog
    barred: dict[str, Reason] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=machine.describe)
    identities: dict[str, Identity] = field(default_factory=dict)
    began: float = field(default_factory=monotonic)

    def execute(self, out: Console) -> RunFile:
        """Time everything; whatever ends it, judge what there is, and keep that as run.json."""
        cells = cells_of(self.plan, self.catalog)
        self.environment |= {"seed": self.plan.seed, "window_s": self.plan.window_s}
        try:
            with choose(self.plan.runtime, out.print) as runtime:
                ended_by: str = self.time(runtime, cells, out)
        except KeyboardInterrupt:
            ended_by = "interrupted"
        out.print("servers are down; computing the results")
        return self.judge(ended_by)

    def time(self, runtime: Runtime, cells: Sequence[Cell], out: Console) -> str:
        """Bring everything up and run the rounds; what ended them."""
        variants = {cell.variant.label: cell.variant for cell in cells}
        runtime.up({variant.stack.name: variant.stack for variant in variants.values()}.values())
        self.environment |= runtime.environment()
        runtime.reset_notes()
        refused = self.admit(runtime, cells, out)
        self.barred = {cell.arm.id: refused[cell.variant.label] for cell in cells if cell.variant.label in refused}
        timed = {cell.arm.id: cell for cell in cells if cell.arm.id not in self.barred}
        ready = monotonic()
        if not timed:
            return "contract"
        cpus = tuple(sorted(os.sched_getaffinity(0)))
        out.print("calibrating the load generator")
        found = calibrate(share_cores(cpus, shards=self.plan.shards).generator, self.plan.shards)
        self.environment["generator"] = (
            f"{found.ceiling:.0f} requests/s at most, {found.cpu_us_per_request:.1f} µs of CPU for each"
        )
        bench = Bench(runtime, cpus, self.directory, self.plan.seed, self.plan.shards, found.ceiling)

        def time_arm(arm: Arm, number: int, attempt: int) -> Trial:
            cell = timed[arm.id]
            try:
                with bench.alone(cell.variant) as service:
                    if self.plan.fresh:
                        runtime.restart(service)
                    return timed_trial(bench, service, arm, cell.workload, self.timing(cell), number, attempt)
            except UserError as error:
                return crashed(arm, number, attempt, error)

        self.directory.write("environment.json", self.environment)
        if self.plan.slo is not None:
            return find(self.plan, parse_level(self.plan.slo), bench, list(timed.values()), out)
        together = self.plan.experiment is not None  # whose arms are variants of few stacks
        began = self.began if together else ready  # any other budget is that of the timing
        ends = inf if self.plan.budget_s is None else began + self.plan.budget_s
        rounds_s = None if ends == inf else ends - monotonic() - after_rounds.reserve(self.plan, cells)
        rule = PRECISE_RULE if self.plan.fresh else DEFAULT_RULE
        policy = Policy(self.plan.seed, rule, rounds=self.plan.rounds, budget_s=rounds_s, together=together)
        watch = Watch(out, len(timed))
        run = Rounds([cell.arm for cell in timed.values()], policy, self.directory, time_arm, watch)
        out.print(f"{len(timed)} arms, windows of {self.plan.window_s:.1f} s; kept in {self.directory.shown}")
        with watch.shown():
            ended_by = run.execute()
        after_rounds.AfterRounds(self.plan, self.directory, bench, list(timed.values()), ends, out).run()
        return ended_by

    def timing(self, cell: Cell) -> Timing:
        """The arm's own, or the plan's."""
        return cell.arm.timing or Timing(self.plan.warmup_s, self.plan.window_s)

    def admit(self, runtime: Runtime, cells: Sequence[Cell], out: Console) -> dict[str, Reason]:
        """Look at what runs; the variants that break the contract or are not what their manifest says, and why."""
        refused: dict[str, Reason] = {}
        variants = {cell.variant.label: cell.variant for cell in cells}
        began = monotonic()
        for number, (label, variant) in enumerate(variants.items()):
            left = f", {(monotonic() - began) / number * (len(variants) - number):.0f} s left" if number else ""
            place = f"{number + 1} of {len(variants)}{left}"
            out.print(f"checking {label} against contract and manifest ({place})", markup=False)
            try:
                with runtime.service(variant) as service:
                    seen = admit(runtime, service, waiting_users(cell for cell in cells if cell.variant.label == label))
            except LackingError as error:
                refused[label] = Reason("lacking", str(error))
                continue
            if seen.identity is not None:
                self.identities[label] = seen.identity
            if seen.reason is not None:
                refused[label] = seen.reason
                out.print(f"{label} is not timed: {seen.words}", markup=False)
        return refused

    def judge(self, ended_by: str) -> RunFile:
        """What the trials on disk say; kept as run.json."""
        cpus = sorted(os.sched_getaffinity(0))
        seen = Seen(ended_by, self.environment, cpus, self.barred, self.identities)
        return judge_run(self.plan, self.directory, self.catalog, seen)


def waiting_users(cells: Iterable[Cell]) -> dict[Wait, int]:
    """The most users that will wait at once for each kind of thing; of arrivals nobody knows, so as many as can be."""
    found: dict[Wait, int] = {}
    for cell in cells:
        if cell.arm.overlaps and (waiting := cell.workload.waiting()):
            found[waiting.on] = max(found.get(waiting.on, 0), cell.arm.load.users or MANY)
    return found
