"""`stackmatrix report`: make the reports of a run again, from what is on disk."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from stackmatrix.cli.progress import stage
from stackmatrix.cli.shell import console
from stackmatrix.cli.subcommands import as_typed
from stackmatrix.errors import UserError

if TYPE_CHECKING:
    from stackmatrix.results.directory import RunDirectory


def write_again(*run: Annotated[Path, Parameter(metavar="RUN", help="a directory of results/")]) -> int:
    """Make the reports of runs again; return 1 when something of one is lost."""
    from stackmatrix.report.files import write_reports
    from stackmatrix.results.directory import RunDirectory
    from stackmatrix.results.plan import PLAN_FILE, Plan

    if not run:
        raise UserError("RUN is missing: name a directory of results/")
    out, lost = console(), 0
    for path in run:
        directory = RunDirectory.open(path)
        if (path / PLAN_FILE).exists():
            directory.read(PLAN_FILE, Plan)  # no report needs it, but a run that is damaged is not to pass for whole
        for file in directory.cut_off():
            out.print(
                f"{file}: its last line is cut off and left out; {as_typed('run')} --resume {path} measures it again"
            )
            lost = 1
        if not (path / "run.json").exists():
            judge_now(directory)
        with stage(out, f"writing the reports of {path}"):
            write_reports(directory)
        out.print(f"{path}/report.html, report.md, report.csv")
    return lost


def judge_now(directory: "RunDirectory") -> None:
    """Judge the trials of a run that was killed before it came to that; UserError when its plan is not there."""
    from stackmatrix.analysis.run import Circumstances, judge_run
    from stackmatrix.catalog.catalog import Catalog
    from stackmatrix.results.plan import PLAN_FILE, Plan, cells_of

    plan = directory.read(PLAN_FILE, Plan)
    environment = directory.read("environment.json", dict[str, Any])
    catalog = Catalog.of_checkout()
    cells_of(plan, catalog)  # a copy of a stack that was compared is gone with the comparison
    cpus = range(int(environment.get("cpus", 1)))
    judge_run(plan, directory, catalog, Circumstances("interrupted", environment, cpus))
