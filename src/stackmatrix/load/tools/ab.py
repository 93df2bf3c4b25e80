"""ab, ApacheBench: HTTP/1.0, one request only, percentiles as CSV and one row per request as TSV."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from stackmatrix.errors import UserError
from stackmatrix.load.latency import Latency, supported
from stackmatrix.load.records import Records
from stackmatrix.load.tools import base


class ApacheBench(base.LoadTool):
    """`ab -g ROWS -e PERCENTILES`, and its text for people."""

    name = "ab"
    install = "apt-get install apache2-utils"
    asks_version = ("-V", r"Version (\S+)")
    counts = True
    notes = (
        "speaks HTTP/1.0, and keeps a connection only where the answer says that it may",
        "looks at the clock when an answer comes: a run by time ends with the first one after it",
        "its mean is users ÷ rate, not measured, and left out; its longest time is in whole milliseconds",
        "any 2xx counts as right, whatever its body",
    )

    rows = "ab.tsv"
    percentiles = "ab.csv"
    most_per_second = 300_000  # a run by time too needs a most number of requests, and memory is reserved for each
    printed: ClassVar[Mapping[str, str]] = {
        "requests": r"^Complete requests:\s+(\d+)$",
        "kept": r"^Keep-Alive requests:\s+(\d+)$",
        "other_status": r"^Non-2xx responses:\s+(\d+)$",
        "connect": r"^   \(Connect: (\d+),",
        "receive": r"^   \(.* Receive: (\d+),",
        "length": r"^   \(.* Length: (\d+),",
        "exceptions": r"^   \(.* Exceptions: (\d+)\)$",
        "bytes": r"^Total transferred:\s+(\d+) bytes$",
    }

    def command(self, run: base.ToolRun) -> list[str]:
        first = run.requests[0]
        # A run by time must come before -n, which it would set to 50 000.
        by_time = ["-t", str(run.seconds), "-n", str(run.seconds * self.most_per_second)]
        length = ["-n", str(run.stop_after)] if run.stop_after else by_time
        arguments = ["ab", "-q", "-r", *length, "-c", str(run.load.users), "-s", str(base.whole_s(run.job.timeout_s))]
        if keeps_connections(run):
            arguments.append("-k")
        if not has_one_length(run):
            arguments.append("-l")
        arguments += [*method_options(run), "-g", self.rows, "-e", self.percentiles]
        accept = "accept" if first.header("accept") == "*/*" else ""  # which it sends itself
        for header in run.headers("content-length", "connection", accept, "content-type" if first.body else ""):
            arguments += ["-H", header]
        return [*arguments, run.url(first.target)]

    def read(self, run: base.ToolRun, left: base.Left) -> base.Tally:
        """Read the counts that it prints, and its two files."""
        seconds = re.search(r"^Time taken for tests:\s+([0-9.]+) seconds$", left.stdout, re.M)
        rate = re.search(r"^Requests per second:\s+([0-9.]+) ", left.stdout, re.M)
        found = {name: re.search(pattern, left.stdout, re.M) for name, pattern in self.printed.items()}
        if seconds is None or rate is None or not (found["requests"] and found["bytes"]):
            raise self.unreadable(left)
        count = {name: int(match[1]) if match else 0 for name, match in found.items()}
        closed = max(count["receive"], count["exceptions"]) if count["bytes"] else count["requests"]
        # An answer of another status mostly is of another length too, and then in both counts.
        other_length = max(count["length"] - count["other_status"], 0)
        failed = base.nonzero(status=count["other_status"], body=other_length, connect=count["connect"], closed=closed)
        try:
            percentiles = read_percentiles(run.scratch / self.percentiles)
            table = read_rows(run.scratch / self.rows, left)
        except (OSError, ValueError):
            raise self.unreadable(left) from None
        return base.Tally(
            requests=count["requests"],
            n=max(count["requests"] - count["other_status"] - other_length - min(closed, count["requests"]), 0),
            failed=failed,
            seconds=float(seconds[1]),
            rps=float(rate[1]),
            latency=percentile_latency(percentiles, table),
            records=None if failed else table,
            notes=(*self.notes, *notes_on(run, count["requests"], count["kept"], bool(failed))),
        )


def keeps_connections(run: base.ToolRun) -> bool:
    return (run.requests[0].header("connection") or "").lower() != "close"


def has_one_length(run: base.ToolRun) -> bool:
    expected = run.requests[0].expected
    return expected.prefix is not None and expected.suffix is None


def method_options(run: base.ToolRun) -> list[str]:
    """Choose the options for method and body; UserError for a pair that ab cannot send."""
    first = run.requests[0]
    if run.body:
        option = {"POST": "-p", "PUT": "-u"}.get(first.method)
        if option is None:
            raise UserError(f"ab sends no {first.method} with a body: take --generator wrk, or the project's own")
        return [option, run.write("body", run.body), "-T", first.header("content-type") or "text/plain"]
    return {"GET": [], "HEAD": ["-i"]}.get(first.method, ["-m", first.method])


def notes_on(run: base.ToolRun, requests: int, kept: int, failed: bool) -> list[str]:
    """Say what of this run ab does not measure, or did otherwise than the job says."""
    notes = [
        "of bodies it compares the length only, with that of the first answer"
        if has_one_length(run)
        else "a connection closed without an answer counts as right, for no length of body is expected",
        "no rows: they do not say which request it was that failed"
        if failed
        else "rows of requests have their start in whole seconds and their time in whole milliseconds",
    ]
    if keeps_connections(run) and kept < requests:
        notes.append(f"{requests - kept} of {requests} answers closed their connection, as HTTP/1.0 has it")
    if len(run.requests) > 1:
        notes.append(f"sends only the first of the workload's {len(run.requests)} requests")
    return notes + [base.ONE_BODY] * run.varies


def read_percentiles(file: Path) -> dict[int, float]:
    lines = (line.split(",") for line in file.read_text().splitlines()[1:])
    return {int(percent): float(ms) for percent, ms in lines}


def percentile_latency(percentiles: dict[int, float], table: Records) -> Latency:
    """Pick the percentiles that the sample supports; they are of every request that ended, failed ones too."""

    def at(percent: int) -> float | None:
        return percentiles.get(percent) if supported(len(table), percent) else None

    longest = round(float((table["end"] - table["scheduled"]).max()) * 1e3, 3) if len(table) else None
    return Latency(p50=at(50), p90=at(90), p95=at(95), p99=at(99), max=longest)


def read_rows(file: Path, left: base.Left) -> Records:
    """Read the rows: `starttime seconds ctime dtime ttime wait`; what began in the first second began at the start."""
    started, took = base.read_columns(file, 1, 4, skip=1)
    scheduled = np.maximum(started + left.wall_offset, left.start)
    return base.as_records(scheduled, took / 1e3, np.full(len(took), 200), np.ones(len(took), np.bool_))
