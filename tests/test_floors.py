"""The contracts between the floors see every way to write an import."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from stackmatrix.catalog import ROOT

PLANTED = {
    "errors.py": ("from stackmatrix import catalog", "stackmatrix.errors -> stackmatrix.catalog"),
    "catalog/toml.py": ("from .. import results", "stackmatrix.catalog.toml -> stackmatrix.results"),
    "load/histogram.py": ("from ..catalog import stacks", "stackmatrix.load.histogram -> stackmatrix.catalog.stacks"),
    "analysis/latency.py": ("def f(): import altair", "stackmatrix.analysis.latency -> altair"),
    "report/slo.py": ("from stackmatrix.report import view", "stackmatrix.report.slo -> stackmatrix.report.view"),
}


def test_an_import_of_a_floor_above_is_seen_however_it_is_written(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (line, _) in PLANTED.items():
        with (tmp_path / "stackmatrix" / name).open("a") as module:
            module.write(f"\n{line}\n")
    linter = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--no-cache",
        "--config",
        str(ROOT / "pyproject.toml"),
    ]
    searched = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(linter, capture_output=True, text=True, check=False, cwd=tmp_path, env=searched)
    assert done.returncode == 1, done.stdout + done.stderr
    for _, seen in PLANTED.values():
        assert seen in done.stdout
