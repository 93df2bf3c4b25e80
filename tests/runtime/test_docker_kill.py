"""A harness in containers that is killed outright: its watchdog leaves no container behind."""

import signal
import subprocess
import sys
import time

import pytest

from stackmatrix.catalog import ROOT
from stackmatrix.errors import UserError
from stackmatrix.runtime.docker import PROJECT, engine_version

WITHIN_S = 10


def containers() -> list[str]:
    """Names of the project's containers, running or not."""
    label = f"label=com.docker.compose.project={PROJECT}"
    command = ["docker", "ps", "--all", "--filter", label, "--format", "{{.Names}}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.servers
def test_a_killed_harness_leaves_no_container() -> None:
    try:
        engine_version()
    except UserError as error:
        pytest.skip(f"containers: {error}")
    if containers():
        pytest.skip("the project is up already; what was up before a run stays up")
    script = [sys.executable, str(ROOT / "scripts" / "check-performance.py"), "--runtime", "docker", "--rounds", "9"]
    arm = ["--stack", "fastapi-async", "--workload", "sleep", "--param", "ms=2000", "--users", "8", "--duration", "5"]
    process = subprocess.Popen([*script, *arm], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert any("arms, windows of" in line for line in process.stderr), "it never began"
        time.sleep(3)  # into the middle of a trial
        assert containers()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    deadline = time.monotonic() + WITHIN_S
    while containers() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert containers() == []
