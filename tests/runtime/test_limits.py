"""What the machine itself lacks is named before anything is started, and never a stack."""

import subprocess
import sys
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.catalog import ROOT
from stackmatrix.runtime.limits import LEAST_DISK_BYTES, MIB, Limits, limits_of, shortage

PLACE = Path("results")
NATIVE = ("--runtime", "native", "--workload", "http", "--results")
ENOUGH = Limits(files=1024, ports=28_232, disk_bytes=LEAST_DISK_BYTES, memory_bytes=2**31)


@pytest.mark.parametrize(
    ("changed", "users", "words"),
    [
        ({"ports": 500}, 501, "--users 501: this machine has 500 ports"),
        ({"files": 64}, 0, "a process may open 64 files, and 256 are needed: raise `ulimit -Hn`"),
        ({}, 385, "--users 385: a process may open 1024 files, and 1026 are needed: raise `ulimit -Hn`, or offer"),
        ({"memory_bytes": 100 * MIB}, 0, "100 MiB of memory are free, and 256 are needed"),
        ({"disk_bytes": MIB // 2}, 0, "results: 0.5 MiB of disk are free, and 64 are needed"),
    ],
)
def test_what_is_too_little_is_named_with_the_remedy(changed: dict[str, float], users: int, words: str) -> None:
    said = shortage(replace(ENOUGH, **changed), users, PLACE)
    assert said is not None and said.startswith(words)
    assert "\n" not in said


def test_what_is_enough_is_not() -> None:
    assert shortage(ENOUGH, 384, PLACE) is None
    assert shortage(Limits(inf, inf, inf, inf), 999_999, PLACE) is None


@given(
    limits=st.builds(Limits, *[st.integers(0, 10**6)] * 2, *[st.integers(0, 2**36)] * 2),
    users=st.integers(0, 10**6),
    fewer=st.integers(0, 10**6),
)
def test_fewer_users_never_need_more(limits: Limits, users: int, fewer: int) -> None:
    if shortage(limits, users, PLACE) is None:
        assert shortage(limits, min(users, fewer), PLACE) is None


def test_this_machine_has_enough_for_the_tests(tmp_path: Path) -> None:
    found = limits_of(tmp_path / "not" / "yet")
    assert shortage(found, 8, tmp_path) is None
    assert found.disk_bytes < inf and found.memory_bytes < inf and found.ports < inf


def test_a_low_limit_of_files_starts_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "check-performance.py"), *NATIVE, str(tmp_path)]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --users 64: a process may open 64 files, and 384 are needed: raise `ulimit")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
