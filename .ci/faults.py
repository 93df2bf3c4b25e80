"""Fails when a run has cells without a number for which a stack is to blame; what the machine spoils is no failure."""

import sys
from pathlib import Path

import msgspec

from stackmatrix.results.reasons import NOISE
from stackmatrix.results.run import Run

NO_FAULT = NOISE | {"generator", "lacking", "short", "untimed"}


def main() -> None:
    """Read the run's result, as `--json` wrote it."""
    run = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Run)
    found = [f"{arm.id}: {reason.detail}" for arm in run.arms for reason in arm.reasons if reason.kind not in NO_FAULT]
    if found:
        sys.exit("\n".join(["error: cells without a number that are no fault of the machine:", *found]))
    void = sum(not arm.valid for arm in run.arms)
    print(f"{len(run.arms) - void} of {len(run.arms)} cells have a number; the machine spoiled {void}")


if __name__ == "__main__":
    main()
