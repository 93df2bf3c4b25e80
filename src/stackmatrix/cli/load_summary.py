"""Prints and writes the results of a load, the project's own or another tool's."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.table import Table

from stackmatrix.cli.shell import console
from stackmatrix.formatting import percent
from stackmatrix.load.generator import LoadRun
from stackmatrix.load.job import WHOLE_RESPONSES, Closed
from stackmatrix.load.latency import Latency
from stackmatrix.load.summary import Summary, histogram_of
from stackmatrix.load.tools.run import Told

NEAR_LIMIT = 0.7  # the share of its core above which the generator may be what is measured
SERVED = 0.95  # X(R+Z)/N of a closed loop below which some connections were not being served


def print_summary(url: str, outcome: LoadRun, summary: Summary) -> None:
    load, out = outcome.job.load, console()
    offered = f"{load.users} users" if isinstance(load, Closed) else f"{load.rate:g}/s {load.arrivals}"
    table = three_columns(f"{url}: {offered}, {summary.seconds:.1f} s")
    table.add_row(
        "goodput", f"{summary.rps:,.1f}", f"/s: {summary.answers:,.1f} right answers in {summary.seconds:.1f} s"
    )
    add_latencies(table, summary.latency, "too few answers")
    add_failures(table, summary.errors)
    table.add_row("under way", f"{summary.under_way:,}", "when the window closed")
    if isinstance(load, Closed) and summary.little is not None:
        table.add_row("Little's law", f"{summary.little * load.users:,.1f}", f"of {load.users:,} users by X(R+Z)")
    queue = f"; up to {outcome.queue_max:,} requests waited for one" if outcome.queue_max else ""
    table.add_row("connections", f"{outcome.connections:,}", f"opened, at most {outcome.peak:,} at a time{queue}")
    if summary.drift_p99_ms is not None:
        table.add_row("drift p99", f"{summary.drift_p99_ms:,.3f}", "ms after the instant they were due")
    if summary.cpu_us_per_request is not None:
        share = f"{percent(outcome.busiest)} of {'its core' if outcome.shards == 1 else 'the busiest core'}"
        table.add_row("own CPU", f"{summary.cpu_us_per_request:,.1f}", f"µs per request, {share}")
    out.print(table)
    for what, remedy in warnings(outcome, summary):
        out.print(f"[yellow]{what}[/yellow]: {remedy}")


def warnings(outcome: LoadRun, summary: Summary) -> Iterator[tuple[str, str]]:
    load, mean = outcome.job.load, summary.latency.mean
    held = summary.seconds * 1000 / mean if mean else WHOLE_RESPONSES
    if outcome.busiest > NEAR_LIMIT:
        yield "the generator was near its own limit", "give it a core of its own, or more --shards"
    if round(held, 1) < WHOLE_RESPONSES:
        yield f"the window holds {held:.1f} response times", "lengthen --duration to three or more"
    elif isinstance(load, Closed) and not summary.failed and (summary.little or 1.0) < SERVED:
        starved = round(load.users * (1 - (summary.little or 0.0)))
        yield (
            f"about {starved} of {load.users} connections were not being served",
            "throughput × response time leaves them out; workers that keep one connection each do that",
        )


def print_told(url: str, told: Told) -> None:
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
    table = Table(title=title, title_justify="left", box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    return table


def add_latencies(table: Table, latency: Latency, missing: str) -> None:
    for name, value in asdict(latency).items():
        label = "p99.9" if name == "p999" else name
        table.add_row(label, "–" if value is None else f"{value:,.3f}", "ms" if value is not None else missing)


def add_failures(table: Table, failed: Mapping[str, int]) -> None:
    table.add_row("failed", f"{sum(failed.values()):,}", ", ".join(f"{n:,} {name}" for name, n in failed.items()))


def told_numbers(told: Told) -> dict[str, Any]:
    """Collect what `--json` holds of another tool; null for what it does not measure."""
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


def numbers(outcome: LoadRun, summary: Summary) -> dict[str, Any]:
    """Collect what `--json` holds; null where the sample cannot support a number."""
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
        "answers": summary.answers,
        "offered_rps": summary.offered_rps,
        "under_way": summary.under_way,
        "little": summary.little,
        "connections": outcome.connections,
        "pool": outcome.peak,
        "reconnects": outcome.reconnects,
        "refused": outcome.refused,
        "queue_max": outcome.queue_max,
        "interrupted": outcome.interrupted,
        "hdr_histogram_us": histogram_of(outcome).encode(),
    }
