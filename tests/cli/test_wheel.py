"""The wheel alone, outside any checkout: `stackmatrix load` runs, and what needs a checkout says so."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stackmatrix.catalog import ROOT

from ..load.scripted import answering, server

UV = Path(sys.executable).with_name("uv")
OK_HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

pytestmark = pytest.mark.native


def do(*words: str | Path, cwd: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    command, environment = list(map(str, words)), {**os.environ, **changed}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=300, env=environment)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a wheel that was built from this checkout and installed where no other package is."""
    place = tmp_path_factory.mktemp("elsewhere")
    steps: list[list[str | Path]] = [
        [UV, "build", "--quiet", "--wheel", "--out-dir", place, ROOT],
        [UV, "venv", "--quiet", "--python", sys.executable, place / "venv"],
    ]
    for step in steps:
        done = do(*step, cwd=place)
        assert done.returncode == 0, done.stderr
    (wheel,) = place.glob("*.whl")
    assert wheel.name.startswith("stack_matrix-")
    assert all(name.startswith("stackmatrix") for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name)
    python = place / "venv" / "bin" / "python"
    # As the lock has them: what was tested is what is tried here.
    done = do(
        UV, "pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "requirements.txt", wheel, cwd=place
    )
    assert done.returncode == 0, done.stderr
    return place / "venv" / "bin" / "stackmatrix"


def test_load_runs_anywhere(installed: Path, tmp_path: Path) -> None:
    with server(answering(OK_HELLO)) as port:
        done = do(
            installed, "load", f"http://127.0.0.1:{port}/", "--users", "4", "--think", "10ms", "--duration", "500ms",
            "--warmup", "0", "--json", "-", cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["errors"] == 0
    assert 100 < found["rps"] < 410  # four users who think for 10 ms after each answer
    assert "goodput" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_needs_a_checkout_says_so_and_finds_the_one_around_it(installed: Path, tmp_path: Path) -> None:
    done = do(installed, "run", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: stackmatrix run needs the stacks: run it in a checkout of Stack Matrix; only `stackmatrix load` runs "
        "anywhere\n"
    )
    listed = do(installed, "experiment", cwd=ROOT / "docs")
    assert listed.returncode == 0, listed.stderr
    assert "workers-threads  about " in listed.stdout


def test_help_and_completion_need_nothing_else(installed: Path, tmp_path: Path) -> None:
    assert do(installed, "run", "--help", cwd=tmp_path).stdout.startswith("Usage: stackmatrix run [OPTIONS]")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", do(installed, "--version", cwd=tmp_path).stdout)
    script = tmp_path / "completion"
    done = do(
        installed, "--install-completion", "--shell", "bash", "--output", script, cwd=tmp_path, HOME=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert "--budget" in script.read_text()


def test_a_tool_that_is_not_installed_is_named(installed: Path, tmp_path: Path) -> None:
    with server(answering(OK_HELLO)) as port:
        done = do(
            installed, "load", f"http://127.0.0.1:{port}/", "--users", "1", "--generator", "locust", cwd=tmp_path
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: locust is not installed")
    assert done.stderr.count("\n") == 1
