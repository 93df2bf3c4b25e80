"""What befalls a run, against real servers: a stack or an upstream dies in the middle of it; copies agree."""

import os
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.reasons import NOISE
from stackmatrix.results.run import Run
from stackmatrix.results.trial import Trial
from stackmatrix.runtime import supervisor

from ..cli.test_run import ask, start, wait_for_line

ONE = ["--runtime", "native", "--stack", "fastapi-async", "--users", "8"]

pytestmark = pytest.mark.servers


def kill(process: subprocess.Popen[str], words: str) -> None:
    """End the first server below a command that has these words in its line; not its supervisor, which has them too."""
    below = [(child, " ".join(child.cmdline())) for child in psutil.Process(process.pid).children(recursive=True)]
    victim = next(child for child, line in below if words in line and supervisor.__name__ not in line)
    os.kill(victim.pid, signal.SIGKILL)


def run_and_kill(results: Path, workload: str, words: str) -> tuple[Run, list[Trial], str]:
    """A run of four rounds in whose third a process is killed: its result, its trials, and what it said."""
    options = ["--workload", workload, "--duration", "3", "--rounds", "4", "--results", str(results)]
    process = start(*ONE, *options)
    wait_for_line(process, "round 2 of")
    time.sleep(2)  # into the window of the third
    kill(process, words)
    table, said = process.communicate(timeout=120)
    assert process.returncode in (0, 1), said  # what was mended is no failure; the machine may spoil half of the rounds
    (path,) = (path for path in results.iterdir() if path.is_dir())
    directory = RunDirectory.open(path)
    return directory.read("run.json", Run), list(directory.trials()), table + said


@pytest.mark.parametrize(
    ("workload", "words"),
    [pytest.param("sleep", "fastapi-async", id="stack"), pytest.param("notes-read", "/postgres -D", id="upstream")],
)
def test_what_dies_in_round_3_is_said_and_the_round_repeated(tmp_path: Path, workload: str, words: str) -> None:
    run, trials, said = run_and_kill(tmp_path, workload, words)
    assert "Traceback" not in said
    assert run.ended_by == "rounds"
    struck = [trial for trial in trials if any(reason.kind not in NOISE for reason in trial.reasons)]
    assert struck, "nobody noticed"
    assert {trial.round for trial in struck if trial.attempt == 0} == {2}
    assert "repeating" in said
    (arm,) = run.arms
    assert arm.repeated, said
    assert all(reason.kind in NOISE for reason in arm.reasons), said


def test_an_arm_against_itself_is_no_difference(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    one = [
        "--runtime",
        "native",
        "--stack",
        "fastapi-async",
        "--users",
        "8",
        "--duration",
        "0.5",
        "--workload",
        "sleep",
    ]
    done = ask(*one, "--rounds", "6", "--results", str(tmp_path / "results"), "--json", str(file))
    run = msgspec.json.decode(file.read_bytes(), type=Run)
    assert run.aa is not None
    assert run.aa.valid is not False, done.stderr
    assert 1 / (1 + run.aa.floor) <= run.aa.value <= 1 + run.aa.floor
    if run.aa.ci95 is not None:  # a neighbour may have spoiled too many rounds
        assert "no difference" in done.stdout
