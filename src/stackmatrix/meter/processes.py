"""CPU, memory, threads and waiting for a core of some processes, from `/proc`."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Census:
    """What was seen at one moment."""

    processes: int
    threads: int


@dataclass(frozen=True, slots=True)
class RunQueue:
    """Seconds that threads ran, and that they were ready but waited for a core (`/proc/PID/task/*/schedstat`)."""

    ran: float
    waited: float


def census(pids: Iterable[int]) -> Census:
    """Count the processes that still live, and their threads."""
    threads = [count for pid in pids if (count := len(tasks(pid)))]
    return Census(len(threads), sum(threads))


def run_queue(pids: Iterable[int]) -> RunQueue:
    """Running and waiting time of all threads that live now, in seconds."""
    ran = waited = 0
    for pid in pids:
        for task in tasks(pid):
            with suppress(OSError):  # a thread may end between listing and reading
                columns = (PROC / str(pid) / "task" / task / "schedstat").read_text().split()
                ran += int(columns[0])
                waited += int(columns[1])
    return RunQueue(ran / 1e9, waited / 1e9)


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time of processes and of their children already reaped, in seconds; its grain is one clock tick."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            after_name = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            total += sum(int(column) for column in after_name[11:15])
    return total / TICK


def anonymous_bytes(pids: Iterable[int]) -> int:
    """Anonymous memory of processes, in bytes; pages shared after a fork count once per process."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            status = (PROC / str(pid) / "status").read_text()
            line = next((line for line in status.splitlines() if line.startswith("RssAnon:")), "RssAnon: 0")
            total += int(line.split()[1]) * 1024
    return total


def tasks(pid: int) -> list[str]:
    """The thread ids of one process; none when it has ended."""
    try:
        return [path.name for path in (PROC / str(pid) / "task").iterdir()]
    except OSError:
        return []


def steal_share(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Share of the machine's CPU time that its host took away between two `cpu_line()` readings."""
    total = after[1] - before[1]
    return (after[0] - before[0]) / total if total else 0.0


def cpu_line() -> tuple[int, int]:
    """(stolen, total) ticks of all CPUs since boot."""
    columns = [int(column) for column in (PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    return columns[7], sum(columns)
