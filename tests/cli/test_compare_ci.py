"""The workflow in docs/ci.md: it is YAML, its scripts are sound, and what they call exists."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackmatrix.catalog import ROOT

DOCUMENT = ROOT / "docs" / "ci.md"
RUNNER_HAS = {"git", "cut", "sort", "cat", "rm", "gh", "echo", "exit", "continue"}
SHELLCHECK = Path(sys.prefix) / "bin" / "shellcheck"


def workflow() -> dict[Any, Any]:
    (text,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)
    found: dict[Any, Any] = yaml.safe_load(text)
    return found


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workflow()["jobs"]["compare"]["steps"]
    return found


SCRIPTS = [step["run"] for step in steps() if "run" in step]
CALLS = [line.strip() for line in re.findall(r"\./scripts/.*", DOCUMENT.read_text(encoding="utf-8"))]


def test_it_runs_on_pull_requests_and_each_step_does_one_thing() -> None:
    found = workflow()
    assert "pull_request" in found[True], "YAML 1.1 takes the key `on` for true"
    assert found["jobs"]["compare"]["steps"][0]["with"]["fetch-depth"] == 0
    assert all(("uses" in step) != ("run" in step) for step in steps())


@pytest.mark.parametrize("script", SCRIPTS)
def test_its_scripts_are_sound(script: str) -> None:
    checked = subprocess.run(
        [str(SHELLCHECK), "--shell=bash", "-"], input=script, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_command_exists(script: str) -> None:
    plain = re.sub(r'"[^"]*"|#.*', "", script)
    starts = re.findall(r"(?:^|\$\(|\|\|?|&&|\) )\s*([a-z./][\w./-]*)(?=\s|$|;)", plain, re.M)
    keywords = {"for", "do", "done", "case", "esac", "if", "then", "fi", "in"}
    called = {word for word in starts if word not in keywords and "=" not in word}
    assert {word for word in called if word.startswith("./")} <= {"./scripts/compare.py"}
    assert {word for word in called if not word.startswith("./")} <= RUNNER_HAS
    assert called


def test_every_option_exists() -> None:
    help_text = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "compare.py"), "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert CALLS
    for call in CALLS:
        assert (ROOT / call.split()[0]).is_file()
        assert set(re.findall(r"--[a-z-]+", call)) <= set(re.findall(r"--[a-z-]+", help_text)), call
