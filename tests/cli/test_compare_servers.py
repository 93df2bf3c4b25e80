"""`compare.py` against real servers: a planted slowdown, a git revision, Ctrl-C, containers; nothing stays behind."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil
import pytest

from stackmatrix.catalog import ROOT
from stackmatrix.errors import UserError
from stackmatrix.results.compare import CellComparison, ComparisonReport
from stackmatrix.runtime import revisions
from stackmatrix.runtime.docker import engine_version
from stackmatrix.runtime.native.state import State

SCRIPT = [sys.executable, str(ROOT / "scripts" / "compare.py"), "--runtime"]
STACK = "fastapi-async"
BRIEFLY = ["--workload", "json-small", "--users", "16", "--duration", "0.5", "--results"]
HANDLER = "    return answer(orjson.loads(body))\n"
SLOWLY = """    end = time.thread_time() + 400e-6
    while time.thread_time() < end:
        pass
"""
NOISE = ("neighbour", "steal", "unsteady", "little", "generator", "copies of A differ", "noise")


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A copy of a stack whose /json burns 0.4 ms of CPU on each request, more than it needs for all the rest."""
    place = tmp_path / "slow"
    shutil.copytree(ROOT / "stacks" / STACK, place, ignore=shutil.ignore_patterns("__pycache__"))
    source = (place / "app.py").read_text(encoding="utf-8")
    assert source.count(HANDLER) == 1
    slowed = source.replace(HANDLER, SLOWLY + HANDLER).replace("import asyncio\n", "import asyncio\nimport time\n", 1)
    (place / "app.py").write_text(slowed, encoding="utf-8")
    return place


@pytest.fixture
def revision() -> str:
    """This checkout's stack as it was committed last."""
    try:
        revisions.commit_of("HEAD")
    except UserError as error:
        pytest.skip(f"revisions: {error}")
    return f"{STACK}@HEAD"


def compare(*arguments: str) -> tuple[subprocess.CompletedProcess[str], ComparisonReport | None]:
    done = subprocess.run([*SCRIPT, *arguments, "--json", "-"], capture_output=True, text=True, check=False)
    return done, msgspec.json.decode(done.stdout, type=ComparisonReport) if done.stdout else None


def spoiled(answer: CellComparison) -> bool:
    """Whether the machine, which tests share, kept everything from being told."""
    return answer.verdict == "can't tell" and any(word in answer.words for word in NOISE)


def left_behind() -> list[str]:
    """Copies, their environments, and processes that run out of either."""
    copies = [
        *(ROOT / ".state").glob("copies-*"),
        *State(ROOT).path("venvs").glob("*-at-*"),
        *State(ROOT).path("venvs").glob("slow-*"),
    ]
    running = [
        word
        for process in psutil.process_iter(["cmdline"])
        for word in process.info["cmdline"] or []
        if "copies-" in word
    ]
    return [*map(str, copies), *running]


@pytest.mark.native
def test_a_planted_slowdown_is_found(slow: Path) -> None:
    limits = ["--rounds", "6", "--budget", "100s", "--fail-if-worse", "5%"]
    done, report = compare("native", STACK, str(slow), *BRIEFLY, str(slow.parent), *limits)
    assert report is not None, done.stderr
    (answer,) = report.answers
    assert left_behind() == []
    if answer.cpu_us.ratio is not None:
        assert answer.cpu_us.ratio.value > 1.2
    if spoiled(answer):
        pytest.skip(f"the machine is not quiet enough: {answer.words}")
    assert answer.verdict in ("slower", "dearer"), answer.words
    assert (report.outcome, done.returncode) == ("worse", 1)


@pytest.mark.native
def test_ctrl_c_tells_what_there_is_and_leaves_nothing(revision: str, tmp_path: Path) -> None:
    command = [*SCRIPT, "native", revision, STACK, *BRIEFLY, str(tmp_path), "--rounds", "30"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    words: list[str] = []
    for line in process.stderr:
        words.append(line)
        if "[2/" in line:
            break
    process.send_signal(signal.SIGINT)
    told, rest = process.communicate(timeout=120)
    assert process.returncode == 130, "".join(words) + rest
    assert "json-small, 16 users: can't tell" in told
    assert "ended by interrupted" in rest
    assert "Traceback" not in rest
    assert left_behind() == []


def docker(*arguments: str) -> Sequence[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.servers
def test_containers_of_a_revision_run_beside_today_s(revision: str, tmp_path: Path) -> None:
    try:
        engine_version()
    except UserError as error:
        pytest.skip(f"containers: {error}")
    done, report = compare("docker", revision, STACK, *BRIEFLY, str(tmp_path), "--rounds", "1", "--budget", "60s")
    assert report is not None, done.stderr
    (answer,) = report.answers
    assert (answer.verdict, done.returncode) == ("can't tell", 0)
    assert spoiled(answer) or (answer.goodput.rounds == 1 and answer.goodput.ratio is not None), answer.words
    names = [*docker("ps", "--all", "--format", "{{.Names}}"), *docker("images", "--format", "{{.Repository}}")]
    assert [name for name in names if f"{STACK}-at-" in name] == []
    assert left_behind() == []
