"""`findings.py`: carry out the experiments, and write down what they say."""

import argparse
import subprocess
import sys
from pathlib import Path

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.experiments import experiment_names
from stackmatrix.cli.shell import command, console
from stackmatrix.errors import UserError
from stackmatrix.report.findings import write_findings
from stackmatrix.results.directory import RESULTS, RunDirectory

FILE = ROOT / "docs" / "findings.md"
SUFFIX = "findings"
"""Ends the names of the runs that the findings are made from."""
EPILOG = """
examples:
  ./scripts/findings.py                          all experiments, shortened: about a quarter of an hour
  ./scripts/findings.py -- --rounds 8            likewise, with intervals
  ./scripts/findings.py results/*-findings       write them down again from runs that are there
"""


def main() -> None:
    """Parse the arguments, run what is to be run, write."""
    parser = argparse.ArgumentParser(
        prog="findings.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="*", type=Path, metavar="RUN", help="runs of experiments (default: run them all)")
    parser.add_argument("--out", type=Path, default=FILE, help="the document (default docs/findings.md)")
    given, more = split(sys.argv[1:])
    arguments = parser.parse_args(given)

    def findings() -> int:
        paths = arguments.run or [carry_out(name, more) for name in experiment_names()]
        write_findings([RunDirectory.open(path) for path in paths], arguments.out)
        console().print(f"{arguments.out} from {', '.join(path.name for path in paths)}")
        return 0

    command(findings)


def split(words: list[str]) -> tuple[list[str], list[str]]:
    """Our own arguments, and after `--` those of every run."""
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def carry_out(name: str, more: list[str]) -> Path:
    """Run one experiment as a user would, and say where it is kept; UserError when it did not come to an end."""
    before = set(RESULTS.glob(f"*-{name}-{SUFFIX}"))
    script = ROOT / "scripts" / "check-performance.py"
    words = [sys.executable, str(script), "--experiment", name, "--name", f"{name}-{SUFFIX}", *more]
    code = subprocess.run(words, check=False).returncode
    new = [path for path in RESULTS.glob(f"*-{name}-{SUFFIX}") if path not in before and (path / "run.json").exists()]
    if code not in (0, 1) or not new:
        raise UserError(f"{name} did not come to an end (exit code {code}): run it alone to see why")
    return new[0]
