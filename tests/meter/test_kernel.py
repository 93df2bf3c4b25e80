"""The kernel's counters: read of processes of the test's own, and grown by real servers that have what they tell of."""

import os
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path

import pytest

from stackmatrix.analysis.judge import judge
from stackmatrix.analysis.model.observed import Setup
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import load_stacks, parse_variant
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.http import Expected, Request
from stackmatrix.load.generator import Edge, generate
from stackmatrix.load.job import Closed, LoadJob, RequestKind
from stackmatrix.load.summary import summarise
from stackmatrix.measure.server_side import kernel_growth
from stackmatrix.meter import kernel
from stackmatrix.meter.kernel import kernel_counts, network_counts
from stackmatrix.meter.processes import cpu_seconds
from stackmatrix.results.plan import Load, arms_of
from stackmatrix.results.run import ArmResult
from stackmatrix.results.trial import Cpu, Kernel

from ..made_trials import made

NETSTAT = """\
TcpExt: DelayedACKs ListenOverflows ListenDrops TCPSynRetrans
TcpExt: {} 2 3 4
IpExt: InOctets
IpExt: 99
"""
SNMP = """\
Tcp: MaxConn EstabResets RetransSegs
Tcp: -1 5 6
"""


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up `/proc` with a process 7, whose network is another than this one's."""
    for name, acks in (("7", 70), ("self", 1)):
        (tmp_path / name / "net").mkdir(parents=True)
        (tmp_path / name / "net" / "netstat").write_text(NETSTAT.format(acks))
        (tmp_path / name / "net" / "snmp").write_text(SNMP)
    monkeypatch.setattr(kernel, "PROC", tmp_path)
    monkeypatch.setattr(kernel, "io_of", lambda pids: None)
    monkeypatch.setattr(kernel, "thread_ids", lambda pid: [pid, pid + 1] if pid == 7 else [])
    task = tmp_path / "7" / "task"
    for thread, (gave, lost) in {7: (10, 1), 8: (20, 2)}.items():
        (task / str(thread)).mkdir(parents=True)
        text = f"Name:\ta\nvoluntary_ctxt_switches:\t{gave}\nnonvoluntary_ctxt_switches:\t{lost}\nx86_features:\n"
        (task / str(thread) / "status").write_text(text)
    return tmp_path


@pytest.mark.usefixtures("proc")
def test_every_counter_has_its_place() -> None:
    assert kernel_counts({7}) == {
        "listen_overflows": 2,
        "listen_drops": 3,
        "syn_retransmits": 4,
        "retransmits": 6,
        "resets": 5,
        "delayed_acks": 1,
        "voluntary_switches": 30,
        "involuntary_switches": 3,
    }


def test_what_cannot_be_read_is_left_out(proc: Path) -> None:
    assert kernel_counts([]) == {}
    (proc / "self" / "net" / "netstat").unlink()
    (proc / "7" / "net" / "snmp").unlink()
    (proc / "7" / "task" / "8" / "status").unlink()
    found = kernel_counts([7])
    assert not found.keys() & {"delayed_acks", "retransmits", "reads"}
    assert (found["listen_drops"], found["voluntary_switches"]) == (3, 10)
    assert network_counts(9) == {}


def test_of_this_process_all_can_be_read() -> None:
    before = kernel_counts([os.getpid()])
    assert before.keys() == {field.name for field in fields(Kernel)}
    reader, writer = os.pipe()
    for _ in range(50):
        os.write(writer, b"x")
        os.read(reader, 1)
    for _ in range(20):
        threading.Event().wait(0.001)
    after = kernel_counts([os.getpid()])
    assert after["writes"] - before["writes"] >= 50
    assert after["reads"] - before["reads"] >= 50
    # of some, the wait was over before it began
    assert after["voluntary_switches"] - before["voluntary_switches"] >= 10


SERVER = r"""
import os, socket, sys, threading, time
backlog, late_s, pieces, keeps = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "keeps"
listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)  # Nagle's algorithm is on, as it is by default
head, body = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello"

def serve(client):
    with client:
        while client.recv(65536):
            sum(range(20000))  # a fraction of a millisecond of CPU
            for piece in (head, body) if pieces == 2 else (head + body,):
                os.write(client.fileno(), piece)
            if not keeps:
                break

print(listener.getsockname()[1], flush=True)
while True:
    time.sleep(late_s)
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def under_load(tmp_path: Path, users: int, *server: object) -> tuple[ArmResult, Kernel]:
    """What is said of a server by its goodput, CPU and counters in a window of 2 s, as of one that only computes."""
    seen: dict[Edge, tuple[dict[str, int], float]] = {}
    command = [sys.executable, "-c", SERVER, *map(str, server)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        job = LoadJob(
            host="127.0.0.1",
            port=int(process.stdout.readline()),
            kinds=(RequestKind("k", (Request("GET", "/", expected=Expected(200, b"hello")),)),),
            load=Closed(users, ramp_s=0.2),
            duration_s=2.0,
            warmup_s=0.5,
            timeout_s=8.0,
            drain_s=8.0,
        )
        pids = [process.pid]
        outcome = generate(
            job,
            records=tmp_path / "records.npy",
            on_window=lambda edge, _at: seen.update({edge: (kernel_counts(pids), cpu_seconds(pids))}),
        )
        process.kill()
    (before, began), (after, ended) = seen["start"], seen["end"]
    counted, found = kernel_growth(before, after), summarise(outcome)
    catalog = Catalog(load_stacks(), load_workloads())
    variant, workload = parse_variant("fastapi-async", catalog.stacks), catalog.workloads["json-small"]
    (arm,) = arms_of([variant], [workload], {}, [Load("closed", users=users)], twice=False)
    trial = made(
        arm.id,
        window_s=found.seconds,
        answered=round(found.answers),
        answers=found.answers,
        right=round(found.answers),
        goodput=found.rps,
        latency_ms=found.latency,
        cpu_s=Cpu(stack=ended - began),
        kernel=counted,
    )
    (result,) = judge([arm], [trial], Setup(catalog, [0, 1]), lambda _: found.latency).arms
    return result, counted


@pytest.mark.native
def test_a_queue_of_one_connection_overflows(tmp_path: Path) -> None:
    """Every answer takes a connection of its own, of which 20 a second are accepted."""
    result, counted = under_load(tmp_path, 8, 1, 0.05, 1, "closes")
    assert counted.listen_overflows, counted
    assert counted.syn_retransmits, counted
    assert result.verdict == "accept-queue", result.explanation
    assert any("BACKLOG" in line for line in result.explanation)


@pytest.mark.native
def test_the_second_of_two_writes_waits_for_an_acknowledgement(tmp_path: Path) -> None:
    for _ in range(3):  # where others keep the cores busy, it may wait for longer
        result, counted = under_load(tmp_path, 4, 64, 0.0, 2, "keeps")
        if result.verdict == "delayed-ack":
            break
    assert result.verdict == "delayed-ack", (result.explanation, counted)
    assert any(
        "delayed acknowledgement" in line and line.endswith("2 writes an answer.") for line in result.explanation
    )
    assert any("TCP_NODELAY" in line for line in result.explanation)


@pytest.mark.native
def test_an_answer_in_one_write_waits_for_none(tmp_path: Path) -> None:
    result, counted = under_load(tmp_path, 4, 64, 0.0, 1, "keeps")
    assert result.goodput is not None
    assert counted.delayed_acks is not None and counted.writes is not None
    answers = result.goodput.value * 2
    assert counted.writes / answers == pytest.approx(1, rel=0.05)
    assert counted.delayed_acks < 0.5 * answers
    assert result.verdict != "delayed-ack", result.explanation
