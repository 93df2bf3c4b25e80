"""`docs/findings.md`: what the experiments say, from runs that are kept."""

from collections.abc import Sequence
from pathlib import Path

from stackmatrix.errors import UserError
from stackmatrix.formatting import some
from stackmatrix.report import method
from stackmatrix.report.charts.experiment import experiment_pictures
from stackmatrix.report.markdown import bullets, experiment_parts
from stackmatrix.report.view import read_run
from stackmatrix.results.directory import RunDirectory, write_file
from stackmatrix.results.experiment import ExperimentResult
from stackmatrix.results.run import Run

FIGURES = "findings"  # the directory of the figures, beside the document
INTRODUCTION = """# Findings

Public comparisons that contradict each other, each carried out again, at its published load, by the project's own
generator and by the tool that it was published with. Every sentence of an answer is a claim that was held against the
run's own measurements; one that did not hold says so. “By the model” is what the ceilings of `docs/method.md` make of
the published command, and “÷” is measured by predicted.

This file is generated: `make findings`. One of them again: `./scripts/check-performance.py --experiment NAME`."""

Finding = tuple[RunDirectory, Run, ExperimentResult]


def findings_markdown(runs: Sequence[Finding], back: str) -> str:
    """Write `docs/findings.md`; `back` leads from its directory to the checkout's."""
    machines = list(dict.fromkeys(f"{method.machine(run.environment)}" for _, run, _ in runs))
    contents = bullets(f"[{result.question}](#{result.name})" for _, _, result in runs)
    parts = [INTRODUCTION, f"Measured on {'; '.join(machines)}.", contents]
    for directory, run, result in runs:
        parts += section(directory, run, result, back)
    return "\n\n".join(parts) + "\n"


def section(directory: RunDirectory, run: Run, result: ExperimentResult, back: str) -> list[str]:
    kept = f"{back}results/{directory.path.name}"
    rounds = max((arm.rounds for arm in run.arms), default=0)
    return [
        f'## <a id="{result.name}"></a>{result.question}',
        *experiment_parts(result, " ".join(result.answer), f"{FIGURES}/{result.name}", "**{}**"),
        f"[The run]({kept}/report.md) of {run.started[:16].replace('T', ' ')} UTC, {some(rounds, 'round')} by the "
        f"project's own generator and one by the tool: `{run.command}`",
    ]


def write_findings(runs: Sequence[RunDirectory], file: Path) -> None:
    """Write the findings of some runs, and their figures beside it; UserError for a run of no experiment."""
    found: list[Finding] = []
    for directory in runs:
        run = read_run(directory)
        if run.experiment is None:
            raise UserError(f"{directory.path}: it carries out no experiment; give runs of --experiment NAME")
        found.append((directory, run, run.experiment))
    for _, _, result in found:
        for name, content in experiment_pictures(result, f"{FIGURES}/{result.name}").items():
            write_file(file.parent / name, content)
    write_file(file, findings_markdown(found, "../"))
