"""One more window of an arm after the rounds, for what would cost a headline trial too much to look at."""

import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

from stackmatrix import gates
from stackmatrix.catalog.workloads import Workload
from stackmatrix.load.generator import Edge
from stackmatrix.meter.meter import Meter, sampling
from stackmatrix.meter.processes import steal_share
from stackmatrix.meter.upstreams import SEEDED_ROWS, count
from stackmatrix.offer import by_generator, plan_of, warm_up_of
from stackmatrix.results import Arm, Reason, Timing, Trial
from stackmatrix.runtime.base import Service, share_cores
from stackmatrix.trial import Bench, Edges, now

Look = Callable[[Edge], None]
"""What is to be done as the window opens and closes."""


def load_once(
    bench: Bench,
    service: Service,
    arm: Arm,
    workload: Workload,
    timing: Timing,
    look: Look,
    beside: AbstractContextManager[object] | None = None,
) -> Trial:
    """Put the running service under the arm's load once, by the own generator, with `beside` at work all the while.

    The trial is never one of the run's: it has no ledger, its requests are not kept, and few of the gates are asked.
    Raises UserError when a server or the generator is gone.
    """
    runtime, load = bench.runtime, replace(arm.load, tool=None, requests=None)
    cores = share_cores(bench.cpus, int(service.settings.get("workers", 1)), bench.shards)
    runtime.pin(service, cores)
    if count(runtime).rows != SEEDED_ROWS:
        runtime.reset_notes()
    edges = Edges(runtime, service)

    def windows(edge: Edge, at: float) -> None:
        edges.read(edge, at)  # first, for it is to be of this instant
        look(edge)

    blank = Trial(id="", arm=arm.id, round=0, attempt=0, started=now())
    plan = plan_of(service, load, workload, timing, zlib.crc32(f"{bench.seed} {arm.id}".encode()))
    with (
        TemporaryDirectory() as scratch,
        sampling(Meter(runtime, service.stack.name)) as peaks,
        beside or nullcontext(),
    ):
        offered = by_generator(
            blank,
            plan,
            warm_up_of(service, load, workload),
            Path(scratch) / "records.npy",
            cores.generator,
            min(bench.shards, load.users or bench.shards),
            windows,
        )
    if offered.in_hand:
        runtime.restart(service)
    trial = replace(
        offered.trial,
        cpu_s=replace(offered.trial.cpu_s, stack=edges.cpu_s(service.stack.name)),
        threads=peaks.threads,
        foreign_share=edges.foreign_share(cores.stack, offered.trial.window_s),
        steal_share=steal_share(edges.cpus["start"], edges.cpus["end"]),
        records=None,
    )
    return replace(trial, reasons=[*gates.failures(trial), *gates.machine(trial)])


class Seen(TypedDict):
    """What both passes keep of their trial."""

    arm: str
    started: str
    window_s: float
    goodput: float | None
    cpu_us: float | None
    reasons: list[Reason]


def seen(trial: Trial) -> Seen:
    """As the fields of `results.Extra`."""
    return Seen(
        arm=trial.arm,
        started=trial.started,
        window_s=trial.window_s,
        goodput=trial.goodput,
        cpu_us=trial.cpu_us(trial.cpu_s.stack),
        reasons=trial.reasons,
    )
