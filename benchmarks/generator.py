#!/usr/bin/env python3
"""Hold the load generator against its bars, with ab, wrk and h2load beside it, on this machine.

    ./benchmarks/generator.py [--rounds 7] [--seconds 3] [--quick]

The tools take turns in rounds against one Nginx that answers 1 kB, Nginx on the first core and the tool on the last;
a bar on CPU or rate is judged by the median of the rounds' ratios to wrk, which noise in common leaves alone. CPU is
what wait4 gives for the other tools, start-up and h2load's log included, and for ours what the process used within the
window. Then
come the servers whose truth is known: one that answers in 10 ms, and one that stalls in the last second of each ten.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from _venv import enter

enter()

import argparse
import math
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from _nginx import NGINX, nginx  # of scripts/
from stackmatrix.http import Expected, Request
from stackmatrix.load.generator import LoadRun, generate
from stackmatrix.load.job import Closed, LoadJob, Open, RequestKind
from stackmatrix.load.summary import percentile, summarise, within
from stackmatrix.load.targets import KnownServer, serving
from stackmatrix.load.tools.run import OTHER_GENERATORS, run_other

USERS = 16
BODY = "x" * 1024
ALONE = 0.1
"""The most of the generator's core that others may use in a round that counts for its drift."""
BESIDE = ("wrk", "h2load", "ab")


@dataclass(frozen=True, slots=True)
class Shot:
    """One tool's turn."""

    rate: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A requirement, and what was measured."""

    what: str
    measured: str
    passed: bool


def plan_of(port: int, load: Closed | Open, seconds: float, warmup_s: float, body: bytes = BODY.encode()) -> LoadJob:
    """A load on a server of this machine that answers everything with one body."""
    kinds = (RequestKind("1 kB", (Request("GET", "/", None, (("Accept", "*/*"),), Expected(200, body)),)),)
    return LoadJob(host="127.0.0.1", port=port, kinds=kinds, load=load, warmup_s=warmup_s, duration_s=seconds)


def other(tool: str, port: int, cpu: int, seconds: int) -> Shot:
    """The turn of another tool."""
    told = run_other(OTHER_GENERATORS[tool], plan_of(port, Closed(USERS), seconds, 0.0), cpus={cpu})
    return Shot(told.requests / told.seconds, told.cpu_s / told.requests * 1e6)


class Ours:
    """The generator, on one core, its records in one scratch file."""

    def __init__(self, scratch: Path, cpu: int) -> None:
        self._records = scratch / "records.npy"
        self._cpu = cpu

    def run(self, port: int, load: Closed | Open, *, seconds: float, body: bytes = BODY.encode()) -> LoadRun:
        """Offer the load for that long, after half a second of warm-up."""
        return generate(plan_of(port, load, seconds, 0.5, body), records=self._records, cpus={self._cpu})

    def shot(self, port: int, seconds: float) -> Shot:
        """The turn of the generator among the tools."""
        summary = summarise(self.run(port, Closed(USERS), seconds=seconds))
        if summary.failed or summary.cpu_us_per_request is None:
            sys.exit(f"error: {summary.failed} requests failed: {dict(summary.errors)}")
        return Shot(summary.rps, summary.cpu_us_per_request)


def beside(ours: Ours, cpus: tuple[int, int], rounds: int, seconds: int, out: Console) -> Iterator[Bar]:
    """CPU and rate against the same Nginx, in turn with the other tools."""
    turns: dict[str, Callable[[int], Shot]] = {
        tool: lambda port, tool=tool: other(tool, port, cpus[1], seconds)  # type: ignore[misc]
        for tool in BESIDE
        if shutil.which(tool)
    }
    turns["stackmatrix"] = lambda port: ours.shot(port, seconds)
    shots: dict[str, list[Shot]] = {tool: [] for tool in turns}
    with nginx(BODY, cpu=cpus[0]) as port:
        for number in range(rounds):
            out.print(f"round {number + 1} of {rounds}", style="dim")
            order = list(turns)[number % len(turns) :] + list(turns)[: number % len(turns)]
            for tool in order:
                shots[tool].append(turns[tool](port))
    table = Table(
        "tool", "requests/s", "CPU µs/request", "× wrk's CPU", "× wrk's rate", title=f"{USERS} connections, 1 kB"
    )
    for tool, taken in shots.items():
        cpu, rate = against(taken, shots.get("wrk", taken))
        table.add_row(
            tool,
            f"{statistics.median(shot.rate for shot in taken):,.0f}",
            f"{statistics.median(shot.cpu_us for shot in taken):.2f}",
            f"{cpu:.2f}",
            f"{rate:.2f}",
        )
    out.print(table)
    if "wrk" in shots:
        cpu, rate = against(shots["stackmatrix"], shots["wrk"])
        yield Bar("CPU per request ≤ 1.25 × wrk's", f"{cpu:.3f}", cpu <= 1.25)
        yield Bar("rate ≥ 60 % of wrk's", f"{rate:.0%}", rate >= 0.6)


def against(shots: list[Shot], reference: list[Shot]) -> tuple[float, float]:
    """Median over the rounds of the ratios of CPU per request and of rate."""
    pairs = list(zip(shots, reference, strict=True))
    return (
        statistics.median(one.cpu_us / other.cpu_us for one, other in pairs),
        statistics.median(one.rate / other.rate for one, other in pairs),
    )


def arrivals(ours: Ours, cpus: tuple[int, int], rounds: int, seconds: float) -> Iterator[Bar]:
    """Whether 5 000 arrivals per second leave when they are due, judged by the rounds in which nobody else was about.

    Whoever else runs on the generator's core delays it by whole time slices, which says nothing of the generator.
    """
    drifts: list[tuple[float, float]] = []
    with nginx(BODY, cpu=cpus[0]) as port:
        for _ in range(rounds):
            before = occupied(cpus[1])
            outcome = ours.run(port, Open(5000), seconds=seconds)
            others = (occupied(cpus[1]) - before - outcome.lifetime_cpu_s) / (seconds + 0.5)
            drifts.append((others, summarise(outcome).drift_p99_ms or math.inf))
    alone = [drift for others, drift in drifts if others <= ALONE]
    what = "5 000/s Poisson: drift p99 ≤ 2 ms"
    if alone:
        drift = statistics.median(alone)
        yield Bar(what, f"{drift:.3f} ms", drift <= 2)
    else:
        least = min(drifts)
        yield Bar(what, f"{least[1]:.1f} ms; others used {least[0]:.0%} of its core", least[1] <= 2)


def occupied(cpu: int) -> float:
    """CPU seconds that a core has spent on anything, or was not given by the host."""
    fields = next(line.split() for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{cpu} "))
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def little(ours: Ours, cpus: tuple[int, int], seconds: float) -> Iterator[Bar]:
    """Throughput × response time on a server that answers in 10 ms."""
    with serving(KnownServer(service_s=0.01), cpus[0]) as port:
        users = (summarise(ours.run(port, Closed(16), seconds=seconds)).little or 0) * 16
    yield Bar("10 ms server: X·R within 1 % of 16 users", f"{users:.3f}", abs(users / 16 - 1) <= 0.01)


def many(ours: Ours, cpus: tuple[int, int], seconds: float) -> Iterator[Bar]:
    """Two thousand users at once."""
    with nginx(BODY, cpu=cpus[0]) as port:
        outcome = ours.run(port, Closed(2000), seconds=seconds)
    summary = summarise(outcome)
    measured = f"{summary.under_way:,}, {summary.failed} failed"
    yield Bar("2 000 users in closed loop, none failing", measured, summary.under_way == 2000 and not summary.failed)


def stall(ours: Ours, cpus: tuple[int, int], periods: int) -> Iterator[Bar]:
    """Latency at 200/s on a server that stalls; whole periods, so that their phase does not matter."""
    target = KnownServer(service_s=0.01, stall_s=1.0, period_s=10.0)
    with serving(target, cpus[0]) as port:
        outcome = ours.run(port, Open(200, "constant"), seconds=periods * target.period_s, body=target.body)
    summary, records = summarise(outcome), outcome.records
    due = records["scheduled"][within(records["scheduled"], outcome.start, outcome.end)]
    truth = np.sort([(target.answered_at(at) - at) * 1e3 for at in due])
    for name, percent, found in (("p95", 95, summary.latency.p95), ("p99", 99, summary.latency.p99)):
        true = percentile(truth, percent) or 0
        error = abs((found or 0) / true - 1)
        yield Bar(f"stall test: {name} within 3 % of {true:,.0f} ms", f"{found or 0:,.1f} ms", error <= 0.03)


def main() -> int:
    """Measure everything, print two tables, and return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="of each tool's turn")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 2 s, and one stall instead of four")
    arguments = parser.parse_args()
    rounds, seconds, periods = (3, 2, 1) if arguments.quick else (arguments.rounds, arguments.seconds, 4)
    if NGINX is None:
        sys.exit("error: nginx is not installed: apt-get install nginx-light wrk apache2-utils nghttp2-client")
    missing = [tool for tool in BESIDE if not shutil.which(tool)]
    out = Console()
    if missing:
        out.print(f"not installed, and left out: {', '.join(missing)}", style="yellow")
    cores = sorted(os.sched_getaffinity(0))
    cpus = (cores[0], cores[-1])
    with tempfile.TemporaryDirectory() as scratch:
        ours = Ours(Path(scratch), cpus[1])
        bars = [
            *beside(ours, cpus, rounds, seconds, out),
            *little(ours, cpus, seconds * 3),
            *many(ours, cpus, seconds),
            *arrivals(ours, cpus, rounds, seconds),
            *stall(ours, cpus, periods),
        ]
    table = Table("bar", "measured", "", title="bars")
    for bar in bars:
        table.add_row(bar.what, bar.measured, "[green]pass[/green]" if bar.passed else "[red]FAIL[/red]")
    out.print(table)
    return 0 if all(bar.passed for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
