"""The main command as a user runs it, against real servers: the table, its files, Ctrl-C, and going on after a kill."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from stackmatrix.catalog import ROOT
from stackmatrix.results.directory import RESULTS
from stackmatrix.results.run import Run

from .invoke import invoke

SCRIPT = [sys.executable, str(ROOT / "scripts" / "check-performance.py")]
ONE = ["--runtime", "native", "--stack", "fastapi-async", "--workload", "sleep", "--users", "8"]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*SCRIPT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SCRIPT, *arguments], capture_output=True, text=True, check=False)


def directory_in(words: str) -> Path:
    named = next(line.rpartition("results/")[2] for line in words.splitlines() if "results/" in line)
    return RESULTS / re.split(r"[/;\s]", named)[0]


def children(process: subprocess.Popen[str]) -> list[int]:
    """Processes of the session that the command leads."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[3]) == process.pid:
                found.append(int(stat.parent.name))
        except (OSError, ValueError):
            continue
    return found


def wait_for_line(process: subprocess.Popen[str], words: str) -> list[str]:
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"never said {words!r}:\n{''.join(lines)}")


@pytest.mark.servers
def test_a_run_prints_its_table_and_leaves_every_request_on_disk(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    done = ask(*ONE, "--duration", "1", "--rounds", "1", "--json", str(file))
    assert "goodput/s" in done.stdout, done.stderr
    assert "fastapi-async" in done.stdout
    run = msgspec.json.decode(file.read_bytes(), type=Run)
    (arm,) = run.arms
    kept = directory_in(done.stderr)
    assert json.loads((kept / "run.json").read_text()) == json.loads(file.read_text())
    assert run.ended_by == "rounds"
    assert arm.errors.total == 0
    assert run.identities["fastapi-async"].keep_alive
    trials = [json.loads(line) for line in (kept / "trials.jsonl").read_text().splitlines()]
    assert [trial["arm"] for trial in trials if trial["attempt"] == 0] == [arm.id]
    for client in (trial["client"] for trial in trials):
        records = np.load(kept / client["records"])
        start, end = client["window_start"], client["window_start"] + client["window_s"]
        inside = (records["end"] >= start) & (records["end"] < end)
        assert int((inside & (records["verdict"] == 0)).sum()) == client["answered"]


@pytest.mark.servers
def test_a_run_that_explains_and_profiles_shows_both_in_its_report() -> None:
    done = ask(*ONE, "--duration", "0.5", "--rounds", "1", "--explain", "--profile")
    assert "goodput/s" in done.stdout, done.stderr
    kept = directory_in(done.stderr)
    (arm,) = msgspec.json.decode((kept / "run.json").read_bytes(), type=Run).arms
    if not arm.valid:
        pytest.skip(f"the machine spoiled the only round: {arm.reasons}")
    assert arm.phases is not None and arm.phases.gather_s is not None, done.stderr
    page = (kept / "report.html").read_text()
    assert "Where the time of a request goes" in page
    if "no flame graphs" not in done.stderr:
        assert arm.profile is not None and (kept / arm.profile.file).exists()
        assert f'href="{arm.profile.file}"' in page


@pytest.mark.servers
def test_ctrl_c_keeps_what_was_measured_and_leaves_nothing_running() -> None:
    process = start(*ONE, "--duration", "1", "--rounds", "30")
    wait_for_line(process, "[1/")
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; what was measured is kept" in words
    assert "Traceback" not in words
    assert (directory_in(words) / "trials.jsonl").read_text().count("\n") >= 1
    assert children(process) == []


@pytest.mark.servers
def test_a_killed_run_goes_on_and_yields_the_same_arms() -> None:
    process = start(*ONE, "--workload", "json-small", "--duration", "1", "--rounds", "2")
    words = "".join(wait_for_line(process, "[2/"))
    process.kill()
    process.communicate(timeout=60)
    kept = directory_in(words)
    before = (kept / "trials.jsonl").read_text().splitlines()
    time.sleep(1)  # gives what should die with it the time that it has; what is left is found by the next start
    done = ask("--resume", str(kept))
    after = (kept / "trials.jsonl").read_text().splitlines()
    assert after[: len(before)] == before, done.stderr
    arms = {(trial["arm"], trial["round"]) for trial in map(json.loads, after)}
    assert len({arm for arm, _ in arms}) == 2
    assert {number for _, number in arms} == {0, 1}
    assert "goodput/s" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stack", "fastapi-asink"], "no stack is called 'fastapi-asink'; did you mean fastapi-async?"),
        (["--stack", "fastapi-sync[thread=1]"], "no setting of fastapi-sync is called 'thread'; did you mean threads?"),
        (["--workload", "slep"], "no workload is called 'slep'; did you mean sleep?"),
        (
            ["--workload", "sleep", "--param", "mss=1"],
            "--param mss: none of the workloads has it; they have mode, ms, n",
        ),
        (["--users", "0"], "--users '0': write a whole number from 1 to 999999"),
        (["--budget", "soon"], "--budget 'soon': write a duration from 1s to 240h"),
        (["--budget", "3s"], "too short for one round of"),
        (["--resume", "results/none"], "no run is there"),
        (["--users", "8,0"], "--users '8,0': write a whole number from 1 to 999999"),
        (["--rate", "0"], "--rate '0': write arrivals per second from 0.001 to 1e6"),
        (["--rate", "9", "--generator", "wrk"], "wrk offers no rate of arrivals"),
        (["--shards", "64"], "each needs a core beside the stack's"),
        (["--users", "999999"], "ports for connections to one server; offer no more users"),
    ],
)
def test_a_user_s_mistake_gets_one_line_and_starts_nothing(arguments: Sequence[str], words: str) -> None:
    done = invoke("run", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a full disk")
def test_a_full_disk_gets_one_line(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(full)], check=True)
    try:
        (full / "filler").write_bytes(b"x" * 60_000)
        done = ask(*ONE, "--duration", "1", "--rounds", "1", "--results", str(full))
    finally:
        subprocess.run(["umount", str(full)], check=True)
    assert done.returncode == 2
    assert "MiB of disk are free, and 64 are needed" in done.stderr
    assert "Traceback" not in done.stderr
