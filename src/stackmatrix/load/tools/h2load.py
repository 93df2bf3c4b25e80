"""h2load over HTTP/1.1: its log has one row per request, in microseconds."""

import re

import numpy as np

from stackmatrix.load.records import Records
from stackmatrix.load.summary import latency_ms
from stackmatrix.load.tools import base


class H2load(base.LoadTool):
    """`h2load --h1 --log-file LOG`."""

    name = "h2load"
    install = "apt-get install nghttp2-client"
    asks_version = ("--version", r"^h2load (\S+)")
    counts = True
    notes = (
        "its log, one row per request, is part of its CPU",
        "has no time-out for a request: one that gets no answer is not counted",
        "in its own count a 2xx or 3xx is right; in the rows the status that is expected",
        base.BODIES_UNCHECKED,
    )
    log = "h2load.tsv"
    printed = re.compile(
        r"^finished in (?P<seconds>[0-9.]+)(?P<unit>us|ms|s), (?P<rps>[0-9.]+) req/s.*\n"
        r"requests: \d+ total, \d+ started, (?P<done>\d+) done, (?P<n>\d+) succeeded, (?P<failed>\d+) failed, "
        r"(?P<errored>\d+) errored, (?P<timeout>\d+) timeout$",
        re.M,
    )

    def command(self, run: base.ToolRun) -> list[str]:
        first = run.requests[0]
        length = ["-n", str(run.stop_after)] if run.stop_after else ["-D", f"{run.seconds}s"]
        threads = min(max(len(run.cpus), 1), run.load.users)
        arguments = ["h2load", "--h1", "-t", str(threads), "-c", str(run.load.users), *length, "--log-file", self.log]
        if run.body:
            arguments += ["-d", run.write("body", run.body)]
        if first.method not in ("GET", "POST" if run.body else "GET"):
            arguments += ["-H", f":method: {first.method}"]
        for header in run.headers("host", "content-length"):
            arguments += ["-H", header]
        if (host := first.header("host")) is not None:
            arguments += ["-H", f":authority: {host}"]
        urls = [run.url(request.target) for request in run.requests]
        if len(set(urls)) == 1:
            return [*arguments, urls[0]]
        return [*arguments, "-i", run.write("uris", "".join(f"{url}\n" for url in urls).encode())]

    def read(self, run: base.ToolRun, left: base.Left) -> base.Tally:
        told = self.printed.search(left.stdout)
        if told is None:
            raise self.unreadable(left)
        count = {name: int(told[name]) for name in ("done", "n", "failed", "errored", "timeout")}
        try:
            table = self.read_log(run, left.wall_offset)
        except (OSError, ValueError):
            raise self.unreadable(left) from None
        bodies = {request.body for request in run.requests}
        return base.Tally(
            requests=count["done"],
            n=count["n"],
            failed=base.nonzero(
                status=count["failed"] - count["errored"],
                timeout=count["timeout"],
                closed=count["errored"] - count["timeout"],
            ),
            seconds=float(told["seconds"]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[told["unit"]],
            rps=float(told["rps"]),
            latency=latency_ms(table[table["verdict"] == 0]),
            records=table,
            notes=(*self.notes, base.ONE_BODY) if run.varies or len(bodies) > 1 else self.notes,
        )

    def read_log(self, run: base.ToolRun, wall_offset: float) -> Records:
        """Read its rows: start in µs since the epoch, status (-1 without an answer), µs to the end."""
        started, status, took = base.read_columns(run.scratch / self.log, 0, 1, 2)
        expected = {request.expected for request in run.requests}
        right = [code for code in np.unique(status) if any(one.has_status(int(code)) for one in expected)]
        return base.as_records(started / 1e6 + wall_offset, took / 1e6, status, np.isin(status, right))
