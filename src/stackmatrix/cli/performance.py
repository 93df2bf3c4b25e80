"""`check-performance.py`: time stacks under workloads, all in the same way, and print the matrix."""

import argparse
from dataclasses import replace
from pathlib import Path

from stackmatrix.analysis.slo.level import parse
from stackmatrix.analysis.statistics import LEAST_ROUNDS
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import load_stacks, parse_variant
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.cli import experiment
from stackmatrix.cli.options import pair, several_rates, several_users
from stackmatrix.cli.session import add_options, begin, planned
from stackmatrix.cli.shell import command, console
from stackmatrix.errors import UserError, pick
from stackmatrix.load.tools.run import OTHER_GENERATORS
from stackmatrix.measure.session import Session
from stackmatrix.measure.slo import WINDOW_S
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, Load, Plan, arms_of, resume

USERS = 64
EPILOG = """
examples:
  ./scripts/check-performance.py                                     the whole matrix: ten minutes of timing
  ./scripts/check-performance.py --stack fastapi-sync --stack 'fastapi-sync[threads=100]' --workload http
  ./scripts/check-performance.py --workload http --param ms=1000 --users 500 --duration 10 --rounds 1
  ./scripts/check-performance.py --workload json-small --users 1,8,32,128
  ./scripts/check-performance.py --workload notes-read --users 64 --rate 500 --arrivals poisson
  ./scripts/check-performance.py --workload http --slo 'p99<200ms' --budget 20m
  ./scripts/check-performance.py --experiment workers-threads        a published comparison; --list names them all
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
    add_work(parser)
    add(
        "--slo",
        type=parse,
        metavar="LEVEL",
        help="look for the largest rate of Poisson arrivals that keeps a service level such as 'p99<200ms'",
    )
    add("--resume", type=Path, metavar="RUN", help="go on with a run that was stopped; it keeps its own options")
    add_options(parser, "performance")
    experiment.add_options(parser)
    options = parser.parse_args()
    experiment.check(parser, options)
    if options.slo is not None and (options.explain or options.profile):
        parser.error("--slo has no rounds after which anything is looked at: leave out --explain and --profile")
    return options


def add_work(parser: argparse.ArgumentParser, workloads: str = "all") -> None:
    """What is asked of the stacks, and how; `workloads` are those that are asked for by default."""
    add = parser.add_argument
    add("--workload", action="append", metavar="NAME", help=f"a workload; repeat for more (default: {workloads})")
    add(
        "--param",
        action="append",
        type=pair,
        default=[],
        metavar="K=V",
        help="change a parameter of the workloads that have it",
    )
    add(
        "--users",
        type=several_users,
        metavar="N[,N…]",
        help=f"closed loop: so many users without think time; several make a load curve (default {USERS})",
    )
    add(
        "--rate",
        type=several_rates,
        metavar="R[,R…]",
        help="open loop: so many arrivals a second, whatever the answers do; beside --users, both are timed",
    )
    add("--arrivals", choices=("poisson", "constant"), default="poisson", help="of an open loop (default poisson)")
    add(
        "--generator",
        choices=sorted(OTHER_GENERATORS),
        metavar="TOOL",
        help=f"offer the load with {', '.join(OTHER_GENERATORS)} instead: a second opinion "
        "(default: the project's own generator)",
    )


def performance(options: argparse.Namespace) -> int:
    """The whole job: plan, servers, contract's shape, rounds, judgement, table."""
    catalog = Catalog(load_stacks(), load_workloads())
    if options.list:
        console(stderr=False).print(experiment.listing(catalog, options.full))
        return 0
    if options.resume is not None:
        directory = RunDirectory.open(options.resume)
        plan = resume(directory)
    else:
        plan = plan_of(options, catalog)
        directory = begin(options, plan)
    return Session(plan, directory, catalog).carry_out(options.json)


def plan_of(options: argparse.Namespace, catalog: Catalog) -> Plan:
    """What is to be done; UserError for what cannot be."""
    if options.experiment:
        return experiment.plan_of(options, catalog)
    plan = planned(options, arms(options, catalog))
    if options.slo is None:
        return plan
    return replace(plan, slo=str(options.slo), window_s=options.duration or WINDOW_S)


def arms(options: argparse.Namespace, catalog: Catalog) -> list[Arm]:
    """What the options ask for; UserError for names that do not exist."""
    names = options.stack or [stack.name for stack in load_stacks().every(console().print)]
    variants = [parse_variant(text, catalog.stacks) for text in names]
    workloads = [pick("workload", name, catalog.workloads) for name in options.workload or catalog.workloads]
    # Without an interval a second copy of an arm would tell nothing.
    twice = (options.rounds is None or options.rounds >= LEAST_ROUNDS) and options.slo is None
    return arms_of(variants, workloads, dict(options.param), loads(options), twice)


def loads(options: argparse.Namespace) -> list[Load]:
    """How requests are offered, closed loops first; UserError for what does not go together."""
    users, rates = options.users or ([] if options.rate else [USERS]), options.rate or []
    if options.slo is not None and (rates or len(users) > 1 or options.generator is not None):
        raise UserError("--slo finds the rate itself, and begins near the goodput of one closed loop: give one --users")
    if options.generator is not None and rates:
        raise UserError(f"--generator {options.generator} offers no rate of arrivals, only users: give --users")
    return [
        *(Load("closed", users=number, tool=options.generator) for number in users),
        *(Load("open", rate=rate, arrivals=options.arrivals) for rate in rates),
    ]
