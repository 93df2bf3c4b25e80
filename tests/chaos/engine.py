"""What the tests ask of a Docker engine itself, past the harness."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from stackmatrix.catalog import ROOT
from stackmatrix.errors import UserError
from stackmatrix.runtime.docker import PROJECT, engine_version

EMPTY_WITHIN_S = 30


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def containers() -> dict[str, dict[str, Any]]:
    """Describe the project's containers by service."""
    ids = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}").split()
    described: list[dict[str, Any]] = json.loads(docker("inspect", *ids)) if ids else []
    return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in described}


def networks() -> list[str]:
    return [name for name in docker("network", "ls", "--format", "{{.Name}}").split() if name.startswith(PROJECT)]


@pytest.fixture
def empty_engine() -> Iterator[None]:
    """An engine without containers of the project, before and after."""
    skip_unless_free()
    yield
    deadline = time.monotonic() + EMPTY_WITHIN_S
    while (left := [each["Id"] for each in containers().values()]) and time.monotonic() < deadline:
        # one that is being removed already is no failure
        subprocess.run(["docker", "rm", "--force", *left], capture_output=True, check=False)
    for name in networks():
        docker("network", "rm", name)


def skip_unless_free() -> None:
    try:
        engine_version()
    except UserError as error:
        pytest.skip(f"containers: {error}")
    if containers():
        pytest.skip("the project is up already; what was up before stays up")


def stackmatrix_up(*stacks: str) -> subprocess.CompletedProcess[str]:
    """What `make up` runs."""
    command = [sys.executable, str(ROOT / "scripts" / "up.py"), *stacks]
    return subprocess.run(command, capture_output=True, text=True, check=False)
