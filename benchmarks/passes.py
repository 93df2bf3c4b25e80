#!/usr/bin/env python3
"""What does looking cost? The same load on a stack as it is, with SERVER_TIMING on, explained, and under py-spy.

The four are with_phases in turn, in a fresh random order each round; ratios are paired by round, as in a run.
"""

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from _venv import enter

enter()

from stackmatrix.analysis.statistics import ratio
from stackmatrix.catalog.stacks import load_stacks, parse_variant
from stackmatrix.catalog.workloads import Workload, load_workloads
from stackmatrix.cli.shell import ending
from stackmatrix.measure.explain import explain, with_phases
from stackmatrix.measure.profile import profile
from stackmatrix.measure.trial import Bench, extra_fields, extra_trial
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.explain import ExtraTrial
from stackmatrix.results.plan import Arm, Load, Timing
from stackmatrix.runtime.base import Service
from stackmatrix.runtime.select import choose

Pass = Callable[[Bench, Service, Arm, Workload, Timing], ExtraTrial]


def plain(bench: Bench, service: Service, arm: Arm, workload: Workload, timing: Timing) -> ExtraTrial:
    """Nothing is looked at."""
    return ExtraTrial(**extra_fields(extra_trial(bench, service, arm, workload, timing)))


PASSES: dict[str, tuple[bool, Pass]] = {
    "as it is": (False, plain),
    "SERVER_TIMING": (True, plain),
    "explained": (True, explain),
    "profiled": (False, profile),
}
"""Whether the stack tells its phases, and what is done meanwhile."""


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", default="fastapi-async", metavar="NAME[VARIANT]")
    parser.add_argument("--workload", default="json-small", choices=sorted(load_workloads()))
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--duration", type=float, default=2.0, help="of a window, in seconds")
    parser.add_argument("--runtime", default="auto", choices=("docker", "native", "auto"))
    options = parser.parse_args()
    sys.exit(ending(lambda: costs(options)))


def costs(options: argparse.Namespace) -> int:
    """Carry out the rounds and print each pass's goodput and CPU per request as multiples of the first's."""
    variant = parse_variant(options.stack, load_stacks())
    workload = load_workloads()[options.workload]
    arm = Arm("cost", variant.stack.name, dict(variant.changed), workload.name, {}, Load("closed", users=options.users))
    timing = Timing(1.5, options.duration)
    found: dict[str, list[ExtraTrial]] = {name: [] for name in PASSES}
    with tempfile.TemporaryDirectory() as directory, choose(options.runtime, print) as runtime:
        bench = Bench(runtime, tuple(sorted(os.sched_getaffinity(0))), RunDirectory(Path(directory)), seed=1)
        runtime.up([variant.stack])
        for _ in range(options.rounds):
            for name in random.sample(list(PASSES), len(PASSES)):
                tells, look = PASSES[name]
                with runtime.service(with_phases(variant) if tells else variant) as service:
                    found[name].append(look(bench, service, arm, workload, timing))
    for name, seen_of in found.items():
        told = [told_ratio(what, seen_of, found["as it is"]) for what in ("goodput", "cpu_us")]
        disturbed = sum(bool(one.reasons) for one in seen_of)
        print(f"{name:<14} goodput {told[0]}  CPU {told[1]}  {disturbed} of {len(seen_of)} windows disturbed")
    return 0


def told_ratio(what: str, one: list[ExtraTrial], other: list[ExtraTrial]) -> str:
    """`1.03 (1.01-1.05)`."""
    estimate = ratio([getattr(each, what) for each in one], [getattr(each, what) for each in other])
    if estimate is None or estimate.interval is None:
        return "unknown"
    return f"{estimate.value:.3f} ({estimate.interval.low:.3f}-{estimate.interval.high:.3f})"


if __name__ == "__main__":
    main()
