"""What the kernel counts of processes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from stackmatrix.linux import io_of


def test_what_processes_read_and_write_is_counted_together(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"x" * 300_000)
    before = io_of([os.getpid()])
    file.read_bytes()
    here, there = socket.socketpair()
    with file.open("rb") as source, here, there:
        here.setblocking(False)
        sent = os.sendfile(here.fileno(), source.fileno(), 0, 50_000)
    after = io_of([os.getpid()])
    assert before is not None
    assert after is not None
    assert after.read_bytes - before.read_bytes >= 300_000
    assert after.written_bytes - before.written_bytes >= sent > 0
    assert after.reads > before.reads
    assert after.writes > before.writes
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    both = io_of([os.getpid(), child.pid])
    child.communicate(b"\n")
    assert both is not None
    assert both.read_bytes >= after.read_bytes


def test_nobody_and_whoever_is_gone_count_nothing() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert io_of([]) is None
    assert io_of([os.getpid(), child.pid]) is None
