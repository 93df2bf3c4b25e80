"""From options to a plan and its directory, and from an executed plan to words, files and an exit code."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from stackmatrix.analysis.statistics import DEFAULT_RULE
from stackmatrix.cli.options import Execution
from stackmatrix.cli.progress import stage
from stackmatrix.cli.shell import INTERRUPTED, STDOUT, console, deliver
from stackmatrix.cli.subcommands import as_typed, typed_line
from stackmatrix.cli.values import DURATION
from stackmatrix.cli.watch import ConsoleWatcher
from stackmatrix.errors import UserError
from stackmatrix.measure.after_rounds import REPEATS, TRIAL_OVERHEAD_S
from stackmatrix.measure.rounds import window_for
from stackmatrix.measure.session import Session
from stackmatrix.results.directory import RESULTS, SCHEMA, RunDirectory
from stackmatrix.results.plan import PLAN_FILE, Arm, Plan, digests
from stackmatrix.runtime.limits import check_limits

if TYPE_CHECKING:
    from stackmatrix.catalog.catalog import Catalog
    from stackmatrix.results.run import Run


LEAST_WINDOW_S = 0.4
MOST_WINDOW_S = 5.0
# with servers that were just started: more of them tell more than longer windows of each
MOST_FRESH_WINDOW_S = 2.0
FRESH_START_S = 1.0  # to kill a stack and start it anew before each trial


def make_plan(
    execution: Execution, arms: list[Arm], name: str, fresh: bool = False, window_s: float | None = None
) -> Plan:
    """Make the plan that the options ask for; `fresh` starts a server for each trial. UserError if it cannot be."""
    check_bounds(execution)
    check_limits(execution.results or RESULTS, max(arm.load.users or 0 for arm in arms))
    rounds = execution.rounds or DEFAULT_RULE.start
    repeats, overhead_s, most_s = REPEATS, TRIAL_OVERHEAD_S, MOST_WINDOW_S
    if fresh:
        repeats, overhead_s, most_s = 1.0, TRIAL_OVERHEAD_S + FRESH_START_S, MOST_FRESH_WINDOW_S
    trials = repeats * rounds + (execution.explain is not False)  # of each arm
    sized_s = window_s or execution.duration
    return Plan(
        schema=SCHEMA,
        name=execution.name or name,
        command=typed_line(),
        runtime=execution.runtime,
        seed=execution.seed if execution.seed is not None else secrets.randbelow(2**31),
        warmup_s=execution.warmup,
        window_s=sized_s or window_for(execution.budget_s, len(arms), overhead_s, trials, LEAST_WINDOW_S, most_s),
        rounds=execution.rounds,
        budget_s=execution.budget_s,
        arms=arms,
        inputs=digests(arms),
        shards=execution.shards,
        fresh=fresh,
        explain=execution.explain,
        profile=execution.profile,
        sustained=execution.sustained,
    )


def check_bounds(execution: Execution) -> None:
    """Raise UserError for options that contradict each other, or ask for more than this machine has."""
    cores = len(os.sched_getaffinity(0))
    if cores <= execution.shards > 1:
        raise UserError(
            f"--shards {execution.shards}: each needs a core beside the stack's, and there are {cores}; give fewer"
        )
    if execution.duration is not None and execution.rounds is None and execution.duration > execution.budget_s:
        raise UserError(
            f"--duration {DURATION.written(execution.duration)} does not fit --budget "
            f"{DURATION.written(execution.budget_s)}: a budget must hold at least one window of every arm"
        )


def new_run(execution: Execution, plan: Plan) -> RunDirectory:
    directory = RunDirectory.create(plan.name, execution.results or RESULTS)
    directory.write(PLAN_FILE, plan)
    return directory


def execute(plan: Plan, directory: RunDirectory, catalog: "Catalog", json: Path | None) -> int:
    """Time everything, print the matrix, write the reports; return the exit code."""
    from stackmatrix.report.terminal import run_table

    with ConsoleWatcher(console()) as watcher:
        run = Session(plan, directory, catalog, watcher).execute()
    text = msgspec.json.encode(run).decode()
    deliver((text if json == STDOUT else msgspec.json.format(text, indent=1)) + "\n", json)
    if any(arm.valid or any(reason.kind != "untimed" for reason in arm.reasons) for arm in run.arms):
        console(stderr=json == STDOUT).print(run_table(run))
        write_reports_of(directory)
    return tell_end(run, directory, plan.arms)


def write_reports_of(directory: RunDirectory) -> None:
    with stage(console(), f"writing {directory.shown}/report.html"):
        from stackmatrix.report.files import write_reports  # Altair takes most of a second to import

        write_reports(directory)


def tell_end(run: "Run", directory: RunDirectory, arms: Sequence[Arm]) -> int:
    """Say where the run is kept; return 1 when a cell that should have a number is void."""
    out, name = console(), directory.shown
    if run.ended_by == "interrupted":
        timed = any(directory.trials())
        kept = (
            f"what was measured is kept; go on: {as_typed('run')} --resume {name}" if timed else "nothing was timed yet"
        )
        out.print(f"interrupted; {kept}")
        return INTERRUPTED
    out.print(f"ended by {run.ended_by}; kept in {name}; open {name}/report.html")
    repeated = {arm.id for arm in arms if arm.repeats}  # neither a tool's, nor shown failing
    return int(any(not arm.valid for arm in run.arms if arm.id in repeated))
