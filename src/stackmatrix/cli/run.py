"""`stackmatrix run`: time stacks under workloads, all in the same way, and print the matrix."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from stackmatrix.cli.options import EXECUTION, STACK, WORK, Execution, Work, names_of, option
from stackmatrix.cli.shell import console, try_outputs
from stackmatrix.errors import UserError, pick

if TYPE_CHECKING:
    from stackmatrix.catalog.catalog import Catalog
    from stackmatrix.results.plan import Arm, Plan

TIMED = Group("What is timed", sort_key=1)
EXPERIMENTS = Group("Experiments: a published comparison, reproduced and explained", sort_key=3)


def service_level(text: str) -> str:
    """Read a service level, and write it in the one way."""
    from stackmatrix.analysis.slo.level import parse

    return str(parse(text))


def time_matrix(
    *,
    stack: Annotated[tuple[str, ...], STACK, Parameter(group=TIMED)] = (),
    work: Work = WORK,
    slo: Annotated[
        str | None,
        option(
            service_level,
            "LEVEL",
            "find the largest rate of Poisson arrivals that keeps a service level such as 'p99<200ms'",
        ),
        Parameter(group=TIMED),
    ] = None,
    resume: Annotated[
        Path | None,
        option(Path, "RUN", "go on with a run that was stopped; it keeps its own options"),
        Parameter(group=TIMED),
    ] = None,
    execution: Execution = EXECUTION,
    experiment: Annotated[
        str | None,
        Parameter(
            group=EXPERIMENTS,
            metavar="NAME",
            help="reproduce experiments/NAME.toml, which says arms and load",
            completer=names_of("experiment"),
        ),
    ] = None,
    full: Annotated[
        bool,
        Parameter(group=EXPERIMENTS, help="as long as it was published, instead of shortened"),
    ] = False,
    list: Annotated[
        bool,
        Parameter(group=EXPERIMENTS, help="list the experiments, and how long each takes"),
    ] = False,
) -> int:
    """Time a matrix, an experiment, or what is left of a stopped run; the exit code."""
    from stackmatrix.cli import experiment as experiments

    if list:
        return experiments.list_all(full)
    if experiment is not None:
        refuse_beside_experiment(stack, work, slo, resume, execution)
        return experiments.reproduce(experiment, full=full, execution=execution)
    if full:
        raise UserError("--full goes with --experiment NAME")
    try_outputs(json=execution.json)
    return time_arms(stack, work, slo, resume, execution)


def time_arms(stack: tuple[str, ...], work: Work, slo: str | None, resume: Path | None, execution: Execution) -> int:
    """Plan, execute, print."""
    from stackmatrix.catalog.catalog import Catalog
    from stackmatrix.catalog.stacks import load_stacks
    from stackmatrix.catalog.workloads import load_workloads
    from stackmatrix.cli.execution import execute, new_run
    from stackmatrix.results.directory import RunDirectory
    from stackmatrix.results.plan import resume as resumed

    catalog = Catalog(load_stacks(), load_workloads())
    if resume is not None:
        directory = RunDirectory.open(resume)
        plan = resumed(directory)
    else:
        plan = matrix_plan(stack, work, slo, execution, catalog)
        directory = new_run(execution, plan)
    return execute(plan, directory, catalog, execution.json)


def matrix_plan(
    stack: tuple[str, ...], work: Work, slo: str | None, execution: Execution, catalog: "Catalog"
) -> "Plan":
    """What is to be timed; UserError for what cannot be."""
    from stackmatrix.cli.execution import plan_of
    from stackmatrix.measure.slo import WINDOW_S

    if slo is None:
        return plan_of(execution, matrix_arms(stack, work, execution, catalog), "performance")
    if work.rate or len(work.users) > 1 or work.generator is not None:
        raise UserError("--slo finds the rate itself, and begins near the goodput of one closed loop: give one --users")
    if execution.explain or execution.profile:
        raise UserError("--slo has no rounds after which anything is looked at: leave out --explain and --profile")
    arms = matrix_arms(stack, work, execution, catalog, twice=False)
    plan = plan_of(execution, arms, "performance", window_s=execution.duration or WINDOW_S)
    return replace(plan, slo=slo)


def matrix_arms(
    stack: tuple[str, ...], work: Work, execution: Execution, catalog: "Catalog", twice: bool = True
) -> "list[Arm]":
    """Every stack under every workload and load; UserError for names that do not exist."""
    from stackmatrix.analysis.statistics import LEAST_ROUNDS
    from stackmatrix.catalog.stacks import load_stacks, parse_variant
    from stackmatrix.results.plan import arms_of

    names = stack or [stack.name for stack in load_stacks().every(console().print)]
    variants = [parse_variant(text, catalog.stacks) for text in names]
    workloads = [pick("workload", name, catalog.workloads) for name in work.workload or catalog.workloads]
    # Without an interval a second copy of an arm would tell nothing.
    twice = twice and (execution.rounds is None or execution.rounds >= LEAST_ROUNDS)
    return arms_of(variants, workloads, work.params, work.loads(), twice)


def refuse_beside_experiment(
    stack: tuple[str, ...], work: Work, slo: str | None, resume: Path | None, execution: Execution
) -> None:
    """UserError for options that say what an experiment says itself."""
    given = ["--stack"] if stack else []
    given += [f"--{field.name}" for field in fields(work) if getattr(work, field.name) != field.default]
    given += [f"--{name}" for name in ("duration", "warmup") if getattr(execution, name) != getattr(EXECUTION, name)]
    given += ["--slo"] if slo else []
    given += ["--resume"] if resume else []
    if given:
        raise UserError(f"--experiment says arms and load itself: leave out {', '.join(given)}")
