"""Prints the share of statements and branches that the tests run, by package, and fails where it is below its floor."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {"analysis": 95.0, "load": 95.0}


def main() -> None:
    """Read what pytest-cov left."""
    report = ROOT / ".state" / "coverage" / "coverage.json"
    subprocess.run([sys.executable, "-m", "coverage", "json", "--quiet"], cwd=ROOT, check=True)
    covered: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for name, file in json.loads(report.read_text())["files"].items():
        place = Path(name).relative_to("src/stackmatrix")
        found = file["summary"]
        for package in (place.parts[0] if len(place.parts) > 1 else "(top level)", "all"):
            covered[package] += found["covered_lines"] + found["covered_branches"]
            there[package] += found["num_statements"] + found["num_branches"]
    below = []
    print("coverage of statements and branches")
    for package in sorted(there):
        share, floor = 100 * covered[package] / there[package], FLOORS.get(package, 0)
        print(f"  {package:12} {share:5.1f} %" + (f"  (at least {floor:g} %)" if floor else ""))
        if share < floor:
            below.append(package)
    if below:
        sys.exit(f"error: too little of {', '.join(below)} is tested; `coverage report -m` names the lines")


if __name__ == "__main__":
    main()
