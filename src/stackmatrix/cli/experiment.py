"""`stackmatrix experiment NAME`: reproduce a published comparison, or list them all."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from stackmatrix.cli.options import EXECUTION, Execution, names_of
from stackmatrix.cli.shell import console, try_outputs
from stackmatrix.errors import UserError

if TYPE_CHECKING:
    from stackmatrix.catalog.catalog import Catalog
    from stackmatrix.catalog.experiments import Experiment, Scale
    from stackmatrix.results.plan import Plan

LIMIT_S = 175.0  # the most that an experiment takes at its own scale, from the first server to the last trial
FULL_ROUNDS = 6  # fewer give no interval


def reproduce(
    name: Annotated[str | None, Parameter(metavar="NAME", completer=names_of("experiment"))] = None,
    /,
    *,
    full: Annotated[bool, Parameter(help="as long as it was published, instead of shortened")] = False,
    list: Annotated[bool, Parameter(help="list the experiments, and how long each takes")] = False,
    execution: Execution = EXECUTION,
) -> int:
    """Time an experiment's arms and say which of its claims hold; return the exit code."""
    from stackmatrix.catalog.catalog import Catalog
    from stackmatrix.cli.execution import execute, new_run

    if name is None or list:
        return list_all(full)
    for option in ("duration", "warmup"):
        if getattr(execution, option) != getattr(EXECUTION, option):
            raise UserError(f"--{option}: an experiment says itself how long each arm is timed; leave it out")
    try_outputs(json=execution.json)
    catalog = Catalog.of_checkout()
    plan = experiment_plan(name, full, execution, catalog)
    return execute(plan, new_run(execution, plan), catalog, execution.json)


def experiment_plan(name: str, full: bool, execution: Execution, catalog: "Catalog") -> "Plan":
    from stackmatrix.cli.execution import make_plan
    from stackmatrix.measure.experiment import arms
    from stackmatrix.results.plan import digests

    experiment, scale, own_rounds = at_scale(name, full, catalog)
    rounds = execution.rounds or own_rounds
    wanted, carried = arms(experiment, scale, rounds)
    longest_s = max(arm.timing.window_s for arm in wanted if arm.timing)  # each arm has its own timing
    return replace(
        make_plan(execution, wanted, experiment.name, window_s=longest_s),
        rounds=rounds,
        budget_s=experiment_budget_s(execution, scale),
        explain=experiment.explain if execution.explain is None else execution.explain,
        experiment=carried,
        inputs=digests(wanted, carried),
    )


def at_scale(name: str, full: bool, catalog: "Catalog") -> "tuple[Experiment, Scale, int]":
    """Read an experiment, and choose its scale and, unless the user says so, its rounds."""
    from stackmatrix.analysis.experiment.judge import experiment_named
    from stackmatrix.catalog.experiments import AS_PUBLISHED

    experiment = experiment_named(name, catalog)
    if full:
        return experiment, AS_PUBLISHED, max(FULL_ROUNDS, experiment.rounds)
    return experiment, experiment.scale, experiment.rounds


def experiment_budget_s(execution: Execution, scale: "Scale") -> float | None:
    """Choose how long all of it may take: what the user says, else three minutes; no limit when full or of N rounds."""
    if execution.budget is not None:
        return execution.budget
    return None if scale.full or execution.rounds else LIMIT_S


def list_all(full: bool) -> int:
    from rich.console import Group
    from rich.text import Text

    from stackmatrix.catalog.catalog import Catalog
    from stackmatrix.catalog.experiments import experiment_names
    from stackmatrix.measure.experiment import expected_s

    catalog = Catalog.of_checkout()
    lines: list[Text] = []
    for name in experiment_names():
        experiment, scale, rounds = at_scale(name, full, catalog)
        seconds = expected_s(experiment, scale, rounds)
        lines.append(Text.assemble((name, "bold"), f"  about {seconds / 60:.1f} min"))
        lines.append(Text(f"  {experiment.question}"))
    console(stderr=False).print(Group(*lines))
    return 0
