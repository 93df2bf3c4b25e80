"""`check-performance.py`: time stacks under workloads, all in the same way, and print the matrix."""

import argparse
import os
import secrets
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from stackmatrix.admission import admit
from stackmatrix.analysis.judge import Catalog, judge, stated_wait
from stackmatrix.analysis.statistics import StoppingRule
from stackmatrix.catalog.fields import pick
from stackmatrix.catalog.stacks import Wait, load_stacks, parse_variant
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.cli.options import pair, positive, seconds
from stackmatrix.cli.shell import INTERRUPTED, command, console
from stackmatrix.cli.watch import Watch
from stackmatrix.contract.overlap import MANY
from stackmatrix.errors import UserError
from stackmatrix.meter import machine
from stackmatrix.plan import FILE as PLAN_FILE
from stackmatrix.plan import Cell, Plan, arms_of, cells_of, digests, resume
from stackmatrix.report.terminal import table
from stackmatrix.results import RESULTS, SCHEMA, Arm, Identity, Load, Reason, RunDirectory, Trial, writing
from stackmatrix.results import Run as RunFile
from stackmatrix.run import Policy, Run, window_for
from stackmatrix.runtime.base import Runtime
from stackmatrix.runtime.select import add_option, choose
from stackmatrix.trial import Bench, Timing, crashed, measure, pooled_latency

USERS = 64
LEAST_ANSWERS = 8
"""That a window should hold: for an arm whose slots and wait allow fewer it is lengthened."""
WHOLE_RESPONSE_S = 1.0
"""A response time of up to so long should fit into the window too."""
BUDGET_S = 600.0
WARMUP_S = 2.0
LEAST_ROUNDS = 6
"""Below them no interval exists, and a second copy of an arm would tell nothing."""
LEAST_WINDOW_S = 0.5
MOST_WINDOW_S = 5.0
OVERHEAD_S = 1.4
"""Of a trial besides its window: warm-up, drain, counting, switching stacks; measured on two cores."""
EPILOG = """
examples:
  ./scripts/check-performance.py                                     the whole matrix, within ten minutes
  ./scripts/check-performance.py --stack fastapi-sync --stack 'fastapi-sync[threads=100]' --workload http
  ./scripts/check-performance.py --workload http --param ms=1000 --users 500 --duration 10 --rounds 1
"""


def main() -> None:
    """Parse the arguments, run, print."""
    command(lambda: performance(arguments()))


def arguments() -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(
        prog="check-performance.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--stack",
        action="append",
        metavar="NAME[VARIANT]",
        help="a stack, or a variant of it; repeat for more (default: all)",
    )
    add("--workload", action="append", metavar="NAME", help="a workload; repeat for more (default: all)")
    add(
        "--param",
        action="append",
        type=pair,
        default=[],
        metavar="K=V",
        help="change a parameter of the workloads that have it",
    )
    add(
        "--users", type=positive, default=USERS, help=f"closed loop: so many users without think time (default {USERS})"
    )
    add("--duration", type=seconds, help="the window of a trial (default: sized to the budget)")
    add("--warmup", type=seconds, default=WARMUP_S, help="the most that a trial warms up (default 2s)")
    add("--rounds", type=positive, help="exactly so many rounds (default: until every ratio is known to 5 %%)")
    add("--budget", type=seconds, default=BUDGET_S, help="the most that the run may take: 90s, 10m, 1h (default 10m)")
    add("--seed", type=int, help="of the orders and arrivals (default: a new one, which the run keeps)")
    add("--resume", type=Path, metavar="RUN", help="go on with a run that was stopped; it keeps its own options")
    add("--name", default="performance", help="what the run's directory is called after its time")
    add("--results", type=Path, default=RESULTS, metavar="DIR", help="where runs are kept (default: results/)")
    add("--json", type=Path, metavar="FILE", help="write run.json to this file too; - for standard output")
    add_option(parser)
    return parser.parse_args()


def performance(options: argparse.Namespace) -> int:
    """The whole job: plan, servers, contract's shape, rounds, judgement, table."""
    catalog = Catalog(load_stacks(), load_workloads())
    if options.resume is None:
        plan = new_plan(options, catalog)
        directory = RunDirectory.create(plan.name, options.results)
        directory.write(PLAN_FILE, plan)
    else:
        directory = RunDirectory.open(options.resume)
        plan = resume(directory)
    session = Session(plan, directory, catalog, options.json)
    return session.carry_out()


def new_plan(options: argparse.Namespace, catalog: Catalog) -> Plan:
    """What the options ask for; UserError for names that do not exist and a budget that cannot hold it."""
    variants = [parse_variant(text, catalog.stacks) for text in options.stack or catalog.stacks]
    workloads = [pick("workload", name, catalog.workloads) for name in options.workload or catalog.workloads]
    twice = options.rounds is None or options.rounds >= LEAST_ROUNDS
    arms = arms_of(variants, workloads, dict(options.param), [Load("closed", users=options.users)], twice)
    return Plan(
        schema=SCHEMA,
        name=options.name,
        command=shlex.join(["./scripts/check-performance.py", *sys.argv[1:]]),
        runtime=options.runtime,
        seed=options.seed if options.seed is not None else secrets.randbelow(2**31),
        warmup_s=options.warmup,
        window_s=window_s(options, len(arms)),
        rounds=options.rounds,
        budget_s=options.budget,
        arms=arms,
        inputs=digests(arms),
    )


@dataclass
class Session:
    """One carrying out of a plan, from servers up to servers down."""

    plan: Plan
    directory: RunDirectory
    catalog: Catalog
    json: Path | None
    barred: dict[str, Reason] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=machine.describe)
    identities: dict[str, Identity] = field(default_factory=dict)

    def carry_out(self) -> int:
        """Time everything, whatever ends it judge what there is, and print it; the exit code."""
        out = console()
        cells = cells_of(self.plan, self.catalog)
        self.environment |= {"seed": self.plan.seed, "window_s": self.plan.window_s}
        runtime = choose(self.plan.runtime, out.print)
        try:
            ended_by: str = self.time(runtime, cells, out)
        except KeyboardInterrupt:
            ended_by = "interrupted"
        finally:
            runtime.down()
        run = self.judge(ended_by)
        if self.json == Path("-"):
            sys.stdout.buffer.write(msgspec.json.encode(run) + b"\n")
        elif self.json is not None:
            with writing(self.json):
                self.json.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
        if any(reason.kind != "untimed" for arm in run.arms for reason in arm.reasons) or any(
            arm.valid for arm in run.arms
        ):
            console(stderr=self.json == Path("-")).print(table(run))
            from stackmatrix.report.files import write_reports  # Altair takes most of a second to import

            write_reports(self.directory)
        name = self.directory.shown
        if ended_by == "interrupted":
            out.print(f"interrupted; what was measured is kept; go on: ./scripts/check-performance.py --resume {name}")
            return INTERRUPTED
        out.print(f"ended by {ended_by}; kept in {name}; open {name}/report.html")
        return int(any(not arm.valid for arm in run.arms))

    def time(self, runtime: Runtime, cells: Sequence[Cell], out: Console) -> str:
        """Bring everything up and run the rounds; what ended them."""
        variants = {cell.variant.label: cell.variant for cell in cells}
        runtime.up({variant.stack.name: variant.stack for variant in variants.values()}.values())
        self.environment |= runtime.environment()
        self.directory.write("environment.json", self.environment)
        runtime.reset_notes()
        refused = self.admit(runtime, cells, out)
        self.barred = {cell.arm.id: refused[cell.variant.label] for cell in cells if cell.variant.label in refused}
        timed = {cell.arm.id: cell for cell in cells if cell.arm.id not in self.barred}
        if not timed:
            return "contract"
        bench = Bench(runtime, tuple(sorted(os.sched_getaffinity(0))), self.directory, self.plan.seed)

        def time_arm(arm: Arm, number: int, attempt: int) -> Trial:
            cell = timed[arm.id]
            try:
                with runtime.service(cell.variant) as service, runtime.alone(service):
                    return measure(bench, service, arm, cell.workload, self.timing(cell), number, attempt)
            except UserError as error:
                runtime.heal()
                return crashed(arm, number, attempt, error)

        policy = Policy(self.plan.seed, rounds=self.plan.rounds, budget_s=self.plan.budget_s)
        watch = Watch(out, len(timed))
        run = Run([cell.arm for cell in timed.values()], policy, self.directory, time_arm, watch)
        out.print(f"{len(timed)} arms, windows of {self.plan.window_s:.1f} s; kept in {self.directory.shown}")
        with watch.shown():
            return run.execute()

    def timing(self, cell: Cell) -> Timing:
        """The plan's timing; a window too short for what slots and wait allow is lengthened."""
        waiting = cell.workload.waiting()
        wait_s = stated_wait(cell.variant, waiting)
        slots = cell.variant.slots(waiting.on) if waiting else None
        each = wait_s / slots if wait_s and slots else 0.0
        least = max(LEAST_ANSWERS * each, min((cell.arm.load.users or 0) * each, WHOLE_RESPONSE_S))
        return Timing(self.plan.warmup_s, max(self.plan.window_s, least))

    def admit(self, runtime: Runtime, cells: Sequence[Cell], out: Console) -> dict[str, Reason]:
        """Look at what runs; the variants that break the contract or are not what their manifest says, and why."""
        refused: dict[str, Reason] = {}
        variants = {cell.variant.label: cell.variant for cell in cells}
        out.print(f"holding {', '.join(variants)} against contract and manifest, a few seconds each", markup=False)
        for label, variant in variants.items():
            with runtime.service(variant) as service:
                seen = admit(runtime, service, waiting_users(cell for cell in cells if cell.variant.label == label))
            if seen.identity is not None:
                self.identities[label] = seen.identity
            if seen.reason is not None:
                refused[label] = seen.reason
                out.print(f"{label} is not timed: {seen.words}", markup=False)
        return refused

    def judge(self, ended_by: str) -> RunFile:
        """What the trials on disk say; kept as run.json."""
        cpus = sorted(os.sched_getaffinity(0))
        pooled = partial(pooled_latency, self.directory)
        judged = judge(self.plan.arms, self.directory.trials(), self.catalog, cpus, pooled, self.barred)
        run = RunFile(
            schema=SCHEMA,
            name=self.plan.name,
            command=self.plan.command,
            started=self.directory.started,
            ended_by=ended_by,
            environment=self.environment,
            arms=judged.arms,
            aa=judged.aa,
            answers=judged.answers,
            comparisons=judged.comparisons,
            identities=self.identities,
        )
        self.directory.write("run.json", run)
        return run


def window_s(options: argparse.Namespace, arms: int) -> float:
    """The window of every trial: what was asked for, or what the budget allows."""
    rounds = options.rounds or StoppingRule().start
    if options.duration is not None:
        return float(options.duration)
    return window_for(options.budget, arms, OVERHEAD_S, rounds, LEAST_WINDOW_S, MOST_WINDOW_S)


def waiting_users(cells: Iterable[Cell]) -> dict[Wait, int]:
    """The most users that will wait at once for each kind of thing; of arrivals nobody knows, so as many as can be."""
    found: dict[Wait, int] = {}
    for cell in cells:
        if waiting := cell.workload.waiting():
            found[waiting.on] = max(found.get(waiting.on, 0), cell.arm.load.users or MANY)
    return found
