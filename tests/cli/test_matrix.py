"""Which workloads a matrix has when none is named: all, or the core ones of which the budget can tell something."""

from dataclasses import replace

import pytest

from stackmatrix.catalog.catalog import Catalog
from stackmatrix.cli.options import EXECUTION, WORK
from stackmatrix.cli.run import matrix_arms, needed_s, tell_left_out

CATALOG = Catalog.of_checkout()
CORE = {name for name, workload in CATALOG.workloads.items() if workload.core}


@pytest.mark.parametrize(
    ("budget", "rounds", "workloads"),
    [
        (600.0, None, CORE),
        (3600.0, None, set(CATALOG.workloads)),
        (600.0, 1, set(CATALOG.workloads)),
        (60.0, 1, CORE),
    ],
)
def test_the_budget_decides_which_workloads_are_timed(budget: float, rounds: int | None, workloads: set[str]) -> None:
    execution = replace(EXECUTION, budget=budget, rounds=rounds)
    arms = matrix_arms((), WORK, CATALOG, execution, None)
    assert {arm.workload for arm in arms} == workloads
    if rounds is None:
        assert needed_s(len(arms) - 1, execution) <= budget
    assert any(arm.twin_of for arm in arms) == (rounds is None)


def test_what_is_named_or_searched_is_timed_whatever_the_budget() -> None:
    execution = replace(EXECUTION, budget=60.0)
    named = matrix_arms((), replace(WORK, workload=("data",)), CATALOG, execution, None)
    assert {arm.workload for arm in named} == {"data"}
    everything = matrix_arms((), replace(WORK, workload=("all",)), CATALOG, execution, None)
    assert {arm.workload for arm in everything} == set(CATALOG.workloads)
    searched = matrix_arms((), WORK, CATALOG, execution, "p99<200ms")
    assert {arm.workload for arm in searched} == set(CATALOG.workloads)


def test_what_is_left_out_is_said_with_the_budget_that_holds_all(capsys: pytest.CaptureFixture[str]) -> None:
    arms = matrix_arms((), WORK, CATALOG, EXECUTION, None)
    tell_left_out(arms, CATALOG, EXECUTION)
    said = " ".join(capsys.readouterr().err.split())
    assert f"is for the {len(CORE)} core workloads; all {len(CATALOG.workloads)}: --workload all" in said
    minutes = float(said.rpartition("--budget ")[2].removesuffix("m"))
    enough = replace(EXECUTION, budget=minutes * 60)
    every = matrix_arms((), WORK, CATALOG, enough, None)
    assert {arm.workload for arm in every} == set(CATALOG.workloads)
    tell_left_out(every, CATALOG, enough)
    assert capsys.readouterr().err == ""
