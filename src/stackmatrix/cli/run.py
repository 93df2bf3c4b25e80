"""`stackmatrix run`: time stacks under workloads, all in the same way, and print the matrix."""

from dataclasses import fields, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from stackmatrix.cli.options import EXECUTION, STACK_OPTION, WORK, Execution, Work, names_of, option
from stackmatrix.cli.shell import console, try_outputs
from stackmatrix.cli.values import DURATION
from stackmatrix.errors import UserError

if TYPE_CHECKING:
    from stackmatrix.catalog.catalog import Catalog
    from stackmatrix.catalog.workloads import Workload
    from stackmatrix.results.plan import Arm

TELLING_WINDOW_S = 1.0  # that a trial should have; the least is shorter

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
    arms = matrix_arms(stack, work, catalog, execution, slo)

    from stackmatrix.cli.execution import execute, make_plan, new_run
    from stackmatrix.measure.slo import LEAST_PROBE_S

    if slo is None:
        plan = make_plan(execution, arms, "performance")
        if not work.workload:
            tell_left_out(arms, catalog, execution)
    else:
        plan = replace(make_plan(execution, arms, "performance", window_s=execution.duration or LEAST_PROBE_S), slo=slo)
    return execute(plan, new_run(execution, plan), catalog, execution.json)


def matrix_arms(
    stack: tuple[str, ...], work: Work, catalog: "Catalog", execution: Execution, slo: str | None
) -> "list[Arm]":
    """Combine every stack with every workload and load; UserError for names that do not exist."""
    from stackmatrix.analysis.statistics import LEAST_ROUNDS
    from stackmatrix.catalog.catalog import ALL
    from stackmatrix.catalog.stacks import load_stacks, parse_variant
    from stackmatrix.results.plan import arms_of

    names = stack or [stack.name for stack in load_stacks().every(console().print)]
    variants = [parse_variant(text, catalog.stacks) for text in names]
    loads = work.loads()
    if work.workload or slo is not None:
        workloads = catalog.chosen(work.workload or [ALL])
    else:
        workloads = workloads_that_fit(catalog, len(variants) * len(loads), execution)
    # a search has no twin, and without intervals one is of no use
    twice = slo is None and (execution.rounds is None or execution.rounds >= LEAST_ROUNDS)
    return arms_of(variants, workloads, work.params, loads, twice)


def workloads_that_fit(catalog: "Catalog", arms_of_each: int, execution: Execution) -> "list[Workload]":
    """Choose all workloads, or the core ones where the budget cannot give each arm an interval."""
    every = list(catalog.workloads.values())
    core = [workload for workload in every if workload.core]
    return core if core and needed_s(len(every) * arms_of_each, execution) > execution.budget_s else every


def needed_s(arms: int, execution: Execution) -> float:
    """Estimate the seconds in which so many arms get an interval each."""
    from stackmatrix.analysis.statistics import LEAST_ROUNDS
    from stackmatrix.measure.after_rounds import ROUND_OVERHEAD_S

    each_s = ROUND_OVERHEAD_S + (execution.duration or TELLING_WINDOW_S)
    return arms * (execution.rounds or LEAST_ROUNDS) * each_s


def tell_left_out(arms: "list[Arm]", catalog: "Catalog", execution: Execution) -> None:
    """Say which workloads the budget is for when it is not for all, and how to get all."""
    chosen, of = len({arm.workload for arm in arms}), len(catalog.workloads)
    if chosen < of:
        minutes = ceil(needed_s(len(arms) * of // chosen, execution) / 60)
        console().print(
            f"--budget {DURATION.written(execution.budget_s)} is for the {chosen} core workloads; "
            f"all {of}: --workload all, best with --budget {minutes}m"
        )


def refuse_beside_slo(work: Work, execution: Execution) -> None:
    """Raise UserError for options that do not go with a search for the largest rate."""
    if work.rate or len(work.users) > 1 or work.generator is not None:
        raise UserError("--slo finds the rate itself, and begins near the goodput of one closed loop: give one --users")
    if execution.explain or execution.profile or execution.sustained:
        raise UserError(
            "--slo has no rounds after which anything is looked at: leave out --explain, --profile and --sustained"
        )


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
