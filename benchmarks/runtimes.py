#!/usr/bin/env python3
"""Do containers and native processes measure the same? Rounds on both runtimes in turn, and the ratio per cell.

Where a wait is the ceiling both must agree within 5 %; where the CPU binds the ratio says what the container's
network and the other Python cost. Prints a Markdown table and exits 1 when a waiting cell disagrees.
"""

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from _venv import enter

enter()

from stackmatrix.formatting import quantity
from stackmatrix.results.directory import decode
from stackmatrix.results.run import ArmResult, Run

RUNTIMES = ("docker", "native")
WAITS = ("load", "slots")
AGREE = 0.05


def main() -> None:
    """Run both runtimes in turn, then compare cell by cell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--duration", default="1")
    parser.add_argument("--workload", action="append")
    options = parser.parse_args()
    workloads = options.workload or ["sleep", "http", "query", "notes-create", "json-small"]
    seen: dict[str, dict[str, list[ArmResult]]] = {name: {} for name in RUNTIMES}
    for number in range(options.rounds):
        for runtime in random.Random(number).sample(RUNTIMES, len(RUNTIMES)):
            print(f"round {number + 1} of {options.rounds}: {runtime}", file=sys.stderr, flush=True)
            for arm in once(runtime, workloads, options.duration):
                if arm.goodput is not None:
                    seen[runtime].setdefault(arm.id, []).append(arm)
    sys.exit(compare(seen))


def once(runtime: str, workloads: list[str], duration: str) -> list[ArmResult]:
    """One round of every stack under the workloads."""
    script = [str(ROOT / "scripts" / "check-performance.py"), "--runtime", runtime, "--rounds", "1"]
    named = [word for name in workloads for word in ("--workload", name)]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "run.json"
        asked = [*script, *named, "--duration", duration, "--json", str(file), "--results", directory]
        subprocess.run(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if not file.exists():
            sys.exit(f"error: the run on {runtime} gave no result; try it: {' '.join(script)}")
        return decode(file.read_bytes(), Run, str(file)).arms


def compare(seen: dict[str, dict[str, list[ArmResult]]]) -> int:
    """Print the table; 1 when a cell that waits differs by more than 5 %."""
    print("| cell | bound by | docker /s | native /s | docker ÷ native | CPU µs docker | CPU µs native |")
    print("|---|---|---:|---:|---:|---:|---:|")
    wrong = 0
    for name in sorted(seen["docker"].keys() & seen["native"].keys()):
        docker, native = (seen[runtime][name] for runtime in RUNTIMES)
        rates = [median(arm.goodput.value for arm in arms if arm.goodput) for arms in (docker, native)]
        cpu = [median(arm.cpu_us_per_request.stack or 0.0 for arm in arms) for arms in (docker, native)]
        bound = docker[0].ceiling.bound if docker[0].ceiling else ""
        ratio = rates[0] / rates[1]
        apart = bound in WAITS and abs(ratio - 1) > AGREE
        wrong |= apart
        print(
            f"| {name.rpartition('/')[0]} | {bound} | {quantity(rates[0])} | {quantity(rates[1])} "
            f"| {ratio:.2f}{' (!)' if apart else ''} | {quantity(cpu[0])} | {quantity(cpu[1])} |"
        )
    return int(wrong)


if __name__ == "__main__":
    main()
