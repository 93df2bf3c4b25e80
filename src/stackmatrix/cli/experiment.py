"""`check-performance.py --experiment NAME`: carry an experiment out, or list them all."""

import argparse
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.text import Text

from stackmatrix.analysis.experiment.judge import load
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.experiments import AS_PUBLISHED, Scale, experiment_names
from stackmatrix.cli.session import BUDGET_S, planned
from stackmatrix.measure.experiment import arms, expected_s
from stackmatrix.results.plan import Plan, digests

MOST_S = 180.0
"""The most that an experiment takes at its own scale, from the first server to the report."""
REPORT_S = 5.0
FULL_ROUNDS = 6
"""Fewer give no interval."""
INSTEAD = ("stack", "workload", "param", "users", "rate", "arrivals", "slo", "duration", "warmup", "resume")
"""What an experiment says itself."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """How an experiment is asked for."""
    group = parser.add_argument_group("experiments", "a published comparison, reproduced and explained")
    group.add_argument("--experiment", metavar="NAME", help="carry out experiments/NAME.toml; it says arms and load")
    group.add_argument("--full", action="store_true", help="for as long as it was published, instead of shortened")
    group.add_argument("--list", action="store_true", help="list the experiments, and how long each takes")


def check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with usage when an experiment is asked for together with what it says itself."""
    given = [f"--{name}" for name in INSTEAD if getattr(options, name) != parser.get_default(name)]
    if options.experiment and given:
        parser.error(f"--experiment says arms and load itself: leave out {', '.join(given)}")
    if options.full and not (options.experiment or options.list):
        parser.error("--full goes with --experiment NAME")


def plan_of(options: argparse.Namespace, catalog: Catalog) -> Plan:
    """The plan of the experiment that is asked for."""
    experiment = load(options.experiment, catalog)
    scale = AS_PUBLISHED if options.full else experiment.scale
    rounds = options.rounds or (max(FULL_ROUNDS, experiment.rounds) if options.full else experiment.rounds)
    wanted, carried = arms(experiment, scale, rounds)
    options.duration = max(arm.timing.window_s for arm in wanted if arm.timing)  # each arm has its own timing
    return replace(
        planned(options, wanted),
        name=experiment.name if options.name == "performance" else options.name,
        rounds=rounds,
        budget_s=budget_s(options, scale),
        explain=experiment.explain if options.explain is None else options.explain,
        experiment=carried,
        inputs=digests(wanted, carried),
    )


def budget_s(options: argparse.Namespace, scale: Scale) -> float | None:
    """What all of it may take: what the user says, else three minutes; without an end when full or of N rounds."""
    if options.budget != BUDGET_S:
        return float(options.budget)
    return None if scale.full or options.rounds else MOST_S - REPORT_S


def listing(catalog: Catalog, full: bool) -> RenderableType:
    """Every experiment: its name, its question, and the minutes that it takes."""
    lines: list[Text] = []
    for name in experiment_names():
        experiment = load(name, catalog)
        scale = AS_PUBLISHED if full else experiment.scale
        rounds = max(FULL_ROUNDS, experiment.rounds) if full else experiment.rounds
        minutes = expected_s(experiment, scale, rounds) / 60
        lines.append(Text.assemble((name, "bold"), f"  about {minutes:.1f} min"))
        lines.append(Text(f"  {experiment.question}"))
    return Group(*lines)
