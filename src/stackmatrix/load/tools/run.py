"""Runs a job with another tool than the project's own generator."""

import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic as clock
from typing import Final

from stackmatrix.errors import UserError
from stackmatrix.load.generator import PROBE_S, GeneratorError, OnWindow
from stackmatrix.load.job import Closed, LoadJob
from stackmatrix.load.records import write_records
from stackmatrix.load.tools.ab import ApacheBench
from stackmatrix.load.tools.base import LoadTool, Tally, ToolRun, whole_s
from stackmatrix.load.tools.h2load import H2load
from stackmatrix.load.tools.locust import Locust
from stackmatrix.load.tools.process import run_to_end
from stackmatrix.load.tools.wrk import Wrk

OTHER_GENERATORS: Final[Mapping[str, LoadTool]] = {
    tool.name: tool for tool in (ApacheBench(), Wrk(), H2load(), Locust())
}

START_AND_PRINT_S: Final = 30.0  # for a tool to start, and to print what it counted


@dataclass(frozen=True, kw_only=True)
class Told(Tally):
    """What a tool reported of its run; instants are CLOCK_MONOTONIC seconds."""

    tool: str
    version: str
    command: str  # the command line, as one would type it
    began: float  # when the first request may have been sent, those of the warm-up included
    start: float
    end: float
    cpu_s: float  # CPU of the tool, from its start to its exit
    warmup: "Told | None" = None  # a run of its own before this one, whose requests had their effects on the server too


def run_other(
    tool: LoadTool,
    job: LoadJob,
    *,
    cpus: Collection[int] = (),
    records: Path | None = None,
    on_window: OnWindow = lambda _edge, _at: None,
    stop_after: int | None = None,
) -> Told:
    """Run the job with another tool on some cores, and keep the rows it gives in the file `records`.

    A warm-up is a run of the tool of its own before. `stop_after` ends the run after so many requests; the job's
    duration is then the longest that it may take. `on_window` is called as the load starts and ends. Raises UserError
    for what the tool cannot do, when it is not installed, fails, or does not end; it never outlives the call.
    """
    load = closed_load(tool, job, stop_after)
    binary = path_of(tool)
    reach(job)
    began, warmup = clock(), None
    if job.warmup_s:
        warmup = run_other(tool, replace(job, warmup_s=0.0, duration_s=job.warmup_s), cpus=cpus)
    seconds = whole_s(job.duration_s)
    with tempfile.TemporaryDirectory(prefix=f"{tool.name}-") as scratch:
        run = ToolRun(job, load, seconds, stop_after, tuple(sorted(cpus)), Path(scratch))
        command = tool.command(run)
        left = run_to_end(
            [binary, *command[1:]],
            cwd=run.scratch,
            cpus=cpus,
            limit_s=seconds + load.ramp_s + job.timeout_s + START_AND_PRINT_S,
            marks=tool.marks,
            on_window=on_window,
        )
        tally = tool.read(run, left)
    if records is not None and tally.records is not None:
        write_records(records, tally.records)
    return Told(
        **{**vars(tally), "notes": tally.notes + notes_on_times(tool, job, load, stop_after)},
        tool=tool.name,
        version=tool.version(binary),
        command=shlex.join(command),
        began=left.start if warmup is None else began,
        start=left.start,
        end=left.end,
        cpu_s=left.cpu_s,
        warmup=warmup,
    )


def closed_load(tool: LoadTool, job: LoadJob, stop_after: int | None) -> Closed:
    """Return the job's users; UserError when the tool cannot do what the job asks for."""
    remedy = "take the project's own generator"
    if not isinstance(job.load, Closed):
        raise UserError(f"{tool.name} offers no rate of arrivals, only users: {remedy}")
    if job.load.think_s and not tool.thinks:
        raise UserError(f"{tool.name}: think time = {job.load.think_s:g} s: its users never wait: {remedy}, or locust")
    if len(job.kinds) > 1 and not tool.mixes:
        raise UserError(f"{tool.name} cannot mix {len(job.kinds)} kinds of requests: {remedy}, or locust")
    if stop_after is not None and not tool.counts:
        raise UserError(f"{tool.name} ends by time only, not after {stop_after} requests: take ab or h2load")
    if stop_after is not None and stop_after < job.load.users:
        raise UserError(f"{tool.name}: {stop_after} requests for {job.load.users} users: must be at least one for each")
    return job.load


def path_of(tool: LoadTool) -> str:
    """Find the tool's binary in this environment or on the machine; UserError when it is in neither."""
    own = Path(sys.executable).with_name(tool.name)
    found = str(own) if own.exists() else shutil.which(tool.name)
    if found is None:
        raise UserError(f"{tool.name} is not installed: {tool.install}")
    return found


def reach(job: LoadJob) -> None:
    """Try one connection: some tools would count a server that is not there as any number of failures."""
    try:
        socket.create_connection((job.host, job.port), PROBE_S).close()
    except OSError as error:
        raise GeneratorError(f"no connection to {job.host}:{job.port}: {error.strerror or error}") from None


def notes_on_times(tool: LoadTool, job: LoadJob, load: Closed, stop_after: int | None) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if load.ramp_s and not tool.thinks:
        notes += ("all connections open at once: it cannot spread its users",)
    if stop_after is None and job.duration_s != whole_s(job.duration_s):
        notes += (f"ran for whole seconds: {whole_s(job.duration_s)} for {job.duration_s:g}",)
    return notes
