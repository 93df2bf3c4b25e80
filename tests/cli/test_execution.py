"""What a run ends with: its exit code."""

from dataclasses import replace
from pathlib import Path

import pytest

from stackmatrix.cli.execution import tell_end
from stackmatrix.results.plan import PLAN_FILE, Plan
from stackmatrix.results.reasons import Reason, ReasonKind
from stackmatrix.results.run import Run

from ..report.sample import Sample, make


@pytest.mark.parametrize(
    ("valid", "kind", "code"),
    [(True, "steal", 0), (False, "steal", 1), (False, "lacking", 1), (False, "untimed", 1), (False, "errors", 1)],
)
def test_a_run_ends_with_1_when_a_cell_is_void_whatever_made_it_so(
    tmp_path: Path, valid: bool, kind: ReasonKind, code: int
) -> None:
    directory = make(tmp_path, Sample(workloads=("http",), rounds=1))
    plan, run = directory.read(PLAN_FILE, Plan), directory.read("run.json", Run)
    first = run.arms[0]
    run = replace(run, arms=[replace(first, valid=valid, reasons=[Reason(kind, "")])])
    assert tell_end(run, directory, plan.arms) == code
    assert tell_end(replace(run, ended_by="interrupted"), directory, plan.arms) == 130
    tools = [replace(arm, load=replace(arm.load, tool="wrk")) for arm in plan.arms]
    assert tell_end(run, directory, tools) == 0
