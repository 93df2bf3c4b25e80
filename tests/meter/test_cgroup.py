"""The kernel's own counters, in a control group that is made for the test."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from stackmatrix.errors import UserError
from stackmatrix.meter.cgroup import Cgroup
from stackmatrix.meter.meter import Meter
from stackmatrix.runtime.base import Runtime

LIMITS = {
    "cpu.cfs_quota_us": "10000",  # version 1: 10 ms in every 100
    "cpu.max": "10000 100000",  # version 2
    "memory.limit_in_bytes": str(64 * 2**20),
    "memory.max": str(64 * 2**20),
    "memory.swap.max": "0",
}


@pytest.fixture
def group() -> Iterator[dict[str, str]]:
    """A control group of this machine's kernel with little CPU and memory; the version is the machine's."""
    base = Path("/sys/fs/cgroup")
    first = "" if (base / "cgroup.controllers").exists() else "cpu"
    name = f"stack-matrix-test-{os.getpid()}"
    controllers = [""] if first == "" else ["cpu", "cpuacct", "memory"]
    made = {controller: base / controller / name for controller in controllers}
    try:
        for path in made.values():
            path.mkdir()
            for file, limit in LIMITS.items():
                if (path / file).exists():
                    (path / file).write_text(limit)
        if not any((path / file).exists() for path in made.values() for file in ("cpu.cfs_quota_us", "cpu.max")):
            pytest.skip("the CPU controller is not to be had here")
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error.strerror}")
    try:
        yield {controller: str(path) for controller, path in made.items()}
    finally:
        for path in made.values():
            if path.exists():
                path.rmdir()


class Contained:
    """As much of a runtime as a meter asks."""

    def __init__(self, group: Mapping[str, str]) -> None:
        self._group = group

    def cgroup(self, name: str) -> Mapping[str, str]:
        """The group."""
        return self._group

    def pids(self, name: str) -> list[int]:
        """None."""
        return []


def run_in(group: Mapping[str, str], program: str) -> int:
    """Run some Python inside of a group; its exit code."""
    join = "".join(f"open({f'{path}/cgroup.procs'!r}, 'w').write('0');" for path in group.values())
    return subprocess.run([sys.executable, "-c", f"{join}{program}"], check=False).returncode


def test_the_kernel_tells_of_quotas_and_of_processes_killed_for_memory(group: dict[str, str]) -> None:
    meter = Meter(cast(Runtime, Contained(group)), "stack")
    before = meter.read()
    assert run_in(group, "import time; end = time.monotonic() + 0.5\nwhile time.monotonic() < end: pass") == 0
    assert run_in(group, "bytearray(256 * 2**20)") == -9
    after = meter.read()
    assert before.cpu_s is not None
    assert after.cpu_s is not None
    assert 0.01 < after.cpu_s - before.cpu_s < 0.5
    assert (after.throttled or 0) > (before.throttled or 0)
    assert Cgroup(group).throttling().seconds > 0
    assert (before.oom_kills, after.oom_kills) == (0, 1)


def test_a_container_that_ended_is_a_word_and_no_traceback(group: dict[str, str]) -> None:
    meter = Meter(cast(Runtime, Contained(group)), "fastapi-sync")
    for path in group.values():
        Path(path).rmdir()
    with pytest.raises(UserError, match="fastapi-sync ended while it was timed"):
        meter.read()
