#!/usr/bin/env python3
"""Do the stacks come near what physics allows? 500 users on a one-second upstream, each stack against its ceiling.

One run of `check-performance.py`; prints share and floor for each stack and exits 1 when one is below its floor.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from _venv import enter

enter()

from stackmatrix.catalog.stacks import variant_label
from stackmatrix.formatting import quantity
from stackmatrix.results.directory import decode
from stackmatrix.results.run import Run

FLOORS = {
    "fastapi-async": (500, 0.95),  # every user in flight
    "fastapi-sync": (40, 0.95),  # AnyIO's 40 threads
    "fastapi-blocking": (1, 0.90),  # one at a time
    "flask-uwsgi-gevent[greenlets=500]": (500, 0.95),
}
"""What the ceiling is, in requests per second, and the share of it to reach."""


def main() -> None:
    """Run, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--duration", default="30", help="fastapi-sync answers in bursts 12 s apart")
    options = parser.parse_args()
    stacks = [part for name in FLOORS for part in ("--stack", name)]
    load = [
        "--workload",
        "http",
        "--param",
        "ms=1000",
        "--users",
        "500",
        "--duration",
        options.duration,
        "--rounds",
        "1",
    ]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "run.json"
        script = [str(ROOT / "scripts" / "check-performance.py"), "--runtime", options.runtime, "--json", str(file)]
        ended = subprocess.run([*script, "--name", "floors", *load, *stacks], check=False)
        if not file.exists():
            sys.exit(ended.returncode)
        run = decode(file.read_bytes(), Run, str(file))
    below = 0
    for arm in run.arms:
        name = variant_label(arm.stack, arm.variant)
        ceiling, floor = FLOORS[name]
        share = arm.goodput.value / ceiling if arm.goodput else 0.0
        below += share < floor
        word = "below its floor" if share < floor else "ok"
        got = quantity(arm.goodput.value) if arm.goodput else "void"
        print(f"{name:<36} {got:>6}/s of {ceiling}/s  share {share:.3f}, floor {floor:.2f}: {word}")
    sys.exit(bool(below))


if __name__ == "__main__":
    main()
