"""`check-performance.py`: time stacks under workloads, all in the same way, and print the matrix."""

import argparse
import os
import secrets
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
from rich.console import Console

from stackmatrix.analysis.judge import Catalog, judge
from stackmatrix.analysis.statistics import StoppingRule
from stackmatrix.catalog.fields import pick
from stackmatrix.catalog.stacks import Variant, load_stacks, parse_variant
from stackmatrix.catalog.workloads import Workload, load_workloads
from stackmatrix.cli.options import pair, positive, seconds
from stackmatrix.cli.shell import INTERRUPTED, command, console
from stackmatrix.cli.watch import Watch
from stackmatrix.contract.answers import shape
from stackmatrix.errors import UserError
from stackmatrix.meter import machine
from stackmatrix.report.terminal import table
from stackmatrix.results import SCHEMA, Arm, Load, Reason, RunDirectory, Trial, writing
from stackmatrix.results import Run as RunFile
from stackmatrix.run import Policy, Run, window_for
from stackmatrix.runtime.base import Runtime, share_cores
from stackmatrix.runtime.select import add_option, choose
from stackmatrix.trial import Bench, Timing, measure, pooled_latency

USERS = 64
BUDGET_S = 600.0
WARMUP_S = 2.0
LEAST_WINDOW_S = 0.5
MOST_WINDOW_S = 5.0
OVERHEAD_S = 1.6
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
    add("--rounds", type=positive, help="exactly so many rounds (default: until every ratio is known to 5 %%)")
    add("--budget", type=seconds, default=BUDGET_S, help="the most that the run may take: 90s, 10m, 1h (default 10m)")
    add("--seed", type=int, help="of the orders and arrivals (default: a new one, which the run keeps)")
    add("--name", default="performance", help="what the run's directory is called after its time")
    add("--json", type=Path, metavar="FILE", help="write run.json to this file too; - for standard output")
    add_option(parser)
    return parser.parse_args()


def performance(options: argparse.Namespace) -> int:
    """The whole job: arms, servers, contract's shape, rounds, judgement, table."""
    out = console()
    catalog = Catalog(load_stacks(), load_workloads())
    variants = [parse_variant(text, catalog.stacks) for text in options.stack or catalog.stacks]
    workloads = [pick("workload", name, catalog.workloads) for name in options.workload or catalog.workloads]
    cells = plan_cells(variants, workloads, dict(options.param), Load("closed", users=options.users))
    timing = Timing(WARMUP_S, window_s(options, len(cells)))
    seed = options.seed if options.seed is not None else secrets.randbelow(2**31)
    directory = RunDirectory.create(options.name)
    file = RunFile(
        schema=SCHEMA,
        name=options.name,
        command=shlex.join(["./scripts/check-performance.py", *sys.argv[1:]]),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        ended_by="interrupted",
        environment={**machine.describe(), "seed": seed, "window_s": timing.window_s},
        arms=[],
    )
    barred: dict[str, Reason] = {}
    runtime = choose(options.runtime, out.print)
    try:
        runtime.up({variant.stack.name: variant.stack for variant in variants}.values())
        file = replace(file, environment={**file.environment, **runtime.environment()})
        directory.write("environment.json", file.environment)
        runtime.reset_notes()
        broken = broken_contracts(runtime, variants, out)
        barred = {cell.arm.id: broken[cell.variant.label] for cell in cells if cell.variant.label in broken}
        timed = [cell for cell in cells if cell.arm.id not in barred]
        bench = Bench(runtime, tuple(sorted(os.sched_getaffinity(0))), directory, seed)
        by_id = {cell.arm.id: cell for cell in timed}

        def time_arm(arm: Arm, number: int, attempt: int) -> Trial:
            cell = by_id[arm.id]
            with runtime.service(cell.variant) as service, runtime.alone(service):
                return measure(bench, service, arm, cell.workload, timing, number, attempt)

        watch = Watch(out, len(timed))
        policy = Policy(seed, rounds=options.rounds, budget_s=options.budget)
        run = Run([cell.arm for cell in timed], policy, directory, time_arm, watch)
        out.print(f"{len(timed)} arms, windows of {timing.window_s:.1f} s; kept in results/{directory.path.name}")
        if timed:
            with watch.shown():
                file = replace(file, ended_by=run.execute())
    except KeyboardInterrupt:
        out.print("interrupted: what was measured is kept and shown")
        return finish(options, directory, file, cells, catalog, barred, INTERRUPTED)
    finally:
        runtime.down()
    return finish(options, directory, file, cells, catalog, barred, 0)


@dataclass(frozen=True)
class Cell:
    """An arm with what its names stand for."""

    arm: Arm
    variant: Variant
    workload: Workload


def plan_cells(
    variants: Sequence[Variant], workloads: Sequence[Workload], params: Mapping[str, str], load: Load
) -> list[Cell]:
    """Every variant under every workload, and a second copy of the first arm to see the noise by."""
    used: set[str] = set()
    cells: list[Cell] = []
    for workload in workloads:
        mine = {key: value for key, value in params.items() if key in workload.params}
        used.update(mine)
        changed = workload.with_params(mine)
        inner = ",".join(f"{key}={value}" for key, value in changed.params.items() if workload.params[key] != value)
        name = f"{workload.name}[{inner}]" if inner else workload.name
        for variant in variants:
            arm = Arm(
                id=f"{variant.label}/{name}/{load.label}",
                stack=variant.stack.name,
                variant=dict(variant.changed),
                workload=workload.name,
                params=dict(changed.params),
                load=load,
            )
            cells.append(Cell(arm, variant, changed))
    for key in params.keys() - used:
        known = sorted({key for workload in workloads for key in workload.params})
        raise UserError(f"--param {key}: none of the workloads has it; they have {', '.join(known) or 'none'}")
    first = cells[0]
    return [*cells, replace(first, arm=replace(first.arm, id=f"{first.arm.id} again", twin_of=first.arm.id))]


def window_s(options: argparse.Namespace, arms: int) -> float:
    """The window of every trial: what was asked for, or what the budget allows."""
    rounds = options.rounds or StoppingRule().start
    if options.duration is not None:
        return float(options.duration)
    return window_for(options.budget, arms, OVERHEAD_S, rounds, LEAST_WINDOW_S, MOST_WINDOW_S)


def broken_contracts(runtime: Runtime, variants: Sequence[Variant], out: Console) -> dict[str, Reason]:
    """The variants that do not answer as the contract says, each with its first difference; they are not timed."""
    broken: dict[str, Reason] = {}
    for variant in variants:
        with runtime.service(variant) as service:
            difference = next(iter(shape(service)), None)
        if difference is not None:
            broken[variant.label] = Reason("contract", f"another answer than the contract's to {difference.asked}")
            out.print(f"{variant.label} is not timed: it breaks the contract:\n{difference}", markup=False)
    return broken


def finish(
    options: argparse.Namespace,
    directory: RunDirectory,
    file: RunFile,
    cells: Sequence[Cell],
    catalog: Catalog,
    barred: Mapping[str, Reason],
    code: int,
) -> int:
    """Judge what is on disk, keep and print it; 1 when any arm is without a valid number."""
    trials = list(directory.trials())
    cores = len(share_cores(tuple(os.sched_getaffinity(0))).stack)
    judged = judge([cell.arm for cell in cells], trials, catalog, cores, partial(pooled_latency, directory), barred)
    file = replace(file, arms=judged.arms, aa=judged.aa)
    directory.write("run.json", file)
    if options.json == Path("-"):
        sys.stdout.buffer.write(msgspec.json.encode(file) + b"\n")
    elif options.json is not None:
        with writing(options.json):
            options.json.write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n")
    console(stderr=options.json == Path("-")).print(table(file))
    console().print(f"ended by {file.ended_by}; kept in results/{directory.path.name}")
    return code or int(any(not arm.valid for arm in judged.arms))
