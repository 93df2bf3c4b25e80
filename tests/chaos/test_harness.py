"""A harness in containers that is interrupted, killed, or not alone: nothing is lost, left, or taken from others."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.run import Run
from stackmatrix.runtime import watchdog

from ..cli.test_run import ask, start, wait_for_line
from .engine import containers, docker, empty_engine, networks, stackmatrix_up

ARM = ["--runtime", "docker", "--workload", "sleep", "--users", "8", "--no-explain", "--stack", "fastapi-async"]
BRIEF = [*ARM, "--duration", "0.5", "--rounds"]
ONE = [*BRIEF, "1"]
LONGER = [*BRIEF, "9"]  # whatever comes after its first trial is still timed
TWO = [*ONE, "--stack", "fastapi-sync"]
GONE_WITHIN_S = 20

pytestmark = [pytest.mark.servers, pytest.mark.usefixtures(empty_engine.__name__)]
__all__ = ["empty_engine"]
Record = Callable[[str, object], None]


def run_of(results: Path) -> Run:
    (path,) = results.iterdir()
    return RunDirectory.open(path).read("run.json", Run)


def end(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=120)
    assert "Traceback" not in said, said
    return said


def left() -> list[str]:
    return sorted(containers().keys() | set(networks()))


def gone() -> bool:
    """Tell whether what a watchdog removes is gone in time."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while left() and time.monotonic() < deadline:
        time.sleep(0.2)
    return not left()


@pytest.mark.chaos(
    fault="a run starts as the last one ends",
    when="both stacks were up before, one of them paused",
    expected="exit codes 0 or 1; the same containers, awake, healthy, on all CPUs",
)
def test_runs_back_to_back_leave_what_was_up_as_it_was(tmp_path: Path, record_property: Record) -> None:
    up = stackmatrix_up("fastapi-async", "fastapi-sync")
    assert up.returncode == 0, up.stderr
    before = {name: each["Id"] for name, each in containers().items()}
    docker("pause", before["fastapi-sync"])
    codes = [ask(*TWO, "--results", str(tmp_path / str(number))).returncode for number in range(2)]
    after = containers()
    assert set(codes) <= {0, 1}
    assert {name: each["Id"] for name, each in after.items()} == before
    assert {(each["State"]["Status"], each["State"]["Health"]["Status"]) for each in after.values()} == {
        ("running", "healthy")
    }
    all_cpus = set(os.sched_getaffinity(0))
    assert all(psutil.Process(each["State"]["Pid"]).cpu_affinity() == sorted(all_cpus) for each in after.values())
    record_property("got", f"exit codes {codes[0]} and {codes[1]}; {len(after)} containers as before")


@pytest.mark.chaos(
    fault="a second run, and `make up`",
    when="while a run is under way",
    expected="refused in one line with the holder; the first run ends well",
)
def test_a_second_harness_is_refused(tmp_path: Path, record_property: Record) -> None:
    process = start(*ONE, "--results", str(tmp_path / "first"))
    wait_for_line(process, "starting them")
    second = ask(*ONE, "--results", str(tmp_path / "second"))
    up = stackmatrix_up("fastapi-async")
    end(process)
    line = (
        f"error: the harness with process id {process.pid} runs the containers already; wait until it ends, or stop it"
    )
    assert (second.returncode, up.returncode) == (2, 2)
    assert second.stderr.splitlines()[-1] == up.stderr.splitlines()[-1] == line
    assert process.returncode in (0, 1)
    assert left() == []
    record_property("got", "exit code 2, one line; nothing left")


@pytest.mark.chaos(
    fault="`kill -9` of the harness",
    when="in a window, in containers that it started",
    expected="the next run starts at once and takes over the lock; nothing left",
)
def test_a_killed_harness_makes_room_for_the_next(tmp_path: Path, record_property: Record) -> None:
    process = start(*LONGER, "--results", str(tmp_path / "first"))
    wait_for_line(process, "[1/")
    process.kill()
    began = time.monotonic()
    (first,) = (tmp_path / "first").iterdir()
    done = ask(*ONE, "--results", str(tmp_path / "second"))
    assert done.returncode in (0, 1), done.stderr
    assert list(RunDirectory.open(first).trials())
    assert gone(), left()
    record_property("got", f"exit code {done.returncode} after {time.monotonic() - began:.0f} s; nothing left")


STOPPING = "docker: stopping"


def stage(line: str, when: str, kept: str) -> object:
    mark = pytest.mark.chaos(
        fault="Ctrl-C in the terminal", when=when, expected=f"no traceback; {kept}; nothing left running"
    )
    return pytest.param(line, kept, id=when.replace(" ", "-"), marks=mark)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        stage("building the images", "building images", "nothing was timed yet"),
        stage("starting them", "starting containers", "nothing was timed yet"),
        stage("calibrating", "calibrating", "nothing was timed yet"),
        stage("[1/", "timing", "what was measured is kept"),
        stage(STOPPING, "stopping", "ended by rounds"),
    ],
)
def test_ctrl_c_keeps_what_there_is_and_tells_the_truth(
    tmp_path: Path, record_property: Record, line: str, kept: str
) -> None:
    process = start(*(ONE if line == STOPPING else LONGER), "--results", str(tmp_path))
    words = "".join(wait_for_line(process, line))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the harness and to all that it runs
    words += end(process)
    there = left()
    assert kept in words, words
    assert bool(there) is ("not stopped yet" in words), (there, words)
    assert gone(), left()
    (path,) = tmp_path.iterdir()
    assert (path / "run.json").exists()
    assert (path / "report.html").exists() is any(RunDirectory.open(path).trials())
    record_property("got", f"exit code {process.returncode}: {kept}{'; said what was not stopped yet' * bool(there)}")


@pytest.mark.chaos(
    fault="stopping fails (the watchdog is killed)",
    when="in a window",
    expected="run and report are written; what is left is named",
)
def test_a_run_outlives_a_failure_to_stop(tmp_path: Path, record_property: Record) -> None:
    process = start(*BRIEF, "3", "--results", str(tmp_path))
    wait_for_line(process, "[1/")
    dogs = [child for child in psutil.Process(process.pid).children() if watchdog.__name__ in child.cmdline()]
    for dog in dogs:
        dog.kill()
    words = end(process)
    assert dogs and process.returncode in (0, 1), words
    assert (
        "not stopped yet: delay, fastapi-async, nginx and postgres; if it is still so in a minute: make down" in words
    )
    assert run_of(tmp_path).ended_by == "rounds"
    assert list(tmp_path.glob("*/report.html"))
    record_property("got", f"exit code {process.returncode}; report written; named what is still there")
