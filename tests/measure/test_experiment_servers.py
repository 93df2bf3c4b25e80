"""A small experiment on real servers: what sleeping endpoints do under wrk and under the generator."""

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from stackmatrix.analysis.experiment.judge import examine
from stackmatrix.analysis.experiment.metrics import Sight
from stackmatrix.analysis.model.observed import Setup
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.experiments import read_experiment
from stackmatrix.catalog.stacks import load_stacks
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.cli.watch import ConsoleWatcher
from stackmatrix.measure.experiment import arms
from stackmatrix.measure.session import Session
from stackmatrix.report.files import write_reports
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.plan import Plan, digests

TEXT = """
question = "Do 40 threads hold 60 sleepers?"
source = "a test"
command = "wrk -c 60 -d 20s"

[scale]
waits = 0.1
windows = 0.1

[load]
tool = "wrk"
users = 60
seconds = 20

[[arms]]
name = "def"
stack = "fastapi-sync[response=encoder]"
workload = "sleep"
params = { ms = 3000 }

[[arms]]
name = "async def"
stack = "fastapi-async[response=encoder]"
workload = "sleep"
params = { ms = 3000 }

[[claims]]
metric = "threads"
arm = "def"
least = 40
holds = "They are 40: {one} are seen, and {value} in all."
fails = "There are only {one}."

[[claims]]
metric = "requests"
by = "tool"
arm = "def"
against = "async def"
most = 0.9
holds = "No: {one} against {other}."
fails = "Yes: {one} against {other}."
"""


@pytest.mark.native
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: apt-get install wrk")
def test_a_small_experiment_runs_from_servers_to_reports(tmp_path: Path) -> None:
    catalog = Catalog(load_stacks(), load_workloads())
    file = tmp_path / "sleepers.toml"
    file.write_text(TEXT)
    experiment = read_experiment(file, catalog.stacks, catalog.workloads)
    wanted, carried = arms(experiment, experiment.scale, rounds=1)
    directory = RunDirectory.create("sleepers", tmp_path)
    plan = Plan(
        schema=SCHEMA,
        name="sleepers",
        command="test",
        runtime="native",
        seed=1,
        warmup_s=1.0,
        window_s=1.0,
        rounds=1,
        budget_s=60.0,
        arms=wanted,
        inputs=digests(wanted),
        explain=False,
    )
    directory.write("plan.json", plan)
    said = io.StringIO()
    run = Session(plan, directory, catalog, ConsoleWatcher(Console(file=said, width=200))).execute()
    trials = list(directory.trials())
    assert {trial.arm for trial in trials} == {arm.id for arm in wanted}, said.getvalue()
    result = examine(Sight(experiment, carried, wanted, trials, run.arms, Setup(catalog, range(2))))
    assert [claim.outcome for claim in result.claims] == ["holds", "holds"], result.answer
    by_arm = {row.arm: row for row in result.rows}
    for row in by_arm.values():
        assert row.tool.measured is not None
        assert row.tool.measured > 0
        assert row.explained is not None
    assert by_arm["def"].explained == pytest.approx(40 * 6 / 20, rel=0.01)
    assert by_arm["async def"].explained == pytest.approx(60 * 6 / 20, rel=0.01)
    write_reports(directory)
    assert (directory.path / "report.html").exists()
