"""What a load tool is here: a command made of a plan, and a reader of what the command left."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stackmatrix.errors import UserError
from stackmatrix.load.job import Closed, Exchange, LoadJob
from stackmatrix.load.recorder import Verdict
from stackmatrix.load.records import ROW, Records
from stackmatrix.load.summary import Floats, Latency

LAST_LINES: Final = 6

FIXED = "sends one fixed body, where the plan has many"
UNCHECKED = "does not look at bodies: a wrong answer with a right status counts as right"


@dataclass(frozen=True)
class Job:
    """One run of a tool."""

    plan: LoadJob
    load: Closed
    seconds: int
    """How long the load lasts, in the tools' whole seconds."""
    requests: int | None
    """With this, the run ends after so many requests instead."""
    cpus: tuple[int, ...]
    scratch: Path
    """The directory in which the command runs; files of the job lie here."""
    records: Path
    """Where a tool that writes rows itself puts them."""

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The exchanges of the plan's first kind: the only one for a tool that does not mix."""
        return self.plan.kinds[0].exchanges

    def write(self, name: str, content: bytes) -> str:
        """Put a file beside the command, and give its name."""
        (self.scratch / name).write_bytes(content)
        return name


@dataclass(frozen=True)
class Left:
    """What a command left behind; instants are CLOCK_MONOTONIC seconds."""

    start: float
    end: float
    wall_offset: float
    """Seconds to add to a time of day to get an instant."""
    stdout: str
    stderr: str
    cpu_s: float

    @property
    def last_lines(self) -> str:
        """What it said last."""
        lines = [line for line in (self.stdout + "\n" + self.stderr).splitlines() if line.strip()]
        return "\n".join(lines[-LAST_LINES:])


@dataclass(frozen=True)
class Reading:
    """A tool's own count of its run."""

    requests: int
    """All that the tool counts in its rate, right or not."""
    n: int
    failed: Mapping[str, int]
    seconds: float
    rps: float
    latency: Latency
    records: Records | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tool:
    """A load tool; whatever it cannot do is refused before it starts, or said in its notes."""

    name: str
    install: str
    """The command that installs it."""
    version: Callable[[str], str]
    """What the binary at this path is."""
    command: Callable[[Job], list[str]]
    """The command line; files that it names are written to the job's scratch directory."""
    read: Callable[[Job, Left], Reading]
    thinks: bool = False
    """Its users can wait between requests, and start one after another."""
    mixes: bool = False
    """It can draw several kinds of requests by weight."""
    counts: bool = False
    """It can end after a number of requests."""
    marks: bool = False
    """It says itself when its load starts and ends, by lines on the file descriptor that `MARKS` names."""


MARKS: Final = "STACKMATRIX_MARKS"


def unread(tool: str, left: Left) -> UserError:
    """The error for output that is not as expected."""
    return UserError(f"{tool}: its output cannot be read; it ended with:\n{left.last_lines}")


def counted(**counts: int) -> dict[str, int]:
    """Failures by class, only those that occurred; the words are those of `Verdict`."""
    return {name: count for name, count in counts.items() if count > 0}


def columns(file: Path, *which: int, skip: int = 0) -> list[NDArray[np.int64]]:
    """Some columns of a tab-separated file of whole numbers; OSError or ValueError when it is none."""
    if file.read_bytes().count(b"\n") <= skip:
        return [np.zeros(0, np.int64) for _ in which]
    return list(np.loadtxt(file, dtype=np.int64, delimiter="\t", skiprows=skip, usecols=which, ndmin=2).T)


def rows(scheduled: Floats, seconds: Floats, status: NDArray[np.int64], right: NDArray[np.bool_]) -> Records:
    """Rows of what a tool knows of each request; without a status, the connection was closed."""
    table = np.zeros(len(scheduled), ROW)
    table["scheduled"] = table["sent"] = scheduled
    table["first_byte"] = np.nan
    table["end"] = scheduled + seconds
    table["status"] = np.clip(status, 0, None)
    table["verdict"] = np.where(right, Verdict.OK, np.where(status > 0, Verdict.STATUS, Verdict.CLOSED))
    return table
