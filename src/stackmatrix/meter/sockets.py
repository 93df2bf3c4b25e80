"""Who holds how many of a server's connections, from `/proc`: the accepts need not have fallen evenly."""

from collections.abc import Iterable
from contextlib import suppress

from stackmatrix.linux import PROC

ESTABLISHED = "01"
TABLES = ("tcp", "tcp6")


def connection_counts(pids: Iterable[int], port: int) -> list[int]:
    """Count the established connections to a local port by process, of those that hold any, the most first."""
    counts = [len(sockets(pid) & connections(pid, port)) for pid in pids]
    return sorted(filter(None, counts), reverse=True)


def connections(pid: int, port: int) -> set[str]:
    found: set[str] = set()
    for table in TABLES:
        with suppress(OSError):
            for line in (PROC / str(pid) / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == ESTABLISHED and int(columns[1].rpartition(":")[2], 16) == port:
                    found.add(columns[9])
    return found


def sockets(pid: int) -> set[str]:
    """List the inodes of a process's open sockets; none when it has ended, or belongs to somebody else."""
    found: set[str] = set()
    with suppress(OSError):
        for path in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                kind, _, inode = str(path.readlink()).partition(":")
                if kind == "socket":
                    found.add(inode.strip("[]"))
    return found
