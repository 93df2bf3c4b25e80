"""The kernel's counters: read of processes of the test's own, and grown by real servers that have what they tell of."""

import os
import threading
from dataclasses import fields
from pathlib import Path

import pytest

from stackmatrix.meter import kernel
from stackmatrix.meter.kernel import kernel_counts, network_counts
from stackmatrix.results.trial import Kernel

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
    assert after["voluntary_switches"] - before["voluntary_switches"] >= 20
