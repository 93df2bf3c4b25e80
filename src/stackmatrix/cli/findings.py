"""`stackmatrix findings`: run the experiments, and write down what they say."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from stackmatrix.cli.options import option
from stackmatrix.cli.shell import console, try_outputs
from stackmatrix.errors import UserError

SUFFIX = "findings"  # ends the names of the runs that the findings are made from


def write_down(
    *run: Annotated[
        str, Parameter(metavar="RUN", help="runs of experiments (default: run them all, with the options behind --)")
    ],
    out: Annotated[Path | None, option(Path, "FILE", "the document (default docs/findings.md)")] = None,
) -> int:
    from stackmatrix.catalog import ROOT
    from stackmatrix.catalog.experiments import experiment_names
    from stackmatrix.report.findings import write_findings
    from stackmatrix.results.directory import RunDirectory

    file = out or ROOT / "docs" / "findings.md"
    try_outputs(out=file)
    if run and not run[0].startswith("-"):
        paths = [Path(name) for name in run]
    else:
        paths = [reproduced(name, run) for name in experiment_names()]
    write_findings([RunDirectory.open(path) for path in paths], file)
    console().print(f"{file} from {', '.join(path.name for path in paths)}")
    return 0


def reproduced(name: str, more: Sequence[str]) -> Path:
    """Run one experiment as a user would, and return its directory; UserError when it did not finish."""
    from stackmatrix.catalog import ROOT
    from stackmatrix.results.directory import RESULTS

    before = set(RESULTS.glob(f"*-{name}-{SUFFIX}"))
    script = ROOT / "scripts" / "check-performance.py"
    words = [sys.executable, str(script), "--experiment", name, "--name", f"{name}-{SUFFIX}", *more]
    code = subprocess.run(words, check=False).returncode
    new = [path for path in RESULTS.glob(f"*-{name}-{SUFFIX}") if path not in before and (path / "run.json").exists()]
    if code not in (0, 1) or not new:
        raise UserError(f"{name} did not come to an end (exit code {code}): run it alone to see why")
    return new[0]
