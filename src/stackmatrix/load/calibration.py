"""The generator's ceiling on this machine: an arm near it says more about the generator than about the stack."""

import os
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stackmatrix.http import Expected, Request
from stackmatrix.load.generator import GeneratorError, generate
from stackmatrix.load.job import Closed, LoadJob, RequestKind
from stackmatrix.load.summary import summarise
from stackmatrix.load.targets import KnownServer, serving

NULL_SERVER: Final = KnownServer(size=2)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the generator did in closed loop against a server that does nothing."""

    rps: float
    cpu_us_per_request: float  # the generator's own CPU
    generator_share: float  # the share of its cores that it used; what it lacks of 1, the null server held back

    @property
    def ceiling(self) -> float:
        """Requests/s with all of its cores used, whatever held the null server back: no arm can exceed it."""
        return self.rps / self.generator_share


def calibrate(cpus: Collection[int], shards: int = 1) -> Calibration:
    """Run the generator at its limit on these cores for about a second; GeneratorError when that cannot be."""
    others = sorted(os.sched_getaffinity(0) - set(cpus)) or sorted(cpus)
    with (
        tempfile.TemporaryDirectory(prefix="calibration-") as scratch,
        serving(NULL_SERVER, others[0]) as port,
    ):
        job = LoadJob(
            host="127.0.0.1",
            port=port,
            kinds=(RequestKind("nothing", (Request("GET", "/", expected=Expected(200, NULL_SERVER.body)),)),),
            load=Closed(users=64),
            warmup_s=0.3,
            duration_s=1.0,
        )
        outcome = generate(job, records=Path(scratch) / "records.npy", cpus=cpus, shards=shards)
    summary = summarise(outcome)
    if summary.failed or not summary.cpu_us_per_request:
        raise GeneratorError(f"the calibration failed: {summary.n} answers, {summary.failed} failures")
    return Calibration(
        rps=summary.rps,
        cpu_us_per_request=summary.cpu_us_per_request,
        generator_share=outcome.cpu_s / (summary.seconds * outcome.shards),
    )
