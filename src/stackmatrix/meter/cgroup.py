"""A container's CPU and memory from its own cgroup files, versions 1 and 2; a read costs about 20 µs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Throttling:
    """How often and how long (seconds) the kernel held the group back for its CPU quota."""

    periods: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One container's; version 2 has one directory for all controllers, under the name ''."""

    directories: Mapping[str, str]

    def cpu_seconds(self) -> float:
        """Read the CPU time used since the group was made, in seconds."""
        if "cpuacct" in self.directories:
            return int((Path(self.directories["cpuacct"]) / "cpuacct.usage").read_text()) / 1e9
        return self._read("cpu", "cpu.stat")["usage_usec"] / 1e6

    def anonymous_bytes(self) -> int:
        """Read the memory that is the programs' own, in bytes: page cache is not counted."""
        return self._read("memory", "memory.stat")["total_rss" if "memory" in self.directories else "anon"]

    def throttling(self) -> Throttling:
        stat = self._read("cpu", "cpu.stat")
        nanoseconds = stat.get("throttled_time", stat.get("throttled_usec", 0) * 1000)
        return Throttling(stat.get("nr_throttled", 0), nanoseconds / 1e9)

    def oom_kills(self) -> int | None:
        """Count processes that the kernel killed for want of memory; None where it does not count them."""
        file = "memory.oom_control" if "memory" in self.directories else "memory.events"
        return self._read("memory", file).get("oom_kill")

    def _read(self, controller: str, file: str) -> dict[str, int]:
        directory = self.directories.get(controller, self.directories.get("", ""))
        pairs = (line.split() for line in (Path(directory) / file).read_text().splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
