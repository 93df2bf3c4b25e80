"""What is looked at after the rounds: which arms, within which part of the budget, and what is made of it."""

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.analysis.judge import judge, sustained
from stackmatrix.analysis.model.observed import Setup
from stackmatrix.analysis.statistics import LEAST_ROUNDS
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Variant, load_stacks
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.load.latency import Latency
from stackmatrix.measure.after_rounds import (
    EXPLAIN_SHARE,
    RESTART_S,
    ROUND_OVERHEAD_S,
    AfterRounds,
    PlannedExtra,
    busiest_of_each,
    quickest,
    reserved_s,
    total_s,
    trials_that_count,
)
from stackmatrix.measure.trial import Bench
from stackmatrix.measure.watcher import Watcher
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.explain import (
    Explained,
    ExtraTrials,
    InstrumentationCost,
    Phases,
    Profiled,
    Sustained,
    SustainedRate,
)
from stackmatrix.results.plan import Load, Plan, Timing, arms_of, cells_of
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import ArmResult
from stackmatrix.results.trial import Cpu, Trial

from ..made_trials import altered, made

CATALOG = Catalog(load_stacks(), load_workloads())
VARIANTS = [Variant(stack, {}) for stack in CATALOG.stacks.values()]
ARMS = arms_of(VARIANTS, [CATALOG.workloads["notes-read"]], {}, [Load("closed", users=64)], twice=False)
PLAN = Plan(SCHEMA, "test", "", "native", 1, 2.0, 1.0, None, 600.0, ARMS, {})
CELLS = cells_of(PLAN, CATALOG)
ARM = next(arm for arm in ARMS if arm.stack == "fastapi-async")
TRIAL = made(
    ARM.id,
    window_s=1.0,
    answered=1000,
    goodput=1000.0,
    latency_ms=Latency(mean=64.0),
    cpu_s=Cpu(stack=0.5, postgres=0.1),
    generator_cpu_s=0.05,
    database_s=0.3,
    right=1500,
)
STEAL, ERRORS = Reason("steal", "3 %"), Reason("errors", "3 failed")
PHASES = Phases(requests=50, response_s=0.066, total_s=0.06, db_s=0.05)


def judged(trial: Trial = TRIAL, **passes: Any) -> ArmResult:
    """The only arm of a run of one trial."""
    found = judge([ARM], [trial], Setup(CATALOG, (0, 1)), lambda _: Latency(mean=64.0), passes=ExtraTrials(**passes))
    return found.arms[0]


def look(place: int, seconds: float) -> PlannedExtra:
    return PlannedExtra(CELLS[place], CELLS[place].variant, Timing(1, 1), seconds)


ROUNDS = [replace(TRIAL, round=number) for number in range(LEAST_ROUNDS)]


@pytest.mark.parametrize(
    ("rate", "floor", "rounds", "holds"),
    [
        (1000.0, 0.02, ROUNDS, True),
        (1019.0, 0.02, ROUNDS, True),
        (981.0, 0.02, ROUNDS, True),
        (1021.0, 0.02, ROUNDS, False),
        (980.0, 0.02, ROUNDS, False),
        (980.0, 0.05, ROUNDS, True),
        (500.0, 0.02, ROUNDS[1:], None),
        (980.0, 0.02, [altered(ROUNDS[0], goodput=970.0), *ROUNDS[1:]], True),
    ],
)
def test_a_rate_lasts_unless_it_leaves_all_rounds_by_more_than_the_floor(
    rate: float, floor: float, rounds: list[Trial], holds: bool | None
) -> None:
    found = sustained(Sustained(arm=ARM.id, started="", window_s=20.0, goodput=rate), rounds, floor)
    assert found == SustainedRate(rate, 20.0, holds)


@pytest.mark.parametrize("gap", [{"goodput": None}, {"missing": "the host took 9 % of the CPU time"}])
def test_a_long_window_that_was_disturbed_says_nothing(gap: dict[str, Any]) -> None:
    long = replace(Sustained(arm=ARM.id, started="", window_s=20.0, goodput=500.0), **gap)
    assert judged(sustained={ARM.id: long}).sustained is None
    assert judged(sustained={ARM.id: replace(long, goodput=500.0, missing=None)}).sustained is not None


def test_the_busiest_cell_of_each_variant_is_loaded_for_long() -> None:
    workloads = [CATALOG.workloads[name] for name in ("sleep", "json-small")]
    cells = cells_of(replace(PLAN, arms=arms_of(VARIANTS[:2], workloads, {}, [Load("closed", users=64)])), CATALOG)
    rates = {cell.arm.id: rate for cell, rate in zip(cells, (900.0, 700.0, 800.0, 750.0, 100.0), strict=True)}
    counting = {arm: [altered(TRIAL, goodput=rate)] for arm, rate in rates.items()}
    assert [rates[cell.arm.id] for cell in busiest_of_each(cells, counting)] == [900.0, 750.0]


@given(st.lists(st.builds(look, st.integers(0, 3), st.floats(0.1, 30)), max_size=12), st.floats(0, 200))
def test_what_fits_is_as_many_arms_as_possible_within_the_seconds(looks: list[PlannedExtra], seconds: float) -> None:
    chosen = quickest(looks, seconds)
    assert total_s(chosen) <= seconds or not chosen
    assert total_s(looks) > seconds or len(chosen) == len(looks)
    assert all(look in looks for look in chosen)


def test_a_variant_is_started_once() -> None:
    assert total_s([look(0, 2.0), look(0, 3.0)]) == 5.0 + RESTART_S
    assert total_s([look(0, 2.0), look(1, 3.0)]) == 5.0 + 2 * RESTART_S


def test_the_rounds_leave_a_fifth_of_the_budget_at_most() -> None:
    assert 0 < reserved_s(PLAN, CELLS) < 600 * EXPLAIN_SHARE
    enough = LEAST_ROUNDS * len(CELLS) * (PLAN.window_s + ROUND_OVERHEAD_S)  # for the rounds, which come first
    assert reserved_s(replace(PLAN, budget_s=enough * 1.1), CELLS) == pytest.approx(enough * 0.1)
    assert reserved_s(replace(PLAN, budget_s=enough * 0.9), CELLS) == 0
    assert reserved_s(replace(PLAN, explain=False), CELLS) == 0
    assert reserved_s(replace(PLAN, budget_s=None), CELLS) == 0


def test_explaining_takes_a_fifth_of_a_budget_that_has_more_to_spare() -> None:
    """One arm of windows of 1 s: six rounds take 21.6 s of the 30, and explaining it would take 6.2 s."""
    assert reserved_s(replace(PLAN, window_s=1.0, budget_s=30.0), CELLS[:1]) == pytest.approx(6.0)
    assert reserved_s(replace(PLAN, window_s=1.0, budget_s=60.0), CELLS[:1]) == pytest.approx(6.2)


def test_only_arms_with_a_number_are_looked_at() -> None:
    assert trials_that_count([TRIAL]) == [TRIAL]
    assert trials_that_count([]) == []
    spoiled = replace(TRIAL, reasons=[STEAL])
    assert trials_that_count([spoiled]) == []
    assert trials_that_count([spoiled, replace(TRIAL, round=1)]) == [replace(TRIAL, round=1)]
    assert trials_that_count([spoiled, replace(TRIAL, attempt=1)]) == [replace(TRIAL, attempt=1)], (
        "the last attempt stands"
    )
    assert trials_that_count([TRIAL, replace(TRIAL, round=1, reasons=[ERRORS])]) == []


def test_a_void_cell_has_no_flame_graph_and_that_is_said(tmp_path: Path) -> None:
    class Remembering(Watcher):
        words = ""

        def extras_denied(self, words: str) -> None:
            self.words = words

    watcher, directory = Remembering(), RunDirectory(tmp_path)
    directory.append(replace(TRIAL, reasons=[ERRORS]))
    plan, cells = replace(PLAN, explain=False, profile=True), [cell for cell in CELLS if cell.arm.id == ARM.id]
    no_server: Any = None  # nothing is left to be profiled
    AfterRounds(plan, Bench(no_server, (0, 1), directory, 1), cells, inf, watcher).run()
    assert watcher.words == f"a void cell has none: {ARM.id}"
    assert not list(directory.passes().profiled)


def test_what_looking_cost_stands_beside_what_was_seen() -> None:
    explained = Explained(arm=ARM.id, started="", goodput=970.0, cpu_us=525.0, phases=PHASES)
    profiled = Profiled(arm=ARM.id, started="", goodput=900.0, cpu_us=500.0, file="profiles/a.svg", samples=300)
    found = judged(explained={ARM.id: explained}, profiled={ARM.id: profiled})
    assert found.phases == PHASES
    assert found.explaining is not None
    assert (found.explaining.goodput, found.explaining.cpu) == pytest.approx((0.97, 1.05))
    assert found.profile is not None
    assert (found.profile.file, found.profile.samples) == ("profiles/a.svg", 300)
    assert (found.profile.cost.goodput, found.profile.cost.cpu) == pytest.approx((0.9, 1.0))
    assert any("66.0 ms" in line and "Server-Timing" in line for line in found.explanation)


def test_the_cost_of_a_disturbed_pass_is_not_told() -> None:
    explained = Explained(arm=ARM.id, started="", goodput=400.0, cpu_us=700.0, phases=PHASES, reasons=[STEAL])
    assert judged(explained={ARM.id: explained}).explaining == InstrumentationCost(unknown=["3 %"])


def test_what_was_not_seen_or_is_not_valid_is_not_shown() -> None:
    nothing = Explained(arm=ARM.id, started="", missing="no observer was answered in the window of 1.0 s")
    undrawn = Profiled(arm=ARM.id, started="", missing="its processes cannot be seen from here")
    found = judged(explained={ARM.id: nothing}, profiled={ARM.id: undrawn})
    assert (found.phases, found.explaining, found.profile) == (None, None, None)
    explained = Explained(arm=ARM.id, started="", goodput=970.0, phases=PHASES)
    void = judged(replace(TRIAL, reasons=[ERRORS]), explained={ARM.id: explained})
    assert (void.valid, void.phases, void.explaining) == (False, None, None)


def test_the_databases_own_count_is_the_wait_that_nobody_states() -> None:
    counted, uncounted = judged(), judged(altered(TRIAL, database_s=None))
    assert counted.ceiling is not None and uncounted.ceiling is not None
    assert counted.predicted is not None and uncounted.predicted is not None
    assert counted.predicted.goodput < uncounted.predicted.goodput, "0.2 ms of a request are the database's"
    assert "200 µs (0.3 %) at work in the database" in " ".join(counted.explanation)
    assert "at work in the database" not in " ".join(uncounted.explanation)
