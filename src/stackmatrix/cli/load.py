"""`stackmatrix load`: offer load to any HTTP/1.1 URL and print what came of it."""

import json as encoder
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from cyclopts import Group, Parameter

from stackmatrix.cli import values
from stackmatrix.cli.options import SHARDS, TO_FILE, Spacing, ToolName, option, repeated
from stackmatrix.cli.shell import INTERRUPTED, console, deliver, try_outputs
from stackmatrix.errors import UserError

if TYPE_CHECKING:
    from stackmatrix.load.generator import LoadRun
    from stackmatrix.load.job import LoadJob

USUAL_WARM_UP_S = 1.0
FROM_ZERO = values.DURATION.within("0", "24h")


@Parameter(name="*", group=Group("What is sent"))
@dataclass(frozen=True, kw_only=True)
class Sent:
    method: Annotated[str | None, Parameter(help="default: GET, or POST when there is a body")] = None
    header: Annotated[
        tuple[tuple[str, str], ...], repeated(values.header, "'NAME: VALUE'", "a header of the request; repeatable")
    ] = ()
    body: Annotated[str | None, option(str, "TEXT", "the request's body; @FILE reads it from a file")] = None
    expect: Annotated[Path | None, option(Path, "FILE", "the body that every answer must have")] = None


@Parameter(name="*", group=Group("How it is offered"))
@dataclass(frozen=True, kw_only=True)
class LoadShape:
    users: Annotated[int | None, option(values.COUNT, "N", "closed loop: users with one request under way each")] = None
    think: Annotated[float, option(FROM_ZERO, "TIME", "closed loop: wait after each answer (default 0)")] = 0.0
    ramp: Annotated[float, option(FROM_ZERO, "TIME", "closed loop: start users over this time (default 0)")] = 0.0
    rate: Annotated[float | None, option(values.RATE, "R", "open loop: arrivals per second")] = None
    arrivals: Annotated[Spacing, Parameter(help="open loop: how arrivals are spaced (default poisson)")] = "poisson"
    connections: Annotated[int, option(values.COUNT, "N", "open loop: the most connections to open (default 1000)")] = (
        1000
    )
    duration: Annotated[float, option(values.DURATION, "TIME", "the timed window (default 10s)")] = 10.0
    warmup: Annotated[
        float | None,
        option(FROM_ZERO, "TIME", "load before the window (default: until steady, two response times or more)"),
    ] = None
    timeout: Annotated[float, option(values.DURATION, "TIME", "a request fails after this (default 30s)")] = 30.0
    seed: Annotated[int, option(values.SEED, "N", "of the arrivals (default 0)")] = 0


@Parameter(name="*", group=Group("What offers it"))
@dataclass(frozen=True, kw_only=True)
class Source:
    generator: Annotated[
        Literal["stackmatrix"] | ToolName,
        Parameter(help="the project's own generator, or another tool as a second opinion", metavar="NAME"),
    ] = "stackmatrix"  # fmt: skip
    requests: Annotated[
        int | None, option(values.COUNT, "N", "ab and h2load: end after so many, within --duration")
    ] = None
    shards: Annotated[int, SHARDS] = 1
    cpus: Annotated[
        frozenset[int] | None,
        option(values.core_list, "LIST", "cores to pin the generator to, such as 1 or 2,3 or 4-7"),
    ] = None
    records: Annotated[Path | None, option(Path, "FILE", "keep every request here, as a .npy file")] = None
    json: Annotated[Path | None, option(Path, "FILE", f"write the numbers as JSON {TO_FILE}")] = None


SENT, OFFER, SOURCE = Sent(), LoadShape(), Source()


def offer_load(
    url: Annotated[str, Parameter(metavar="URL", help="an http:// URL")],
    /,
    *,
    sent: Sent = SENT,
    offer: LoadShape = OFFER,
    source: Source = SOURCE,
) -> int:
    """Offer the load and print the table; return the exit code, 1 when no answer at all was right."""
    if (offer.users is None) == (offer.rate is None):
        raise UserError("--users or --rate: give one of them, and not both" if offer.users else
                        "--users or --rate is missing: give one of them")  # fmt: skip
    wanted = load_job(url, sent, offer)
    try_outputs(json=source.json, records=source.records)
    if source.generator != "stackmatrix":
        return run_tool(url, wanted, source)
    return run_own(url, wanted, offer.warmup is None, source)


def run_own(url: str, wanted: "LoadJob", patient: bool, source: Source) -> int:
    from stackmatrix.cli.load_summary import numbers, print_summary
    from stackmatrix.load.generator import Interrupted
    from stackmatrix.load.summary import summarise

    if source.requests is not None:
        raise UserError("--requests: this generator ends by --duration; --generator ab or h2load ends by number")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            outcome = generate_under_bar(wanted, patient, source, source.records or Path(scratch) / "records.npy")
        except Interrupted as stopped:
            outcome = stopped.outcome
        summary = summarise(outcome)
    print_summary(url, outcome, summary)
    deliver(encoder.dumps(numbers(outcome, summary), indent=2) + "\n", source.json)
    if outcome.interrupted:
        return INTERRUPTED
    return 0 if summary.n else 1


def run_tool(url: str, wanted: "LoadJob", source: Source) -> int:
    from stackmatrix.cli.load_summary import print_told, told_numbers
    from stackmatrix.load.tools.run import OTHER_GENERATORS, run_other

    if source.shards > 1:
        raise UserError("--shards: another tool's threads are as many as its --cpus")
    tool = OTHER_GENERATORS[source.generator]
    told = run_other(tool, wanted, cpus=source.cpus or (), records=source.records, stop_after=source.requests)
    print_told(url, told)
    deliver(encoder.dumps(told_numbers(told), indent=2) + "\n", source.json)
    return 0 if told.n else 1


def generate_under_bar(wanted: "LoadJob", patient: bool, source: Source, records: Path) -> "LoadRun":
    """Run the job under a progress bar; with `patient` its warm-up lasts two response times or more."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from stackmatrix.load import generator
    from stackmatrix.load.warm_up import LONGEST_WARM_UP_S, WarmUp

    columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[state]}"),
               TimeRemainingColumn())  # fmt: skip
    out = console()
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("warm-up", total=wanted.warmup_s + wanted.duration_s, state="")

        def progressed(now: generator.Progress) -> None:
            state = f"{now.ended} ended" + (f", {now.failed} failed" if now.failed else "")
            bar.update(task, completed=now.at, state=state)

        def edge(which: generator.Edge, _at: float) -> None:
            bar.update(task, description="window" if which == "start" else "drain")

        warm_up = WarmUp(wanted.warmup_s, LONGEST_WARM_UP_S, fit_window=False) if patient else None
        return generator.generate(
            wanted, records=records, cpus=source.cpus, shards=source.shards, on_progress=progressed, on_window=edge,
            warm_up=warm_up,
        )  # fmt: skip


def load_job(url: str, sent: Sent, offer: LoadShape) -> "LoadJob":
    """Make the job that the options ask for; UserError for what cannot be sent."""
    from stackmatrix.http import Expected, Request
    from stackmatrix.load.job import Closed, LoadJob, Open, RequestKind

    host, port, path = parse_url(url)
    body = content(sent.body)
    method = (sent.method or ("GET" if body is None else "POST")).upper()
    if not re.fullmatch(r"[A-Z]+", method) or method == "CONNECT":
        raise UserError(f"--method {sent.method!r}: not a method that can be sent; write letters, such as PUT")
    headers = sent.header
    if not any(name.lower() == "accept" for name, _ in headers):
        headers = (("Accept", "*/*"), *headers)
    if body is None and method in ("POST", "PUT", "PATCH"):
        body = b""
    expected = Expected(prefix=None if sent.expect is None else bytes_of(sent.expect))
    request = Request(method, path, body, headers, expected)
    load: Closed | Open
    if offer.users is not None:
        load = Closed(offer.users, offer.think, offer.ramp)
    else:
        load = Open(offer.rate or 0.0, offer.arrivals, offer.connections)
    return LoadJob(
        host=host,
        port=port,
        kinds=(RequestKind(f"{method} {path}", (request,)),),
        load=load,
        warmup_s=USUAL_WARM_UP_S if offer.warmup is None else offer.warmup,
        duration_s=offer.duration,
        timeout_s=offer.timeout,
        drain_s=offer.timeout,
        seed=offer.seed,
    )


def parse_url(url: str) -> tuple[str, int, str]:
    """Split a URL into host, port and path; UserError for one that is not plain HTTP."""
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
    return host, port or 80, path


def content(text: str | None) -> bytes | None:
    if text is None:
        return None
    return bytes_of(Path(text[1:])) if text.startswith("@") else text.encode()


def bytes_of(file: Path) -> bytes:
    """Read a file's bytes; UserError when that fails."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
