"""CPU, memory, threads and waiting for a core of some processes, from `/proc`."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from stackmatrix.linux import PROC, stat_columns, thread_ids

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Census:
    processes: int
    threads: int


def census(pids: Iterable[int]) -> Census:
    threads = [count for pid in pids if (count := len(thread_ids(pid)))]
    return Census(len(threads), sum(threads))


def cpu_seconds(pids: Iterable[int]) -> float:
    """Sum the CPU time of processes and of their children already reaped, in seconds, to one clock tick."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            total += sum(int(column) for column in stat_columns(pid)[11:15])
    return total / TICK


def anonymous_bytes(pids: Iterable[int]) -> int:
    """Sum the anonymous memory of processes, in bytes; pages shared after a fork count once per process."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            status = (PROC / str(pid) / "status").read_text()
            line = next((line for line in status.splitlines() if line.startswith("RssAnon:")), "RssAnon: 0")
            total += int(line.split()[1]) * 1024
    return total


@dataclass(frozen=True, slots=True)
class Cpus:
    """What the machine's CPUs had done since boot, in seconds."""

    busy: dict[int, float]  # per CPU: in programs, in the kernel and in interrupts
    stolen: float  # taken by the host, all CPUs together
    total: float


def cpus() -> Cpus:
    """Read `/proc/stat`; its grain is one clock tick."""
    busy: dict[int, float] = {}
    stolen = total = 0.0
    for line in (PROC / "stat").read_text().splitlines():
        name, *columns = line.split()
        if not name.startswith("cpu"):
            break
        user, nice, system, idle, iowait, irq, softirq, steal = (int(column) / TICK for column in columns[:8])
        if name == "cpu":
            stolen, total = steal, user + nice + system + idle + iowait + irq + softirq + steal
        else:
            busy[int(name[3:])] = user + nice + system + irq + softirq
    return Cpus(busy, stolen, total)


def steal_share(before: Cpus, after: Cpus) -> float:
    total = after.total - before.total
    return (after.stolen - before.stolen) / total if total else 0.0


def busy_seconds(before: Cpus, after: Cpus, cpus: Iterable[int]) -> float:
    """Sum how long some CPUs were busy with anything, in seconds."""
    return sum(after.busy[cpu] - before.busy[cpu] for cpu in cpus)
