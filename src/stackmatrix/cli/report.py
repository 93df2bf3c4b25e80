"""`report.py`: make the reports of a run again, from what is on disk."""

import argparse
from pathlib import Path
from typing import Any

from stackmatrix.analysis.run import Seen, judge_run
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import load_stacks
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.cli.shell import command, console
from stackmatrix.report.files import write_reports
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import FILE as PLAN_FILE
from stackmatrix.results.plan import Plan, cells_of


def main() -> None:
    """Parse the arguments and write the reports of every run that is named."""
    parser = argparse.ArgumentParser(prog="report.py", description=__doc__)
    parser.add_argument("run", nargs="+", type=Path, metavar="RUN", help="a directory of results/")
    arguments = parser.parse_args()

    def report() -> int:
        for path in arguments.run:
            directory = RunDirectory.open(path)
            if not (path / "run.json").exists():
                judge_now(directory)
            write_reports(directory)
            console().print(f"{path}/report.html, report.md, report.csv")
        return 0

    command(report)


def judge_now(directory: RunDirectory) -> None:
    """Judge the trials of a run that was killed before it came to that; UserError when its plan is not there."""
    plan = directory.read(PLAN_FILE, Plan)
    environment = directory.read("environment.json", dict[str, Any])
    catalog = Catalog(load_stacks(), load_workloads())
    cells_of(plan, catalog)  # a copy of a stack that was compared is gone with the comparison
    judge_run(plan, directory, catalog, Seen("interrupted", environment, range(int(environment.get("cpus", 1)))))
