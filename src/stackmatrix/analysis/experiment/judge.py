"""An experiment's table, claims and answer, from a run's own measurements."""

from collections.abc import Sequence
from pathlib import Path

from stackmatrix.analysis.experiment.claims import judge_claim
from stackmatrix.analysis.experiment.differences import missed_predictions, tool_differences
from stackmatrix.analysis.experiment.metrics import COUNTS, MEASURES, ArmView, Sight, expected_figure, explained
from stackmatrix.analysis.model.observed import Setup
from stackmatrix.catalog import ROOT
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.experiments import Candidate, Experiment, MetricName, experiment_names, read_experiment
from stackmatrix.errors import pick
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.experiment import ExperimentResult, ExperimentRow, SideFigure
from stackmatrix.results.plan import Plan
from stackmatrix.results.run import ArmResult


def examine(seen: Sight) -> ExperimentResult:
    """Gather the rows, the claims, and where things differ from one another or from the model."""
    experiment, carried = seen.experiment, seen.carried
    claims = [judge_claim(claim, seen) for claim in experiment.claims]
    return ExperimentResult(
        name=experiment.name,
        question=experiment.question,
        source=experiment.source,
        command=experiment.command,
        waits=carried.waits,
        windows=carried.windows,
        rows=[row for candidate in experiment.candidates for row in experiment_rows(candidate, seen)],
        claims=claims,
        answer=[f"Not shown: {claim.words}" if claim.outcome == "fails" else claim.words for claim in claims],
        differences=tool_differences(experiment, seen),
        exceptions=[words for candidate in experiment.candidates for words in missed_predictions(candidate, seen)],
    )


def experiment_rows(candidate: Candidate, sight: Sight) -> list[ExperimentRow]:
    own, tool = sight(candidate.name, "generator"), sight(candidate.name, "tool")
    if own is None or tool is None:
        return []
    metrics: list[MetricName] = ["goodput", *(metric for metric in candidate.published if metric != "goodput")]
    return [
        ExperimentRow(
            arm=candidate.name,
            ids=(own.arm.id, tool.arm.id),
            metric=metric,
            unit=MEASURES[metric].unit,
            published=candidate.published.get(metric),
            explained=explained(metric, tool),
            own=side_of(metric, own),
            tool=side_of(metric, tool),
            void=own.void,
        )
        for metric in metrics
    ]


def side_of(metric: MetricName, seen: ArmView) -> SideFigure:
    """Return a figure of one side; counts of a window are the tool's alone, for the generator has no such window."""
    if metric == COUNTS and seen.by == "generator" and not seen.candidate.expects_failures:
        return SideFigure()
    value = MEASURES[metric].value(seen)
    return SideFigure(
        predicted=expected_figure(metric, seen),
        measured=value,
        ci95=seen.result.goodput.ci95 if metric == "goodput" and seen.result.goodput else None,
        at_scale=None if value is None else seen.candidate.at_published_scale(metric, value, seen.scale),
    )


def experiment_named(name: str, catalog: Catalog, root: Path = ROOT) -> Experiment:
    """Read one experiment; UserError for a name that does not exist, or a broken file."""
    pick("experiment", name, dict.fromkeys(experiment_names(root)))
    return read_experiment(root / "experiments" / f"{name}.toml", catalog.stacks, catalog.workloads)


def examined(
    plan: Plan, directory: RunDirectory, results: Sequence[ArmResult], setup: Setup
) -> ExperimentResult | None:
    """Judge the plan's experiment by the trials on disk; None when it has none."""
    if plan.experiment is None:
        return None
    experiment = experiment_named(plan.experiment.name, setup.catalog)
    trials = directory.trials()
    return examine(Sight(experiment, plan.experiment, plan.arms, trials, results, setup))
