"""Well-known load tools as second opinions, and to run published commands as they were published.

A tool's numbers are its own; what it does not measure, or measures otherwise than the generator, its notes say.
"""

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
from stackmatrix.load.generator import PROBE_S, GeneratorError
from stackmatrix.load.job import Closed, LoadJob
from stackmatrix.load.records import Records, save
from stackmatrix.load.summary import Latency
from stackmatrix.load.tools import ab, h2load, locust, wrk
from stackmatrix.load.tools.base import Job, Tool
from stackmatrix.load.tools.binary import whole_s
from stackmatrix.load.tools.process import OnWindow, carry_out
from stackmatrix.load.tools.request import authority

TOOLS: Final[Mapping[str, Tool]] = {tool.name: tool for tool in (ab.TOOL, wrk.TOOL, h2load.TOOL, locust.TOOL)}

GRACE_S: Final = 30.0
"""For a tool to start, and to print what it counted."""


@dataclass(frozen=True)
class Told:
    """What a tool told of its run; instants are CLOCK_MONOTONIC seconds."""

    tool: str
    version: str
    command: str
    """The command line, as one would type it."""
    began: float
    """When the first request may have been sent, those of the warm-up included."""
    start: float
    end: float
    requests: int
    """All that the tool counts in its rate."""
    n: int
    """Answers that the tool counts as right, of the whole run."""
    failed: Mapping[str, int]
    """Other requests by class, as far as the tool tells; the words are those of `Verdict`."""
    seconds: float
    """The length of the run, as the tool counts it."""
    rps: float
    """As the tool says it."""
    latency: Latency
    records: Records | None
    """One row per request, where the tool gives them."""
    cpu_s: float
    """CPU of the tool, from its start to its exit."""
    notes: tuple[str, ...]
    """What it does not measure, or measures otherwise."""
    warmup: "Told | None" = None
    """A run of its own before this one, whose requests had their effects on the server too."""


def run(
    tool: Tool,
    plan: LoadJob,
    *,
    cpus: Collection[int] = (),
    records: Path | None = None,
    on_window: OnWindow = lambda _edge, _at: None,
    requests: int | None = None,
) -> Told:
    """Run the plan with another tool on some cores, and keep the rows it gives in the file `records`.

    A warm-up is a run of the tool of its own before. `requests` ends the run after so many of them; the plan's
    duration is then the longest that it may take. `on_window` is called as the load starts and ends. Raises UserError
    for what the tool cannot do, when it is not installed, fails, or does not end; it never outlives the call.
    """
    load = fitting(tool, plan, requests)
    binary = path_of(tool)
    reach(plan)
    began, warmup = clock(), None
    if plan.warmup_s:
        warmup = run(tool, replace(plan, warmup_s=0.0, duration_s=plan.warmup_s), cpus=cpus)
    seconds = whole_s(plan.duration_s)
    with tempfile.TemporaryDirectory(prefix=f"{tool.name}-") as scratch:
        job = Job(plan, load, seconds, requests, tuple(sorted(cpus)), Path(scratch), Path(scratch) / "rows.npy")
        command = tool.command(job)
        left = carry_out(
            [binary, *command[1:]],
            cwd=job.scratch,
            cpus=cpus,
            limit_s=seconds + load.ramp_s + plan.timeout_s + GRACE_S,
            marks=tool.marks,
            on_window=on_window,
        )
        reading = tool.read(job, left)
    if records is not None and reading.records is not None:
        save(records, reading.records)
    return Told(
        tool=tool.name,
        version=tool.version(binary),
        command=shlex.join(command),
        began=left.start if warmup is None else began,
        start=left.start,
        end=left.end,
        requests=reading.requests,
        n=reading.n,
        failed=reading.failed,
        seconds=reading.seconds,
        rps=reading.rps,
        latency=reading.latency,
        records=reading.records,
        cpu_s=left.cpu_s,
        notes=reading.notes + shape_notes(tool, plan, load, requests),
        warmup=warmup,
    )


def fitting(tool: Tool, plan: LoadJob, requests: int | None) -> Closed:
    """The plan's users; UserError when the tool cannot do what the plan asks for."""
    remedy = "take the project's own generator"
    if not isinstance(plan.load, Closed):
        raise UserError(f"{tool.name} offers no rate of arrivals, only users: {remedy}")
    if plan.load.think_s and not tool.thinks:
        raise UserError(f"{tool.name}: think time = {plan.load.think_s:g} s: its users never wait: {remedy}, or locust")
    if len(plan.kinds) > 1 and not tool.mixes:
        raise UserError(f"{tool.name} cannot mix {len(plan.kinds)} kinds of requests: {remedy}, or locust")
    if requests is not None and not tool.counts:
        raise UserError(f"{tool.name} ends by time only, not after {requests} requests: take ab or h2load")
    if requests is not None and requests < plan.load.users:
        raise UserError(f"{tool.name}: {requests} requests for {plan.load.users} users: must be at least one for each")
    return plan.load


def path_of(tool: Tool) -> str:
    """Where the tool's binary is: in this environment, or on the machine; UserError when in neither."""
    own = Path(sys.executable).with_name(tool.name)
    found = str(own) if own.exists() else shutil.which(tool.name)
    if found is None:
        raise UserError(f"{tool.name} is not installed: {tool.install}")
    return found


def reach(plan: LoadJob) -> None:
    """Open a connection once; a server that is not there, some tools would count as any number of failures."""
    try:
        socket.create_connection((plan.host, plan.port), PROBE_S).close()
    except OSError as error:
        raise GeneratorError(f"no connection to {authority(plan)}: {error.strerror or error}") from None


def shape_notes(tool: Tool, plan: LoadJob, load: Closed, requests: int | None) -> tuple[str, ...]:
    """What the tool made of the plan's times."""
    notes: tuple[str, ...] = ()
    if load.ramp_s and not tool.thinks:
        notes += ("all connections open at once: it cannot spread its users",)
    if requests is None and plan.duration_s != whole_s(plan.duration_s):
        notes += (f"ran for whole seconds: {whole_s(plan.duration_s)} for {plan.duration_s:g}",)
    return notes
