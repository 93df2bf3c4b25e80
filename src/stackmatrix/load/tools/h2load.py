"""h2load over HTTP/1.1: its log has one row per request, in microseconds."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from stackmatrix.load.job import Exchange
from stackmatrix.load.records import Records
from stackmatrix.load.summary import latency_ms
from stackmatrix.load.tools import request
from stackmatrix.load.tools.base import FIXED, UNCHECKED, Job, Left, Reading, Tool, columns, counted, rows, unread
from stackmatrix.load.tools.binary import version_by

LOG: Final = "h2load.tsv"
BODY: Final = "body"
URIS: Final = "uris"

COUNTS: Final = re.compile(
    r"^finished in (?P<seconds>[0-9.]+)(?P<unit>us|ms|s), (?P<rps>[0-9.]+) req/s.*\n"
    r"requests: \d+ total, \d+ started, (?P<done>\d+) done, (?P<n>\d+) succeeded, (?P<failed>\d+) failed, "
    r"(?P<errored>\d+) errored, (?P<timeout>\d+) timeout$",
    re.M,
)
UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0}

NOTES: Final = (
    "its log, one row per request, is part of its CPU",
    "has no time-out for a request: one that gets no answer is not counted",
    "in its own count a 2xx or 3xx is right; in the rows the status that is expected",
    UNCHECKED,
)


def command(job: Job) -> list[str]:
    """The command line, and the files of its body and its paths."""
    first = request.filled(job.exchanges[0])
    length = ["-n", str(job.requests)] if job.requests else ["-D", f"{job.seconds}s"]
    threads = min(max(len(job.cpus), 1), job.load.users)
    arguments = ["h2load", "--h1", "-t", str(threads), "-c", str(job.load.users), *length, "--log-file", LOG]
    if first.body:
        arguments += ["-d", job.write(BODY, first.body)]
    if first.method not in ("GET", "POST" if first.body else "GET"):
        arguments += ["-H", f":method: {first.method}"]
    for header in first.besides("host", "content-length"):
        arguments += ["-H", header]
    if first.header("host") != request.authority(job.plan):
        arguments += ["-H", f":authority: {first.header('host')}"]
    targets = [request.filled(exchange).target for exchange in job.exchanges]
    if len(set(targets)) == 1:
        return [*arguments, request.url(job.plan, targets[0])]
    uris = "".join(f"{request.url(job.plan, target)}\n" for target in targets)
    return [*arguments, "-i", job.write(URIS, uris.encode())]


def read(job: Job, left: Left) -> Reading:
    """The two lines of counts that it prints, and its log."""
    told = COUNTS.search(left.stdout)
    if told is None:
        raise unread("h2load", left)
    count = {name: int(told[name]) for name in ("done", "n", "failed", "errored", "timeout")}
    try:
        table = read_log(job.scratch / LOG, left.wall_offset, job.exchanges)
    except (OSError, ValueError):
        raise unread("h2load", left) from None
    return Reading(
        requests=count["done"],
        n=count["n"],
        failed=counted(
            status=count["failed"] - count["errored"],
            timeout=count["timeout"],
            closed=count["errored"] - count["timeout"],
        ),
        seconds=float(told["seconds"]) * UNITS[told["unit"]],
        rps=float(told["rps"]),
        latency=latency_ms(table[table["verdict"] == 0]),
        records=table,
        notes=NOTES + (FIXED,) * bodies_differ(job),
    )


def bodies_differ(job: Job) -> bool:
    """Whether the plan has more bodies than the one that is sent."""
    return request.varies(job.plan) or len({request.parse(exchange.request).body for exchange in job.exchanges}) > 1


def read_log(file: Path, wall_offset: float, exchanges: Sequence[Exchange]) -> Records:
    """Its rows: start in µs since the epoch, status (-1 without an answer), µs to the end."""
    started, status, took = columns(file, 0, 1, 2)
    right = [code for code in np.unique(status) if any(request.rightful(one, int(code)) for one in exchanges)]
    return rows(started / 1e6 + wall_offset, took / 1e6, status, np.isin(status, right))


TOOL: Final = Tool(
    "h2load",
    "apt-get install nghttp2-client",
    version_by("--version", r"^h2load (\S+)"),
    command,
    read,
    counts=True,
)
