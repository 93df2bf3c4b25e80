"""The gates: what each lets through and what it stops, on trials that are made up, and the kernel's own counters."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.analysis import validity
from stackmatrix.errors import UserError
from stackmatrix.load.latency import Latency
from stackmatrix.load.recorder import Ending
from stackmatrix.load.records import ROW, Records
from stackmatrix.measure.offered_load import stuck
from stackmatrix.meter.cgroup import Cgroup
from stackmatrix.meter.meter import Meter
from stackmatrix.meter.sockets import connection_counts
from stackmatrix.results.plan import Load
from stackmatrix.results.reasons import REMEDIES, ReasonKind
from stackmatrix.results.trial import Entry, Errors, Trial
from stackmatrix.runtime.base import Runtime

CLOSED = Load("closed", users=64)
OPEN = Load("open", rate=500.0, arrivals="poisson")
GOOD = Trial(
    id="r00-a0-s",
    arm="s/w/64 users",
    round=0,
    attempt=0,
    started="2026-01-01T00:00:00Z",
    window_s=1.0,
    offered=1000,
    answered=1000,
    goodput=1000.0,
    little=1.0,
    halves=(990.0, 1010.0),
    latency_ms=Latency(p50=10.0),
    connections=64,
    right=1500,
    generator_share=0.3,
    drift_p99_ms=0.2,
    foreign_share=0.05,
    ledger=[Entry("new rows", 1500, 1500), Entry("SQL statements", 1500, None)],
)


def kinds(load: Load = CLOSED, **changed: Any) -> list[ReasonKind]:
    """The kinds of reasons against a good trial that was changed."""
    return [reason.kind for reason in validity.gate_reasons(replace(GOOD, **changed), load)]


def test_a_good_trial_passes() -> None:
    assert kinds() == []
    assert kinds(OPEN, offered=500) == []


def test_every_kind_has_a_remedy() -> None:
    assert set(REMEDIES) == set(get_args(ReasonKind))


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("errors", {"errors": Errors(status=1)}),
        ("errors", {"errors_outside": Errors(closed=1)}),
        ("unfinished", {"answered": 0}),
        ("stuck", {"stuck": 1}),
        ("reconnects", {"reconnects": 1}),
        ("ledger", {"ledger": [Entry("new rows", 1500, 1499)]}),
        ("ledger", {"ledger": [Entry("new rows", 1500, 1504, slack=3)]}),
        ("unsteady", {"halves": (400.0, 1600.0)}),
        ("unsteady", {"halves": (1600.0, 0.0)}),
        ("restart", {"started_processes": 1}),
        ("restart", {"ended_processes": 1}),
        ("throttled", {"throttled": {"postgres": 3}}),
        ("oom", {"oom_kills": {"fastapi-sync": 1}}),
        ("little", {"little": 0.8}),
        ("generator", {"generator_share": 0.71}),
        ("neighbour", {"foreign_share": 0.26}),
        ("steal", {"steal_share": 0.021}),
    ],
)
def test_a_bad_trial_is_stopped_by_its_gate_alone(kind: str, changed: Mapping[str, Any]) -> None:
    assert kinds(**changed) == [kind]


@pytest.mark.parametrize(
    "changed",
    [
        {"ledger": [Entry("new rows", 1500, 1503, slack=3)]},
        {"halves": None},
        {"halves": (700.0, 1300.0)},
        {"halves": (2.0, 8.0), "answered": 5},
        {"generator_share": 0.70},
        {"foreign_share": None},
        {"little": 0.8, "answered": 200},
        {"connections_per_worker": [40, 24]},
    ],
)
def test_what_is_no_fault_passes(changed: Mapping[str, Any]) -> None:
    assert kinds(**changed) == []


def test_a_rate_near_what_the_generator_can_do_is_not_the_stack_s() -> None:
    fast = replace(GOOD, goodput=29_000.0, halves=None, generator_share=0.5)
    assert not validity.gate_reasons(fast, CLOSED, generator_rps=60_000.0)
    (reason,) = validity.gate_reasons(fast, CLOSED, generator_rps=40_000.0)
    assert reason.kind == "generator"
    assert "72% of what the generator can do here" in reason.detail
    by_tool = replace(CLOSED, tool="wrk")  # whose own limit nobody has measured
    assert not validity.gate_reasons(fast, by_tool, generator_rps=40_000.0)


def test_a_stack_that_was_not_ready_is_unsteady() -> None:
    late: dict[str, Any] = {"warmup_s": 2.0, "first_answer_s": 2.4, "latency_ms": Latency(p50=100.0)}
    assert kinds(**late) == ["unsteady"]
    assert kinds(**late | {"first_answer_s": 0.4}) == []
    assert kinds(**late | {"latency_ms": Latency(p50=1200.0)}) == []  # it answers as slowly as it began


def test_an_open_load_must_leave_when_it_is_due() -> None:
    assert kinds(OPEN, offered=500, drift_p99_ms=6.0) == ["drift"]
    assert kinds(OPEN, offered=500, drift_p99_ms=6.0, latency_ms=Latency(p50=200.0)) == []
    assert kinds(OPEN, offered=400) == ["drift"]


@given(rate=st.floats(1, 1e5), window=st.floats(0.5, 10), data=st.data())
def test_the_halves_of_a_steady_stack_are_never_called_unsteady(
    rate: float, window: float, data: st.DataObject
) -> None:
    mean = rate * window / 2
    spread = 2 * mean**0.5  # of a Poisson count, two sigma to either side
    halves = tuple(max(0.0, data.draw(st.floats(mean - spread, mean + spread))) * 2 / window for _ in range(2))
    assert "unsteady" not in kinds(halves=halves, window_s=window)


def rows(*spans: tuple[float, float, Ending]) -> Records:
    """Records of requests that were sent and ended so."""
    records = np.zeros(len(spans), ROW)
    for row, (sent, end, verdict) in zip(records, spans, strict=True):
        row["scheduled"], row["sent"], row["end"], row["verdict"] = sent, sent, end, verdict
    return cast(Records, records)


NEVER = float("nan")


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0.0, 0.01, Ending.OK), (2.0, NEVER, Ending.UNFINISHED)], 1),
        ([(0.0, 2.0, Ending.OK), (1.0, NEVER, Ending.UNFINISHED)], 0),
        ([(0.0, 0.01, Ending.OK), (NEVER, NEVER, Ending.UNFINISHED)], 0),
        ([(0.0, NEVER, Ending.UNFINISHED)], 0),
        ([], 0),
    ],
    ids=["one hangs", "all are slow", "one was never sent", "none was answered", "no request"],
)
def test_a_request_is_stuck_when_it_waits_far_longer_than_any_answer_took(
    spans: list[tuple[float, float, Ending]], expected: int
) -> None:
    assert stuck(rows(*spans), given_up=4.0) == expected


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


HOLDER = r"""
import os, socket, sys
server = socket.create_server(("127.0.0.1", 0))
child = os.fork()
if child:
    print(server.getsockname()[1], os.getpid(), child, flush=True)
held = [server.accept() for _ in range(3 if child else 1)]
os.write(1, b"held\n")
sys.stdin.read()
"""


def test_connections_are_counted_by_the_process_that_holds_them() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        port, parent, child = map(int, program.stdout.readline().split())
        with contextlib.ExitStack() as clients:
            for _ in range(4):
                clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            assert [program.stdout.readline() for _ in range(2)] == ["held\n"] * 2
            assert connection_counts([parent, child, os.getpid()], port) == [3, 1]
            assert connection_counts([child], port) == [1]
            assert connection_counts([os.getpid()], port) == []
        program.stdin.close()
    assert connection_counts([parent, child], port) == []
