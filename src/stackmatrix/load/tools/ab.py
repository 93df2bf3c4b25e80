"""ab, ApacheBench: HTTP/1.0, one request only, percentiles as CSV and one row per request as TSV."""

import re
from pathlib import Path
from typing import Final

import numpy as np

from stackmatrix.errors import UserError
from stackmatrix.load.records import Records
from stackmatrix.load.summary import Latency, supported
from stackmatrix.load.tools import request
from stackmatrix.load.tools.base import FIXED, Job, Left, Reading, Tool, columns, counted, rows, unread
from stackmatrix.load.tools.binary import version_by, whole_s

ROWS: Final = "ab.tsv"
PERCENTILES: Final = "ab.csv"
BODY: Final = "body"

MOST_PER_SECOND: Final = 300_000
"""ab needs a most number of requests even for a run by time, and reserves memory for each."""

LINES: Final = {
    "requests": r"^Complete requests:\s+(\d+)$",
    "kept": r"^Keep-Alive requests:\s+(\d+)$",
    "other_status": r"^Non-2xx responses:\s+(\d+)$",
    "connect": r"^   \(Connect: (\d+),",
    "receive": r"^   \(.* Receive: (\d+),",
    "length": r"^   \(.* Length: (\d+),",
    "exceptions": r"^   \(.* Exceptions: (\d+)\)$",
    "bytes": r"^Total transferred:\s+(\d+) bytes$",
}
ALWAYS: Final = ("requests", "bytes")
SECONDS: Final = r"^Time taken for tests:\s+([0-9.]+) seconds$"
RATE: Final = r"^Requests per second:\s+([0-9.]+) "

NOTES: Final = (
    "speaks HTTP/1.0, and keeps a connection only where the answer says that it may",
    "looks at the clock when an answer comes: a run by time ends with the first one after it",
    "its mean is users ÷ rate, not measured, and left out; its longest time is in whole milliseconds",
    "any 2xx counts as right, whatever its body",
)
LENGTHS: Final = "of bodies it compares the length only, with that of the first answer"
NO_LENGTHS: Final = "a connection closed without an answer counts as right, for no length of body is expected"
COARSE: Final = "rows of requests have their start in whole seconds and their time in whole milliseconds"
UNLABELLED: Final = "no rows: they do not say which request it was that failed"


def command(job: Job) -> list[str]:
    """The command line, and the file of its body."""
    first = request.filled(job.exchanges[0])
    # A run by time must come before -n, which it would set to 50 000.
    length = (
        ["-n", str(job.requests)]
        if job.requests
        else ["-t", str(job.seconds), "-n", str(job.seconds * MOST_PER_SECOND)]
    )
    arguments = ["ab", "-q", "-r", *length, "-c", str(job.load.users), "-s", str(whole_s(job.plan.timeout_s))]
    if keeps(job):
        arguments.append("-k")
    if not same_length(job):
        arguments.append("-l")
    arguments += [*verb(job, first), "-g", ROWS, "-e", PERCENTILES]
    own = ("host", "content-length", "connection", "accept", "content-type" if first.body else "")
    for header in first.besides(*own):
        arguments += ["-H", header]
    if first.header("host") != request.authority(job.plan):
        arguments += ["-H", f"Host: {first.header('host')}"]
    if first.header("accept") not in (None, "*/*"):
        arguments += ["-H", f"Accept: {first.header('accept')}"]
    return [*arguments, request.url(job.plan, first.target)]


def keeps(job: Job) -> bool:
    """Whether connections are to be kept."""
    return (request.parse(job.exchanges[0].request).header("connection") or "").lower() != "close"


def same_length(job: Job) -> bool:
    """Whether every right answer is as long as the first."""
    exchange = job.exchanges[0]
    return exchange.prefix is not None and exchange.suffix is None


def verb(job: Job, first: request.Asked) -> list[str]:
    """The options for method and body; UserError for a pair that ab cannot send."""
    if first.body:
        option = {"POST": "-p", "PUT": "-u"}.get(first.method)
        if option is None:
            raise UserError(f"ab sends no {first.method} with a body: take --generator wrk, or the project's own")
        return [option, job.write(BODY, first.body), "-T", first.header("content-type") or "text/plain"]
    return {"GET": [], "HEAD": ["-i"]}.get(first.method, ["-m", first.method])


def read(job: Job, left: Left) -> Reading:
    """The counts that it prints, and its two files."""
    seconds, rate = (re.search(pattern, left.stdout, re.M) for pattern in (SECONDS, RATE))
    found = {name: re.search(pattern, left.stdout, re.M) for name, pattern in LINES.items()}
    if seconds is None or rate is None or not all(found[name] for name in ALWAYS):
        raise unread("ab", left)
    count = {name: int(match[1]) if match else 0 for name, match in found.items()}
    closed = max(count["receive"], count["exceptions"]) if count["bytes"] else count["requests"]
    # An answer of another status mostly is of another length too, and then in both counts.
    other_length = max(count["length"] - count["other_status"], 0)
    failed = counted(status=count["other_status"], body=other_length, connect=count["connect"], closed=closed)
    try:
        taken = percentiles(job.scratch / PERCENTILES)
        table = read_rows(job.scratch / ROWS, left)
    except (OSError, ValueError):
        raise unread("ab", left) from None
    return Reading(
        requests=count["requests"],
        n=max(count["requests"] - count["other_status"] - other_length - min(closed, count["requests"]), 0),
        failed=failed,
        seconds=float(seconds[1]),
        rps=float(rate[1]),
        latency=latency(taken, table),
        records=None if failed else table,
        notes=(
            *NOTES,
            LENGTHS if same_length(job) else NO_LENGTHS,
            UNLABELLED if failed else COARSE,
            *sent_notes(job, count["requests"], count["kept"]),
        ),
    )


def sent_notes(job: Job, requests: int, kept: int) -> tuple[str, ...]:
    """What it sent otherwise than the plan says."""
    notes: tuple[str, ...] = ()
    if keeps(job) and kept < requests:
        notes += (f"{requests - kept} of {requests} answers closed their connection, as HTTP/1.0 has it",)
    if len(job.exchanges) > 1:
        notes += (f"sends only the first of the workload's {len(job.exchanges)} requests",)
    return notes + (FIXED,) * request.varies(job.plan)


def percentiles(file: Path) -> dict[int, float]:
    """Its CSV: milliseconds, to the microsecond, by percentage."""
    lines = (line.split(",") for line in file.read_text().splitlines()[1:])
    return {int(percent): float(ms) for percent, ms in lines}


def latency(taken: dict[int, float], table: Records) -> Latency:
    """The percentiles that the sample supports; of every request that ended, failed ones too."""

    def at(percent: int) -> float | None:
        return taken.get(percent) if supported(len(table), percent) else None

    longest = round(float((table["end"] - table["scheduled"]).max()) * 1e3, 3) if len(table) else None
    return Latency(p50=at(50), p90=at(90), p95=at(95), p99=at(99), max=longest)


def read_rows(file: Path, left: Left) -> Records:
    """Its rows: `starttime seconds ctime dtime ttime wait`; what began within the first second began at the start."""
    started, took = columns(file, 1, 4, skip=1)
    scheduled = np.maximum(started + left.wall_offset, left.start)
    return rows(scheduled, took / 1e3, np.full(len(took), 200), np.ones(len(took), np.bool_))


TOOL: Final = Tool(
    "ab", "apt-get install apache2-utils", version_by("-V", r"Version (\S+)"), command, read, counts=True
)
