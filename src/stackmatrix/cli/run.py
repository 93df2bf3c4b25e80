"""`stackmatrix run`: time stacks under workloads, all in the same way, and print the matrix."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from stackmatrix.cli.options import EXECUTION, STACK_OPTION, WORK, Execution, Work, names_of, option
from stackmatrix.cli.shell import console, try_outputs
from stackmatrix.errors import UserError, pick

if TYPE_CHECKING:
    from stackmatrix.catalog.catalog import Catalog
    from stackmatrix.results.plan import Arm

TIMED = Group("What is timed")
EXPERIMENTS = Group("A published comparison, reproduced and explained")


def level_as_written(text: str) -> str:
    from stackmatrix.analysis.slo.level import parse_level

    return str(parse_level(text))


def time_matrix(
    *,
    stack: Annotated[tuple[str, ...], STACK_OPTION, Parameter(group=TIMED)] = (),
    work: Work = WORK,
    slo: Annotated[
        str | None,
        option(
            level_as_written,
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
        bool, Parameter(group=EXPERIMENTS, help="as long as it was published, instead of shortened")
    ] = False,
    list: Annotated[bool, Parameter(group=EXPERIMENTS, help="list the experiments, and how long each takes")] = False,
) -> int:
    """Time a matrix, an experiment, or what is left of a stopped run; return the exit code."""
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
    """Plan, execute and print; return the exit code. Names are checked before what takes long to import."""
    from stackmatrix.analysis.statistics import LEAST_ROUNDS
    from stackmatrix.catalog.catalog import Catalog
    from stackmatrix.results.directory import RunDirectory
    from stackmatrix.results.plan import resume as plan_to_resume

    catalog = Catalog.of_checkout()
    if resume is not None:
        directory = RunDirectory.open(resume)
        plan = plan_to_resume(directory)

        from stackmatrix.cli.execution import execute

        return execute(plan, directory, catalog, execution.json)
    if slo is not None:
        refuse_beside_slo(work, execution)
    has_interval = execution.rounds is None or execution.rounds >= LEAST_ROUNDS  # without one a twin is of no use
    arms = matrix_arms(stack, work, catalog, twice=slo is None and has_interval)

    from stackmatrix.cli.execution import execute, make_plan, new_run
    from stackmatrix.measure.slo import LEAST_PROBE_S

    if slo is None:
        plan = make_plan(execution, arms, "performance")
    else:
        plan = replace(make_plan(execution, arms, "performance", window_s=execution.duration or LEAST_PROBE_S), slo=slo)
    return execute(plan, new_run(execution, plan), catalog, execution.json)


def matrix_arms(stack: tuple[str, ...], work: Work, catalog: "Catalog", twice: bool) -> "list[Arm]":
    """Combine every stack with every workload and load; UserError for names that do not exist."""
    from stackmatrix.catalog.stacks import load_stacks, parse_variant
    from stackmatrix.results.plan import arms_of

    names = stack or [stack.name for stack in load_stacks().every(console().print)]
    variants = [parse_variant(text, catalog.stacks) for text in names]
    workloads = [pick("workload", name, catalog.workloads) for name in work.workload or catalog.workloads]
    return arms_of(variants, workloads, work.params, work.loads(), twice)


def refuse_beside_slo(work: Work, execution: Execution) -> None:
    """Raise UserError for options that do not go with a search for the largest rate."""
    if work.rate or len(work.users) > 1 or work.generator is not None:
        raise UserError("--slo finds the rate itself, and begins near the goodput of one closed loop: give one --users")
    if execution.explain or execution.profile:
        raise UserError("--slo has no rounds after which anything is looked at: leave out --explain and --profile")


def refuse_beside_experiment(
    stack: tuple[str, ...], work: Work, slo: str | None, resume: Path | None, execution: Execution
) -> None:
    """Raise UserError for options that an experiment sets itself."""
    given = ["--stack"] if stack else []
    given += [f"--{field.name}" for field in fields(work) if getattr(work, field.name) != field.default]
    given += [f"--{name}" for name in ("duration", "warmup") if getattr(execution, name) != getattr(EXECUTION, name)]
    given += ["--slo"] if slo else []
    given += ["--resume"] if resume else []
    if given:
        raise UserError(f"--experiment says arms and load itself: leave out {', '.join(given)}")
