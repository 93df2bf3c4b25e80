"""The work of a request: what cachegrind wrote is added up, and a few per cent more show on a busy machine."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Variant, load_stacks
from stackmatrix.errors import UserError
from stackmatrix.measure.work import VALGRIND, instructions_in

SCRIPT = [sys.executable, str(ROOT / "scripts" / "compare.py")]
STACK = load_stacks()["fastapi-async"]
HANDLER = "    return answer(orjson.loads(body))\n"


def test_the_counts_of_all_processes_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "101").write_text("desc: I1 cache\ncmd: python\nevents: Ir\nfn=x\n1 5\nsummary: 1200\n")
    (tmp_path / "102").write_text("events: Ir\nsummary: 34\n")
    (tmp_path / "103").write_text("events: Ir\n")  # killed before it had written all
    (tmp_path / "log.101").write_text("summary: 99\n")
    assert instructions_in(tmp_path, Variant(STACK, {})) == 1234


def test_a_stack_that_does_not_run_under_valgrind_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fastapi-async does not run under valgrind: nothing was counted"):
        instructions_in(tmp_path, Variant(STACK, {}))


@pytest.mark.native
@pytest.mark.skipif(shutil.which(VALGRIND[0]) is None, reason="valgrind is not installed")
def test_a_few_per_cent_more_work_are_found(tmp_path: Path) -> None:
    """Counts, not times: neighbours do not move them."""
    slow = tmp_path / "slow"
    shutil.copytree(ROOT / "stacks" / "fastapi-async", slow, ignore=shutil.ignore_patterns("__pycache__"))
    code = (slow / "app.py").read_text()
    assert code.count(HANDLER) == 1
    (slow / "app.py").write_text(code.replace(HANDLER, "    for _ in range(300):\n        pass\n" + HANDLER))
    file = tmp_path / "work.json"
    options = ["--work", "--workload", "json-small", "--fail-if-worse", "1%", "--json", str(file)]
    done = subprocess.run([*SCRIPT, "fastapi-async", str(slow), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    (found,) = json.loads(file.read_text())
    assert found["outcome"] == "worse"
    assert 1.02 < found["ratio"] < 1.2
    assert found["words"].endswith("% more instructions and as many system calls that read or write a request")
    assert found["a"]["calls"] == pytest.approx(found["b"]["calls"], rel=0.02)
    assert found["a"]["instructions"] > 100_000
