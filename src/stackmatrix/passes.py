"""One more window of an arm after the rounds, for what would cost a headline trial too much to look at."""

import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from stackmatrix.catalog.workloads import Workload
from stackmatrix.load import summary
from stackmatrix.load.generator import Edge, generate
from stackmatrix.meter.meter import Meter, sampling
from stackmatrix.meter.upstreams import SEEDED_ROWS, count
from stackmatrix.results import Load, Timing
from stackmatrix.runtime.base import Service, share_cores
from stackmatrix.trial import Bench, Edges, WarmUp, goodput, plan_of, right_answers

MARGIN = 1.25
LONGEST_S = 20.0
"""The most to which a window is lengthened for one whole response time."""

Look = Callable[[Edge], None]
"""What is to be done as the window opens and closes."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the generator and the meters saw; instants are CLOCK_MONOTONIC seconds."""

    start: float
    end: float
    goodput: float
    answered: int
    cpu_s: float | None
    """Of the stack."""
    threads: int | None

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


def load_once(
    bench: Bench,
    service: Service,
    load: Load,
    workload: Workload,
    timing: Timing,
    look: Look,
    beside: AbstractContextManager[object] | None = None,
) -> Window:
    """Put the running service under a load by the own generator once, with `beside` at work from first to last.

    Nothing is kept of its requests. Raises UserError when a server or the generator is gone.
    """
    runtime = bench.runtime
    cores = share_cores(bench.cpus, int(service.settings.get("workers", 1)), bench.shards)
    runtime.pin(service, cores)
    if count(runtime).rows != SEEDED_ROWS:
        runtime.reset_notes()
    edges = Edges(runtime, service)
    waiting = workload.waiting()

    def on_window(edge: Edge, at: float) -> None:
        # The meters come first as the window opens and last as it closes: what looks is part of what is measured.
        if edge == "start":
            edges.read(edge, at)
        look(edge)
        if edge == "end":
            edges.read(edge, at)

    seed = zlib.crc32(f"{bench.seed} {service.variant.label} {workload.name} {load.label}".encode())
    with (
        TemporaryDirectory() as scratch,
        sampling(Meter(runtime, service.stack.name)) as peaks,
        beside or nullcontext(),
    ):
        outcome = generate(
            plan_of(service, replace(load, tool=None, requests=None), workload, timing, seed),
            records=Path(scratch) / "records.npy",
            cpus=cores.generator,
            shards=bench.shards,
            on_window=on_window,
            warm_up=WarmUp(load.users, service.variant.slots(waiting.on) if waiting else None),
        )
        inside = right_answers(outcome.records, outcome.start, outcome.end)
    runtime.restart(service)  # what it still has in hand, and what looked at it, would weigh on the next load
    return Window(
        start=outcome.start,
        end=outcome.end,
        goodput=goodput(summary.summarise(outcome), outcome),
        answered=len(inside),
        cpu_s=edges.cpu_s(service.stack.name),
        threads=peaks.threads,
    )
