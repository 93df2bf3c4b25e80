"""One carrying out of a plan: servers up, admission, rounds, judgement, report; for every command that times."""

import argparse
import os
import secrets
import shlex
import sys
from pathlib import Path

from stackmatrix.analysis.statistics import DEFAULT_RULE, StoppingRule
from stackmatrix.cli import passes
from stackmatrix.cli.options import positive, seconds
from stackmatrix.errors import UserError
from stackmatrix.measure import after_rounds
from stackmatrix.measure.rounds import window_for
from stackmatrix.results.directory import RESULTS, SCHEMA, RunDirectory
from stackmatrix.results.plan import FILE as PLAN_FILE
from stackmatrix.results.plan import Arm, Plan, digests
from stackmatrix.runtime.select import add_option

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
    overhead_s = after_rounds.OVERHEAD_S + fresh * RESTART_S
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
