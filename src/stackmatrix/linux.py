"""What Linux tells of processes, and does for them, beyond Python's standard library."""

import ctypes
import os
import signal
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends (elsewhere than on Linux, the end of stdin must do)."""
    if sys.platform == "linux":
        prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            sys.exit("the parent is gone")


def adopt_orphans() -> None:
    """Become the parent of every orphan below this process."""
    prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def prctl(option: int, value: int) -> None:
    LIBC.prctl(option, value, 0, 0, 0)


def thread_ids(pid: int) -> list[int]:
    try:
        return [int(path.name) for path in (PROC / str(pid) / "task").iterdir()]
    except OSError:
        return []


def stat_columns(pid: int) -> list[str]:
    """Read the columns of `/proc/PID/stat` from the state on; OSError when the process is gone."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()  # a name may hold spaces


@dataclass(frozen=True, slots=True)
class Io:
    """What some processes have read and written so far, of files and sockets alike, page cache included."""

    read_bytes: int
    written_bytes: int  # by sendfile too
    reads: int  # system calls
    writes: int


def io_of(pids: Collection[int]) -> Io | None:
    """Sum `/proc/PID/io`; None where there is none, or one may not be looked at."""
    totals = [0, 0, 0, 0]
    try:
        for pid in pids:
            lines = (PROC / str(pid) / "io").read_text().splitlines()
            for place, line in enumerate(lines[:4]):  # rchar, wchar, syscr, syscw
                totals[place] += int(line.rpartition(" ")[2])
    except OSError:
        return None
    return Io(*totals) if pids else None


def lives(pid: int) -> bool:
    """Tell whether a process still does anything: a zombie does not."""
    try:
        return stat_columns(pid)[0] not in "ZX"
    except OSError:
        return False


LIBC = ctypes.CDLL(None, use_errno=True)  # loaded before any fork: what runs between fork and exec must not
