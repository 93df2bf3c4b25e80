"""`--slo` as a user runs it, against real servers: stopped with Ctrl-C, gone on with, reported."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stackmatrix.catalog import ROOT
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.run import Run
from stackmatrix.results.slo import Probe

SCRIPT = [sys.executable, str(ROOT / "scripts" / "check-performance.py")]
ASKED = ["--runtime", "native", "--stack", "fastapi-sync", "--workload", "sleep", "--slo", "p50<300ms", "--rounds", "1"]


@pytest.mark.native
def test_a_search_is_stopped_gone_on_with_and_reported(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*SCRIPT, *ASKED, "--budget", "2m", "--results", str(tmp_path)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    before = [line for line in iter(process.stderr.readline, "") if said(line, process)]
    assert process.wait(60) == 130, before
    (directory,) = (RunDirectory(path) for path in tmp_path.iterdir())
    first = list(directory.probes())
    assert first, "what was measured is kept"

    done = subprocess.run([*SCRIPT, "--resume", str(directory.path)], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "The largest rate that keeps p50 < 300 ms" in done.stdout, done.stderr
    probes = list(directory.probes())
    assert probes[: len(first)] == first
    assert len({(probe.purpose, probe.round, probe.step) for probe in probes}) == len(probes)
    assert all(honest(probe, directory) for probe in probes)
    run = directory.read("run.json", Run)
    (level,) = run.levels
    assert level.words in done.stdout.replace("\n", " ")
    assert level.words in (directory.path / "report.md").read_text()
    kept = [probe.rate for probe in probes if probe.outcome == "kept"]
    assert level.kept == max(kept, default=None)
    if level.rate is not None:  # on a machine that is not quiet there may be none, and then it is said
        assert level.kept is not None and level.kept <= level.rate.value * 1.03


def said(line: str, process: subprocess.Popen[str]) -> bool:
    """Stops the command once it has told of a rate."""
    if "/s: p50 " in line:
        process.send_signal(signal.SIGINT)
    return bool(line)


def honest(probe: Probe, directory: RunDirectory) -> bool:
    """Whether a probe has its records, unless there could be none."""
    return probe.outcome == "failed" or (directory.path / str(probe.trial.client.records)).exists()
