"""What a load tool is here: a command made of a job, and a reader of what the command left."""

import functools
import math
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stackmatrix.errors import UserError
from stackmatrix.http import Request
from stackmatrix.load.job import NUMBER_PLACE, Closed, LoadJob
from stackmatrix.load.latency import Latency
from stackmatrix.load.recorder import Ending
from stackmatrix.load.records import ROW, Floats, Records

# the environment variable that names the file descriptor on which a tool marks the edges of its load
MARKS: Final = "STACKMATRIX_MARKS"

BODIES_UNCHECKED: Final = "does not look at bodies: a wrong answer with a right status counts as right"
ONE_BODY: Final = "sends one fixed body, where the job has many"


@dataclass(frozen=True)
class ToolRun:
    job: LoadJob
    load: Closed
    seconds: int  # how long the load lasts, in the tools' whole seconds
    stop_after: int | None  # with this, the run ends after so many requests instead
    cpus: tuple[int, ...]
    scratch: Path  # the directory in which the command runs, and in which its files lie

    @property
    def requests(self) -> tuple[Request, ...]:
        """Those of the job's first kind: the only one for a tool that does not mix."""
        return self.job.kinds[0].requests

    @property
    def varies(self) -> bool:
        return any(NUMBER_PLACE in (request.body or b"") for request in self.requests)

    @property
    def body(self) -> bytes:
        """The first request's body, numbered 0 where there is a place for a number."""
        return (self.requests[0].body or b"").replace(NUMBER_PLACE, b"0" * len(NUMBER_PLACE))

    def url(self, target: str = "") -> str:
        return f"http://{self.job.authority}{target}"

    def headers(self, *but: str) -> list[str]:
        """Write the first request's headers as `Name: value`, but those that the tool sends by itself."""
        return [f"{name}: {value}" for name, value in self.requests[0].headers if name.lower() not in but]

    def write(self, name: str, content: bytes) -> str:
        (self.scratch / name).write_bytes(content)
        return name


@dataclass(frozen=True)
class Left:
    """What a command left behind; instants are CLOCK_MONOTONIC seconds."""

    start: float
    end: float
    wall_offset: float  # seconds to add to a time of day to get an instant
    stdout: str
    stderr: str
    cpu_s: float

    @property
    def last_lines(self) -> str:
        lines = [line for line in (self.stdout + "\n" + self.stderr).splitlines() if line.strip()]
        return "\n".join(lines[-6:])


@dataclass(frozen=True, kw_only=True)
class Tally:
    requests: int  # all that the tool counts in its rate, right or not
    n: int  # answers that the tool counts as right, of the whole run
    failed: Mapping[str, int]  # other requests by class, as far as the tool tells; the words are those of `Ending`
    seconds: float  # the length of the run, as the tool counts it
    rps: float  # as the tool says it
    latency: Latency
    records: Records | None  # one row per request, where the tool gives them
    notes: tuple[str, ...]  # what it does not measure, or measures otherwise


class LoadTool(ABC):
    """A load tool; whatever it cannot do is refused before it starts, or said in its notes."""

    name: ClassVar[str]
    install: ClassVar[str]  # the command that installs it
    # the argument that has the binary print its version, and a pattern that finds it
    asks_version: ClassVar[tuple[str, str]]
    notes: ClassVar[tuple[str, ...]]  # what it does not measure, or measures otherwise, whatever the job
    thinks: ClassVar[bool] = False  # its users can wait between requests, and start one after another
    mixes: ClassVar[bool] = False  # it can draw several kinds of requests by weight
    counts: ClassVar[bool] = False  # it can end after a number of requests
    # it marks the edges of its load itself, by lines on the file descriptor that `MARKS` names
    marks: ClassVar[bool] = False

    @abstractmethod
    def command(self, run: ToolRun) -> list[str]:
        """Make the command line; write the files that it names to the run's scratch directory."""

    @abstractmethod
    def read(self, run: ToolRun, left: Left) -> Tally:
        """Read what the tool counted; UserError when its output is not as expected."""

    def version(self, binary: str) -> str:
        return version_of(binary, *self.asks_version)

    def unreadable(self, left: Left) -> UserError:
        return UserError(f"{self.name}: its output cannot be read; it ended with:\n{left.last_lines}")


@functools.cache
def version_of(binary: str, argument: str, pattern: str) -> str:
    """Ask a binary for its version; UserError when it prints none."""
    said = subprocess.run([binary, argument], capture_output=True, text=True, timeout=20, check=False)
    found = re.search(pattern, said.stdout + said.stderr, re.M)
    if found is None:
        raise UserError(f"{binary} {argument}: names no version")
    return found[1]


def whole_s(seconds: float) -> int:
    return max(1, math.ceil(seconds))


def nonzero(**counts: int) -> dict[str, int]:
    """Keep the failures that occurred, by class; the words are those of `Ending`."""
    return {name: count for name, count in counts.items() if count > 0}


def read_columns(file: Path, *which: int, skip: int = 0) -> list[NDArray[np.int64]]:
    """Read columns of a tab-separated file of whole numbers; OSError or ValueError when it is none."""
    if file.read_bytes().count(b"\n") <= skip:
        return [np.zeros(0, np.int64) for _ in which]
    return list(np.loadtxt(file, dtype=np.int64, delimiter="\t", skiprows=skip, usecols=which, ndmin=2).T)


def as_records(scheduled: Floats, seconds: Floats, status: NDArray[np.int64], right: NDArray[np.bool_]) -> Records:
    """Make rows of what a tool knows of each request; without a status, the connection was closed."""
    table = np.zeros(len(scheduled), ROW)
    table["scheduled"] = table["sent"] = scheduled
    table["first_byte"] = np.nan
    table["end"] = scheduled + seconds
    table["status"] = np.clip(status, 0, None)
    table["verdict"] = np.where(right, Ending.OK, np.where(status > 0, Ending.STATUS, Ending.CLOSED))
    return table
