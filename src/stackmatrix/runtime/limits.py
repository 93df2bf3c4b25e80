"""What this machine itself must allow before anything is started: else a stack is blamed for what the harness lacks."""

import math
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from stackmatrix.errors import UserError
from stackmatrix.linux import PROC

MIB = 2**20
LEAST_FILES = 256  # of a server with its pools, and of the generator
FILES_PER_USER = 2  # uWSGI's router has two open for each request
LEAST_DISK_BYTES = 64 * MIB  # a minute of records at 20 000/s
LEAST_MEMORY_BYTES = 256 * MIB
USER_BYTES = 64 * 1024  # of buffers, on both sides of a connection


@dataclass(frozen=True)
class Limits:
    """What there is; inf where nothing bounds it, or nobody can tell."""

    files: float  # that a process may have open
    ports: float  # for connections to one server
    disk_bytes: float
    memory_bytes: float


def limits_of(place: Path) -> Limits:
    """Read this machine's limits, and the space at a place that may have yet to be made."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    there = next(each for each in (place.absolute(), *place.absolute().parents) if each.exists())
    ports = memory = math.inf
    try:
        first, last = map(int, (PROC / "sys/net/ipv4/ip_local_port_range").read_text().split())
        ports = last - first + 1
        lines = (PROC / "meminfo").read_text().splitlines()
        memory = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except OSError:
        pass  # no Linux
    return Limits(math.inf if hard == resource.RLIM_INFINITY else hard, ports, shutil.disk_usage(there).free, memory)


def shortage(limits: Limits, users: int, place: Path) -> str | None:
    """Say what is too little for so many users, with the remedy; None when nothing is."""
    files, memory = LEAST_FILES + FILES_PER_USER * users, LEAST_MEMORY_BYTES + USER_BYTES * users
    offer = f"--users {users}: " if users else ""
    fewer = ", or offer fewer --users" if users else ""
    if limits.ports < users:
        return (
            f"{offer}this machine has {limits.ports:.0f} ports for connections to one server; offer no more users, or "
            "widen net.ipv4.ip_local_port_range"
        )
    if limits.files < files:
        return f"{offer}a process may open {limits.files:.0f} files, and {files} are needed: raise `ulimit -Hn`{fewer}"
    if limits.memory_bytes < memory:
        free = limits.memory_bytes / MIB
        return f"{offer}{free:.0f} MiB of memory are free, and {memory / MIB:.0f} are needed: end other programs{fewer}"
    if limits.disk_bytes < LEAST_DISK_BYTES:
        free, least = limits.disk_bytes / MIB, LEAST_DISK_BYTES / MIB
        return f"{place}: {free:.1f} MiB of disk are free, and {least:.0f} are needed: free some space, then go on"
    return None


def check_limits(place: Path, users: int = 0) -> None:
    """Raise UserError when this machine has too little for so many users, or to keep a run at `place`."""
    words = shortage(limits_of(place), users, place)
    if words is not None:
        raise UserError(words)
