"""`load.py`: offer load to any HTTP/1.1 URL and print what came of it."""

import argparse
import json
import math
import re
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn
from urllib.parse import urlsplit

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stackmatrix.cli.options import positive, seconds
from stackmatrix.cli.shell import command, console, deliver
from stackmatrix.errors import UserError
from stackmatrix.http import Expected, Request
from stackmatrix.load import generator
from stackmatrix.load.generator import Interrupted, Outcome, generate
from stackmatrix.load.job import Closed, Kind, LoadJob, Open
from stackmatrix.load.latency import Latency
from stackmatrix.load.summary import Summary, histogram, summarise
from stackmatrix.load.tools.run import OTHER_GENERATORS, Told, run_other

EXAMPLES = """
examples:
  ./scripts/load.py http://127.0.0.1:8102/notes/1 --users 16
  ./scripts/load.py http://127.0.0.1:8102/query?ms=10 --rate 200 --duration 40 --json result.json
  ./scripts/load.py http://127.0.0.1:8102/notes/ --users 16 --method POST \\
      --header 'Content-Type: application/json' --body '{"title":"a","description":"b"}'
  ./scripts/load.py http://127.0.0.1:8102/notes/1 --users 10 --generator ab --requests 10000 --warmup 0

Latency counts from the instant at which a request was due. An answer is right when it is a 2xx, complete, with the
body of --expect if that is given. A percentile is shown when at least ten requests lie beyond it.
"""

OWN: Final = "stackmatrix"
"""The project's own generator, among the names of the tools."""

BUSY: Final = 0.7
"""The share of its core above which the generator may be what is measured."""


class Target(NamedTuple):
    """Where a URL points."""

    host: str
    port: int
    path: str


class Parser(argparse.ArgumentParser):
    """One line for a mistake, not a page of usage."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        raise UserError(f"{message} (--help says more)")


def main() -> None:
    """Parse the arguments and run the load."""
    command(lambda: run(parser().parse_args()))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog="load.py", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = result.add_argument
    add("url", metavar="URL", help="an http:// URL")
    offered = result.add_mutually_exclusive_group(required=True)
    offered.add_argument("--users", type=positive, help="closed loop: users with one request under way each")
    offered.add_argument("--rate", type=rate, help="open loop: arrivals per second")
    add("--duration", type=seconds, default=10.0, metavar="TIME", help="the timed window (10s)")
    add("--warmup", type=seconds_or_none, default=1.0, metavar="TIME", help="load before the window (1s)")
    add("--think", type=seconds_or_none, default=0.0, metavar="TIME", help="closed loop: wait after each answer (0)")
    add("--ramp", type=seconds_or_none, default=0.0, metavar="TIME", help="closed loop: start users over this time (0)")
    add("--arrivals", choices=("poisson", "constant"), default="poisson", help="open loop: how arrivals are spaced")
    add("--connections", type=positive, default=1000, help="open loop: the most to open (1000)")
    add("--timeout", type=seconds, default=30.0, metavar="TIME", help="a request fails after this (30s)")
    add("--method", help="GET, or POST when there is a body")
    add("--header", action="append", default=[], type=header, metavar="'NAME: VALUE'", help="can be repeated")
    add("--body", help="the request's body; @FILE reads it from a file")
    add("--expect", type=Path, metavar="FILE", help="the body that every answer must have")
    add("--shards", type=positive, default=1, help="generator processes, each on a core of its own (1)")
    add("--cpus", type=cores, metavar="LIST", help="cores to pin the generator to, such as 1 or 2,3 or 4-7")
    add("--generator", choices=(OWN, *OTHER_GENERATORS), default=OWN, metavar="NAME",
        help=f"{OWN}, or another tool as a second opinion: {', '.join(OTHER_GENERATORS)}")  # fmt: skip
    add("--requests", type=positive, help="ab and h2load: end after so many, within --duration")
    add("--seed", type=int, default=0, help="of the arrivals (0)")
    add("--json", type=Path, metavar="FILE", help="write the numbers here; - is standard output")
    add("--records", type=Path, metavar="FILE", help="keep every request here, as a .npy file")
    return result


def run(arguments: argparse.Namespace) -> int:
    """Offer the load, print the table, and return 1 when no answer at all was right."""
    wanted = plan(arguments)
    for file in (arguments.json, arguments.records):
        if file is not None and not file.absolute().parent.is_dir():
            raise UserError(f"{file}: there is no directory {file.absolute().parent}")
    return run_own(wanted, arguments) if arguments.generator == OWN else run_tool(wanted, arguments)


def run_own(wanted: LoadJob, arguments: argparse.Namespace) -> int:
    """With the project's own generator."""
    if arguments.requests is not None:
        raise UserError("--requests: this generator ends by --duration; --generator ab or h2load ends by number")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            outcome = offer(wanted, arguments, arguments.records or Path(scratch) / "records.npy")
        except Interrupted as stopped:
            outcome = stopped.outcome
        summary = summarise(outcome)
    show(arguments.url, outcome, summary)
    write(numbers(outcome, summary), arguments.json)
    if outcome.interrupted:
        return 128 + signal.SIGINT
    return 0 if summary.n else 1


def run_tool(wanted: LoadJob, arguments: argparse.Namespace) -> int:
    """With another tool, which says what it likes."""
    if arguments.shards > 1:
        raise UserError("--shards: another tool's threads are as many as its --cpus")
    told = run_other(
        OTHER_GENERATORS[arguments.generator],
        wanted,
        cpus=arguments.cpus or (),
        records=arguments.records,
        stop_after=arguments.requests,
    )
    show_told(arguments.url, told)
    write(told_numbers(told), arguments.json)
    return 0 if told.n else 1


def write(found: dict[str, Any], file: Path | None) -> None:
    """Write what `--json` asks for."""
    deliver(json.dumps(found, indent=2) + "\n", file)


def offer(wanted: LoadJob, arguments: argparse.Namespace, records: Path) -> Outcome:
    """Run the plan under a progress bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    out = console()
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("warm-up", total=wanted.warmup_s + wanted.duration_s, state="")

        def progressed(now: generator.Progress) -> None:
            state = f"{now.ended} ended" + (f", {now.failed} failed" if now.failed else "")
            bar.update(task, completed=now.at, state=state)

        def edge(which: generator.Edge, _at: float) -> None:
            bar.update(task, description="window" if which == "start" else "drain")

        return generate(
            wanted,
            records=records,
            cpus=arguments.cpus,
            shards=arguments.shards,
            on_progress=progressed,
            on_window=edge,
        )


def plan(arguments: argparse.Namespace) -> LoadJob:
    """What the arguments ask for; UserError for what cannot be."""
    target = parse_url(arguments.url)
    body = content(arguments.body)
    method = (arguments.method or ("GET" if body is None else "POST")).upper()
    if not re.fullmatch(r"[A-Z]+", method) or method == "CONNECT":
        raise UserError(f"--method {arguments.method}: not a method that can be sent")
    headers = tuple(arguments.header)
    if not any(name.lower() == "accept" for name, _ in headers):
        headers = (("Accept", "*/*"), *headers)
    if body is None and method in ("POST", "PUT", "PATCH"):
        body = b""
    expected = Expected(prefix=None if arguments.expect is None else read(arguments.expect))
    request = Request(method, target.path, body, headers, expected)
    load: Closed | Open
    if arguments.users is not None:
        load = Closed(arguments.users, arguments.think, arguments.ramp)
    else:
        load = Open(arguments.rate, arguments.arrivals, arguments.connections)
    return LoadJob(
        host=target.host,
        port=target.port,
        kinds=(Kind(f"{method} {target.path}", (request,)),),
        load=load,
        warmup_s=arguments.warmup,
        duration_s=arguments.duration,
        timeout_s=arguments.timeout,
        drain_s=arguments.timeout,
        seed=arguments.seed,
    )


def parse_url(url: str) -> Target:
    """Where a URL points; UserError for one that is not plain HTTP."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(f"{url}: {error}") from None
    if parts.scheme != "http" or not host:
        raise UserError(f"{url}: must be http://HOST[:PORT]/PATH; TLS is not spoken here")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not re.fullmatch(r"[!-~]+", path):
        raise UserError(f"{url}: spaces and letters beyond ASCII must be percent-encoded")
    return Target(host, port or 80, path)


def content(text: str | None) -> bytes | None:
    """The body that the argument gives, or names."""
    if text is None:
        return None
    return read(Path(text[1:])) if text.startswith("@") else text.encode()


def read(file: Path) -> bytes:
    """A file's bytes; UserError when they cannot be had."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None


def show(url: str, outcome: Outcome, summary: Summary) -> None:
    """Print the table."""
    load, out = outcome.job.load, console()
    offered = f"{load.users} users" if isinstance(load, Closed) else f"{load.rate:g}/s {load.arrivals}"
    table = three_columns(f"{url}: {offered}, {summary.seconds:.1f} s")
    table.add_row("goodput", f"{summary.rps:,.1f}", f"/s: {summary.n:,} right answers")
    add_latencies(table, summary.latency, "too few answers")
    add_failures(table, summary.errors)
    table.add_row("under way", f"{summary.under_way:,}", "when the window closed")
    queue = f"; up to {outcome.queue_max:,} requests waited for one" if outcome.queue_max else ""
    table.add_row("connections", f"{outcome.connections:,}", f"opened, at most {outcome.peak:,} at a time{queue}")
    if summary.drift_p99_ms is not None:
        table.add_row("drift p99", f"{summary.drift_p99_ms:,.3f}", "ms after the instant they were due")
    if summary.cpu_us_per_request is not None:
        share = f"{outcome.busiest:.0%} of {'its core' if outcome.shards == 1 else 'the busiest core'}"
        table.add_row("own CPU", f"{summary.cpu_us_per_request:,.1f}", f"µs per request, {share}")
    out.print(table)
    if outcome.busiest > BUSY:
        out.print("[yellow]the generator was near its own limit[/yellow]: give it a core of its own, or more --shards")


def show_told(url: str, told: Told) -> None:
    """Print what another tool said, and what that does not say."""
    out = console()
    table = three_columns(f"{url}: {told.tool} {told.version}, {told.seconds:.1f} s")
    table.add_row("rate", f"{told.rps:,.1f}", f"/s: {told.requests:,} requests, {told.n:,} of them right answers")
    add_latencies(table, told.latency, "not measured, or too few answers")
    add_failures(table, told.failed)
    if told.requests:
        table.add_row(
            "its CPU", f"{told.cpu_s / told.requests * 1e6:,.1f}", "µs per request, from its start to its exit"
        )
    out.print(table)
    out.print(f"$ {told.command}")
    for note in told.notes:
        out.print(f"- {note}")


def three_columns(title: str) -> Table:
    """An empty table for a name, a number and what it is."""
    table = Table(title=title, title_justify="left", box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    return table


def add_latencies(table: Table, latency: Latency, missing: str) -> None:
    """One row for each, a dash where there is none."""
    for name, value in asdict(latency).items():
        label = "p99.9" if name == "p999" else name
        table.add_row(label, "–" if value is None else f"{value:,.3f}", "ms" if value is not None else missing)


def add_failures(table: Table, failed: Mapping[str, int]) -> None:
    """How many, and of which classes."""
    table.add_row("failed", f"{sum(failed.values()):,}", ", ".join(f"{n:,} {name}" for name, n in failed.items()))


def told_numbers(told: Told) -> dict[str, Any]:
    """What `--json` holds of another tool; null for what it does not measure."""
    return {
        "generator": told.tool,
        "version": told.version,
        "command": told.command,
        "rps": told.rps,
        "requests": told.requests,
        "n": told.n,
        "errors": sum(told.failed.values()),
        "errors_by_kind": dict(told.failed),
        **{f"{name}_ms": value for name, value in asdict(told.latency).items()},
        "drift_p99_ms": None,
        "cpu_us_per_request": told.cpu_s / told.requests * 1e6 if told.requests else None,
        "seconds": told.seconds,
        "notes": list(told.notes),
    }


def numbers(outcome: Outcome, summary: Summary) -> dict[str, Any]:
    """What `--json` holds; null where the sample cannot support a number."""
    return {
        "rps": summary.rps,
        "n": summary.n,
        "errors": summary.failed,
        "errors_by_kind": dict(summary.errors),
        **{f"{name}_ms": value for name, value in asdict(summary.latency).items()},
        "first_byte_p50_ms": summary.first_byte_p50_ms,
        "drift_p99_ms": summary.drift_p99_ms,
        "cpu_us_per_request": summary.cpu_us_per_request,
        "cpu_share": outcome.busiest,
        "seconds": summary.seconds,
        "prorated_rps": summary.prorated_rps,
        "offered_rps": summary.offered_rps,
        "under_way": summary.under_way,
        "little": summary.little,
        "connections": outcome.connections,
        "pool": outcome.peak,
        "reconnects": outcome.reconnects,
        "refused": outcome.refused,
        "queue_max": outcome.queue_max,
        "interrupted": outcome.interrupted,
        "hdr_histogram_us": histogram(outcome).encode(),
    }


def rate(text: str) -> float:
    """A number of arrivals per second."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate: write requests per second, such as 200 or 0.5")
    return value


def seconds_or_none(text: str) -> float:
    """A duration that may be 0."""
    return 0.0 if text in ("0", "0s") else seconds(text)


def header(text: str) -> tuple[str, str]:
    """One header's name and value."""
    match = re.fullmatch(r"([!#-'*+.^-z|~0-9A-Z-]+):[ \t]*([ -~\t]*)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a header: write 'Name: value'")
    return match[1], match[2]


def cores(text: str) -> frozenset[int]:
    """A list of cores, such as 1 or 2,3 or 4-7."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", part)
        if not match:
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of cores: write 1 or 2,3 or 4-7")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)
