"""What a run says to an experiment's question, from made-up trials: rows, claims, and every report of them."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from rich.console import Console

from stackmatrix.analysis.experiment.judge import examine
from stackmatrix.analysis.experiment.metrics import Sight
from stackmatrix.analysis.judge import judge
from stackmatrix.analysis.latency import pooled_latency
from stackmatrix.analysis.model.observed import Setup
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.experiments import read_experiment
from stackmatrix.errors import UserError
from stackmatrix.measure.experiment import arms
from stackmatrix.report.files import write_reports
from stackmatrix.report.findings import write_findings
from stackmatrix.report.terminal import run_table
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.experiment import ExperimentResult, ExperimentRow
from stackmatrix.results.plan import Arm
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import Run
from stackmatrix.results.trial import Errors, ToolSays, Trial

from ..made_trials import altered
from .sample import ENVIRONMENT, Sample, catalog, one_trial

TEXT = """
question = "Is async the faster one?"
source = "a made-up comparison"
command = "wrk -c 64 -d 60s"

[scale]
waits = 0.1
windows = 0.1

[load]
tool = "wrk"
users = 64
seconds = 60

[[arms]]
name = "def"
stack = "fastapi-sync"
workload = "http"
params = { ms = 1000 }
published = { goodput = 40, requests = 2360, mean_ms = 1600 }

[[arms]]
name = "async def"
stack = "fastapi-async"
workload = "http"
params = { ms = 1000 }
published = { goodput = 64 }

[[arms]]
name = "blocked"
stack = "fastapi-blocking"
workload = "http"
params = { ms = 1000 }
published = { failed_share = 0.9 }
expects_failures = true

[[claims]]
metric = "goodput"
arm = "async def"
against = "def"
least = 1.2
holds = "Yes, {value} times: {one} against {other}."
fails = "No, only {value} times: {one} against {other}."

[[claims]]
metric = "goodput"
arm = "async def"
against = "def"
least = 100
holds = "By far."
fails = "Not by far, {value} times."

[[claims]]
metric = "threads"
arm = "def"
least = 40
holds = "It has {one}, and {of_predicted by tool:async def} of async's prediction."
fails = "It has {one}."

[[claims]]
metric = "cpu_us"
arm = "def"
against = "async def"
of = ["def", "async def"]
least = 0.99
most = 1.01
holds = "All of it, {value}."
fails = "Not all of it."

[[claims]]
metric = "gather_ms"
arm = "def"
least = 1
holds = "Never."
fails = "Never."

[[claims]]
metric = "failed_share"
by = "tool"
arm = "blocked"
least = 0.5
holds = "Blocked, {one} failed."
fails = "Blocked, only {one} failed."
"""

Spoil = Callable[[Trial], Trial]


def told(trial: Trial, requests: int, seconds: float) -> Trial:
    """As if wrk had said so, of requests that cost the stack as much as the others."""
    says = ToolSays("wrk", "4.1", "wrk", requests, seconds, requests / seconds, ["latencies not measured"])
    cpu = replace(
        trial.server.cpu_s, stack=(trial.server.cpu_s.stack or 0.0) * requests / max(1, trial.client.answered)
    )
    return altered(trial, tool=says, answered=requests, goodput=requests / seconds, cpu_s=cpu, reasons=[])


def by_tool(trial: Trial) -> Trial:
    """Whole rounds in six seconds: 40 slots or 64 users with a wait of 100 ms; and a stack that fails."""
    if "blocking" in trial.arm:
        failed = altered(trial, errors=Errors(closed=90), reasons=[Reason("errors", "90 requests failed")])
        return told(failed, 100, 6.0) if " by " in trial.arm else failed
    if " by " not in trial.arm:
        return trial
    return told(trial, 59 * 40 if "sync" in trial.arm and "async" not in trial.arm else 59 * 64, 6.0)


def examined(base: Path, spoil: Spoil = by_tool, text: str = TEXT) -> tuple[RunDirectory, ExperimentResult]:
    """A made-up run of the experiment, judged and kept."""
    known = catalog(base / ".catalog")
    setup = Setup(known, (0, 1))
    file = base / "is-async-faster.toml"
    file.write_text(text)
    experiment = read_experiment(file, known.stacks, known.workloads)
    wanted, carried = arms(experiment, experiment.scale, rounds=6)
    directory = RunDirectory(base / "20260203T040506Z-is-async-faster")
    (directory.path / "records").mkdir(parents=True)
    for trial in trials(directory, known, wanted):
        directory.append(spoil(trial))
    judged = judge(wanted, directory.trials(), setup, partial(pooled_latency, directory))
    result = examine(Sight(experiment, carried, wanted, directory.trials(), judged.arms, setup))
    run = Run(
        schema=SCHEMA,
        name=experiment.name,
        command="./scripts/check-performance.py --experiment is-async-faster",
        started="2026-02-03T04:05:06+00:00",
        ended_by="rounds",
        environment=ENVIRONMENT,
        arms=judged.arms,
        experiment=result,
    )
    directory.write("run.json", run)
    return directory, result


def trials(directory: RunDirectory, known: Catalog, wanted: Sequence[Arm]) -> Iterator[Trial]:
    """Those of each round in which the arm takes part."""
    for number in range(6):
        for arm in wanted:
            if arm.rounds is None or number < arm.rounds:
                yield one_trial(Sample(window_s=1.0), directory, known, arm, number)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, ExperimentResult]:
    """One run for all tests that change nothing."""
    directory, result = examined(tmp_path_factory.mktemp("experiment"))
    write_reports(directory)
    return directory, result


def row(result: ExperimentResult, arm: str, metric: str) -> ExperimentRow:
    return next(row for row in result.rows if (row.arm, row.metric) == (arm, metric))


def test_rows_have_published_explained_predicted_and_measured(kept: tuple[RunDirectory, ExperimentResult]) -> None:
    _, result = kept
    goodput = row(result, "def", "goodput")
    assert goodput.published == 40
    assert goodput.explained == pytest.approx(59 * 40 / 60)
    assert goodput.own.predicted == pytest.approx(400, rel=0.02)
    assert goodput.own.measured is not None
    assert goodput.own.ci95 is not None
    assert goodput.own.at_scale == pytest.approx(goodput.own.measured / 10)
    assert goodput.tool.measured == pytest.approx(59 * 40 / 6)
    assert goodput.tool.share == pytest.approx(1, abs=0.02)
    requests = row(result, "def", "requests")
    assert requests.tool.predicted == 59 * 40
    assert requests.tool.at_scale == 59 * 40
    assert requests.own.measured is None, "only a tool has a window of its own"
    mean = row(result, "def", "mean_ms")
    assert mean.own.at_scale == pytest.approx(10 * (mean.own.measured or 0))


def test_an_arm_that_is_to_fail_has_its_failures_and_is_called_void(
    kept: tuple[RunDirectory, ExperimentResult],
) -> None:
    _, result = kept
    failed = row(result, "blocked", "failed_share")
    assert failed.void == "shown failing"
    assert failed.tool.measured == pytest.approx(0.9)
    assert not any("blocked" in words for words in result.exceptions)


def test_claims_hold_fail_or_cannot_be_told_and_say_so(kept: tuple[RunDirectory, ExperimentResult]) -> None:
    _, result = kept
    holds, fails, threads, share, unknown, blocked = result.claims
    assert [claim.outcome for claim in result.claims] == ["holds", "fails", "holds", "holds", "unknown", "holds"]
    assert holds.value is not None
    assert holds.words.startswith(f"Yes, {holds.value:.2f} times: ")
    assert holds.least == 1.2
    assert holds.most is None
    assert result.answer[1] == f"Not shown: {fails.words}"
    assert fails.words == f"Not by far, {holds.value:.2f} times."
    assert threads.words.startswith("It has 46 threads, and ")
    assert share.words == "All of it, 100 %."
    assert unknown.words == "Not told, for want of the time to gather of def (not counted here)."
    assert blocked.words == "Blocked, 90 % failed."
    assert not any("{" in words for words in result.answer)


def test_where_the_two_agree_it_says_so(kept: tuple[RunDirectory, ExperimentResult]) -> None:
    _, result = kept
    assert any(
        re.fullmatch(r"\d+ % of the generator's rate by wrk on “.+”: they agree\.", words)
        for words in result.differences
    )
    assert all(sum(any(map(str.isalnum, word)) for word in words.split()) <= 25 for words in result.differences)
    assert not any("whole rounds" in words for words in result.differences)


def test_a_window_of_few_rounds_explains_the_tool(tmp_path: Path) -> None:
    text = TEXT.replace("seconds = 60", "seconds = 2.5")

    def two_rounds(trial: Trial) -> Trial:
        if " by " not in trial.arm or "blocking" in trial.arm:
            return by_tool(trial)
        return told(trial, 2 * (64 if "async" in trial.arm else 40), 0.25)

    _, result = examined(tmp_path, two_rounds, text)
    share, cold = [words for words in result.differences if "whole rounds" in words]
    assert share == (
        "81 % of the generator's rate by wrk on “async def”: "
        "whole rounds alone, 128 requests predicted and 128 counted."
    )
    assert cold == "The 250 ms of wrk begin cold: only whole rounds end in them."


def test_what_is_not_as_predicted_is_listed_with_its_reason(tmp_path: Path) -> None:
    def late(trial: Trial) -> Trial:
        seen = by_tool(trial)
        if seen.client.tool and "async" in seen.arm:
            return altered(told(seen, 1000, 6.0), errors=Errors(timeout=30))
        return replace(seen, reasons=[Reason("errors", "3 of 200 requests failed")]) if "sync/" in seen.arm else seen

    text = TEXT.replace("users = 64", "users = 64\ntimeout = 3")
    _, result = examined(tmp_path, late, text)
    assert any(words.startswith("167/s by wrk on “async def”, 26 % of the predicted ") for words in result.exceptions)
    assert "On “async def” by wrk: 30 answers took longer than its time-out of 300 ms." in result.exceptions
    assert "No number by the generator on “def”: 3 of 200 requests failed." in result.exceptions
    assert result.claims[0].outcome == "unknown"
    assert "def (errors)" in result.claims[0].words


def test_every_report_has_the_experiment(kept: tuple[RunDirectory, ExperimentResult]) -> None:
    directory, result = kept
    page, document = ((directory.path / name).read_text() for name in ("report.html", "report.md"))
    for text in (page, document):
        assert result.question in text
        assert result.claims[0].words in text
        assert "shown failing" in text
        assert "10 times shorter" in text
    assert (directory.path / "figures" / "experiment.svg").read_text().startswith("<svg")
    run = directory.read("run.json", Run)
    console = Console(width=220)
    with console.capture() as captured:
        console.print(run_table(run))
    assert result.question in captured.get()
    assert "blocked (void: shown failing)" in captured.get()


def test_findings_are_written_from_runs_and_from_nothing_else(
    kept: tuple[RunDirectory, ExperimentResult], tmp_path: Path
) -> None:
    directory, result = kept
    file = tmp_path / "docs" / "findings.md"
    file.parent.mkdir()
    write_findings([directory], file)
    text = file.read_text()
    assert f"[{result.question}](#{result.name})" in text
    assert " ".join(result.answer) in text
    assert f"findings/{result.name}-dark.svg" in text
    assert {path.name for path in (file.parent / "findings").iterdir()} == {
        f"{result.name}.svg",
        f"{result.name}-dark.svg",
    }
    run = directory.read("run.json", Run)
    other = RunDirectory(tmp_path / "20260203T040506Z-other")
    other.path.mkdir()
    other.write("run.json", replace(run, experiment=None))
    with pytest.raises(UserError, match="carries out no experiment"):
        write_findings([other], file)


@pytest.mark.browser
def test_the_page_draws_the_figure(kept: tuple[RunDirectory, ExperimentResult], browser: Browser) -> None:
    directory, result = kept
    page = browser.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"file://{directory.path}/report.html#experiment")
    page.wait_for_selector("[data-chart=experiment][data-drawn=yes]")
    assert page.locator("#experiment li.fails").count() == 1
    assert page.locator("h1").inner_text() == result.question
    assert problems == []
    page.close()
