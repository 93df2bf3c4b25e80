"""One carrying out of a plan: servers up, admission, rounds, judgement, report; for every command that times."""

import argparse
import os
import secrets
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from rich.console import Console

from stackmatrix.admission import admit
from stackmatrix.analysis.judge import Catalog, judge
from stackmatrix.analysis.statistics import DEFAULT_RULE, PRECISE_RULE, StoppingRule
from stackmatrix.catalog.stacks import Wait
from stackmatrix.cli import levels, passes
from stackmatrix.cli.options import positive, seconds
from stackmatrix.cli.shell import INTERRUPTED, console, deliver
from stackmatrix.cli.watch import Watch
from stackmatrix.contract.overlap import MANY
from stackmatrix.errors import LackingError, UserError
from stackmatrix.experiment import examined
from stackmatrix.levels.level import parse
from stackmatrix.load.calibration import calibrate
from stackmatrix.meter import machine
from stackmatrix.offer import pooled_latency
from stackmatrix.plan import FILE as PLAN_FILE
from stackmatrix.plan import Cell, Plan, cells_of, digests
from stackmatrix.report.terminal import table
from stackmatrix.results import NO_FAULT, RESULTS, SCHEMA, Arm, Identity, Reason, RunDirectory, Timing, Trial
from stackmatrix.results import Run as RunFile
from stackmatrix.run import Policy, Run, window_for
from stackmatrix.runtime.base import Runtime, share_cores
from stackmatrix.runtime.select import add_option, choose
from stackmatrix.trial import Bench, crashed, measure

BUDGET_S = 600.0
WARMUP_S = 2.0
LEAST_WINDOW_S = 0.4
MOST_WINDOW_S = 5.0
MOST_FRESH_WINDOW_S = 2.0
"""With servers that were just started: more of them tell more than longer windows of each."""
RESTART_S = 1.0
"""Of a stack that is killed and started anew."""


def add_options(
    parser: argparse.ArgumentParser,
    name: str,
    budget_s: float = BUDGET_S,
    result: str = "run.json",
    rule: StoppingRule = DEFAULT_RULE,
) -> None:
    """How a run is carried out, whatever it times; `name` is what its directory is called after its time.

    `result` is what `--json` writes, `rule` how the rounds end.
    """
    add = parser.add_argument
    add("--duration", type=seconds, help="the least window of a trial (default: sized to the budget)")
    add("--warmup", type=seconds, default=WARMUP_S, help="the most that a trial warms up (default 2s)")
    known = f"until every ratio is known to {rule.half_width:.0%}%"
    add("--rounds", type=positive, help=f"exactly so many rounds (default: {known})")
    add(
        "--budget",
        type=seconds,
        default=budget_s,
        help="the most that the timing may take, without the servers' start and checks before it: 90s, 10m, 1h "
        f"(default {budget_s / 60:.0f}m)",
    )
    passes.add_options(parser)
    add("--shards", type=positive, default=1, metavar="K", help="processes of the generator, each on its own core")
    add("--seed", type=int, help="of the orders and arrivals (default: a new one, which the run keeps)")
    add("--name", default=name, help="what the run's directory is called after its time")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="where runs are kept (default: results/)")
    add("--json", type=Path, metavar="FILE", help=f"write {result} to this file too; - for standard output")
    add_option(parser)


def planned(options: argparse.Namespace, arms: list[Arm], fresh: bool = False) -> Plan:
    """The plan that `add_options` asks for; UserError for a budget that cannot hold it, and too few cores.

    `fresh`: each trial has a server that was just started.
    """
    if len(os.sched_getaffinity(0)) <= options.shards > 1:
        raise UserError(
            f"--shards {options.shards}: each needs a core beside the stack's, and there are "
            f"{len(os.sched_getaffinity(0))} in all; give fewer"
        )
    trials = (options.rounds or DEFAULT_RULE.start) + (options.explain is not False)  # of each arm
    overhead_s = passes.OVERHEAD_S + fresh * RESTART_S
    most_s = MOST_FRESH_WINDOW_S if fresh else MOST_WINDOW_S
    window_s = options.duration or window_for(options.budget, len(arms), overhead_s, trials, LEAST_WINDOW_S, most_s)
    return Plan(
        schema=SCHEMA,
        name=options.name,
        command=shlex.join([f"./scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        runtime=options.runtime,
        seed=options.seed if options.seed is not None else secrets.randbelow(2**31),
        warmup_s=options.warmup,
        window_s=window_s,
        rounds=options.rounds,
        budget_s=options.budget,
        arms=arms,
        inputs=digests(arms),
        shards=options.shards,
        fresh=fresh,
        explain=options.explain,
        profile=options.profile,
    )


def begin(options: argparse.Namespace, plan: Plan) -> RunDirectory:
    """A directory for a new run, with its plan in it."""
    directory = RunDirectory.create(plan.name, options.results)
    directory.write(PLAN_FILE, plan)
    return directory


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

    def carry_out(self, json: Path | None) -> int:
        """Time everything, and print and keep the report; the exit code.

        It is 1 when a stack failed; what the machine spoiled or lacks is said, and is no failure.
        """
        out = console()
        run = self.execute(out)
        told = msgspec.json.encode(run).decode()
        deliver((told if json == Path("-") else msgspec.json.format(told, indent=1)) + "\n", json)
        if any(arm.valid or any(reason.kind != "untimed" for reason in arm.reasons) for arm in run.arms):
            console(stderr=json == Path("-")).print(table(run))
            from stackmatrix.report.files import write_reports  # Altair takes most of a second to import

            write_reports(self.directory)
        name = self.directory.shown
        if run.ended_by == "interrupted":
            out.print(f"interrupted; what was measured is kept; go on: ./scripts/check-performance.py --resume {name}")
            return INTERRUPTED
        out.print(f"ended by {run.ended_by}; kept in {name}; open {name}/report.html")
        repeated = {arm.id for arm in self.plan.arms if arm.repeats}  # neither a tool's, nor shown failing
        faults = (reason for arm in run.arms if arm.id in repeated for reason in arm.reasons)
        return int(any(reason.kind not in NO_FAULT for reason in faults))

    def execute(self, out: Console) -> RunFile:
        """Time everything; whatever ends it, judge what there is, and keep that as run.json."""
        cells = cells_of(self.plan, self.catalog)
        self.environment |= {"seed": self.plan.seed, "window_s": self.plan.window_s}
        runtime = choose(self.plan.runtime, out.print)
        try:
            ended_by: str = self.time(runtime, cells, out)
        except KeyboardInterrupt:
            ended_by = "interrupted"
        finally:
            runtime.down()
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
        found = calibrate(share_cores(cpus, shards=self.plan.shards).generator, self.plan.shards)
        self.environment["generator"] = (
            f"{found.ceiling:.0f} requests/s at most, {found.cpu_us_per_request:.1f} µs of CPU for each"
        )
        bench = Bench(runtime, cpus, self.directory, self.plan.seed, self.plan.shards, found.ceiling)

        def time_arm(arm: Arm, number: int, attempt: int) -> Trial:
            cell = timed[arm.id]
            try:
                with runtime.service(cell.variant) as service, runtime.alone(service):
                    if self.plan.fresh:
                        runtime.restart(service)
                    return measure(bench, service, arm, cell.workload, self.timing(cell), number, attempt)
            except UserError as error:
                runtime.heal()
                return crashed(arm, number, attempt, error)

        self.directory.write("environment.json", self.environment)
        if self.plan.slo is not None:
            return levels.find(self.plan, parse(self.plan.slo), bench, list(timed.values()), out)
        together = self.plan.experiment is not None  # whose arms are variants of few stacks
        began = self.began if together else ready  # any other budget is that of the timing
        ends = inf if self.plan.budget_s is None else began + self.plan.budget_s
        rounds_s = None if ends == inf else ends - monotonic() - passes.reserve(self.plan, cells)
        rule = PRECISE_RULE if self.plan.fresh else DEFAULT_RULE
        policy = Policy(self.plan.seed, rule, rounds=self.plan.rounds, budget_s=rounds_s, together=together)
        watch = Watch(out, len(timed))
        run = Run([cell.arm for cell in timed.values()], policy, self.directory, time_arm, watch)
        out.print(f"{len(timed)} arms, windows of {self.plan.window_s:.1f} s; kept in {self.directory.shown}")
        with watch.shown():
            ended_by = run.execute()
        passes.AfterRounds(self.plan, self.directory, bench, list(timed.values()), ends, out).run()
        return ended_by

    def timing(self, cell: Cell) -> Timing:
        """The arm's own, or the plan's."""
        return cell.arm.timing or Timing(self.plan.warmup_s, self.plan.window_s)

    def admit(self, runtime: Runtime, cells: Sequence[Cell], out: Console) -> dict[str, Reason]:
        """Look at what runs; the variants that break the contract or are not what their manifest says, and why."""
        refused: dict[str, Reason] = {}
        variants = {cell.variant.label: cell.variant for cell in cells}
        out.print(f"holding {', '.join(variants)} against contract and manifest, a few seconds each", markup=False)
        for label, variant in variants.items():
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


@dataclass(frozen=True)
class Seen:
    """What is known of a run besides its trials."""

    ended_by: str
    environment: dict[str, Any]
    cpus: Sequence[int]
    """The machine's."""
    barred: Mapping[str, Reason] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)


def judge_run(plan: Plan, directory: RunDirectory, catalog: Catalog, seen: Seen) -> RunFile:
    """Judge a run by what is on disk, and keep that as run.json; UserError when records are missing."""
    pooled = partial(pooled_latency, directory)
    known = catalog, seen.cpus, pooled, seen.barred, plan.shards, directory.passes()
    judged = judge(plan.arms, directory.trials(), *known)
    run = RunFile(
        schema=SCHEMA,
        name=plan.name,
        command=plan.command,
        started=directory.started,
        ended_by=seen.ended_by,
        environment=seen.environment,
        arms=judged.arms,
        aa=judged.aa,
        answers=judged.answers,
        comparisons=judged.comparisons,
        identities=seen.identities,
        levels=levels.judged(plan, directory),
        experiment=examined(plan, directory, judged.arms, catalog, seen.cpus),
    )
    directory.write("run.json", run)
    return run


def waiting_users(cells: Iterable[Cell]) -> dict[Wait, int]:
    """The most users that will wait at once for each kind of thing; of arrivals nobody knows, so as many as can be."""
    found: dict[Wait, int] = {}
    for cell in cells:
        if cell.arm.overlaps and (waiting := cell.workload.waiting()):
            found[waiting.on] = max(found.get(waiting.on, 0), cell.arm.load.users or MANY)
    return found
