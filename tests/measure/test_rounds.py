"""A run's rounds: fresh order, repeats, budget, going on after a stop; the trials are made up."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.analysis.statistics import StoppingRule
from stackmatrix.errors import UserError
from stackmatrix.measure.rounds import Policy, Rounds, by_variant, window_for
from stackmatrix.measure.watcher import Watcher
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, Load, twin_of
from stackmatrix.results.reasons import Reason, ReasonKind
from stackmatrix.results.trial import Trial

from ..made_trials import made

LOAD = Load("closed", users=8)


def arms(count: int) -> list[Arm]:
    return [Arm(f"s{i}/w/8", f"s{i}", {}, "w", {}, LOAD) for i in range(count)]


def trial(arm: Arm, number: int, attempt: int, goodput: float = 100.0, reasons: Sequence[Reason] = ()) -> Trial:
    return made(arm.id, number, attempt, offered=100, answered=100, goodput=goodput, reasons=list(reasons))


class Silent(Watcher):
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.trials: list[tuple[str, int, int]] = []
        self.repeated = 0

    def trial_begins(self, arm: Arm, number: int, attempt: int) -> None:
        self.trials.append((arm.id, number, attempt))

    def round_ended(self, rounds: int, expected: int, seconds_left: float | None, widest: float | None) -> None: ...

    def round_repeated(self, arms: Sequence[Arm], bad: Sequence[Trial]) -> None:
        self.repeated += 1


def execute(
    tmp_path: Path, policy: Policy, measure: Callable[[Arm, int, int], Trial] = trial, count: int = 3
) -> tuple[Rounds, Silent, str]:
    (tmp_path / "records").mkdir(exist_ok=True)
    watcher = Silent()
    run = Rounds(arms(count), policy, RunDirectory(tmp_path), measure, watcher)
    return run, watcher, run.execute()


def test_each_round_times_every_arm_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    run, watcher, ended_by = execute(tmp_path, Policy(seed=1, rounds=6), count=5)
    assert ended_by == "rounds"
    orders = [tuple(arm for arm, number, _ in watcher.trials if number == wanted) for wanted in range(6)]
    assert all(sorted(order) == sorted(arm.id for arm in run.arms) for order in orders)
    assert len(set(orders)) > 1


def test_the_same_seed_gives_the_same_orders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    orders = [execute(tmp_path / name, Policy(seed=7, rounds=3))[1].trials for name in ("a", "b")]
    assert orders[0] == orders[1]


def test_a_run_ends_by_precision_once_every_ratio_is_known(tmp_path: Path) -> None:
    run, _, ended_by = execute(tmp_path, Policy(seed=1))
    assert ended_by == "precision"
    assert Counter(trial.arm for trial in run.trials) == {arm.id: StoppingRule().start for arm in run.arms}


def test_a_reason_repeats_the_round_of_all_arms_that_are_compared(tmp_path: Path) -> None:
    def once_bad(arm: Arm, number: int, attempt: int) -> Trial:
        bad = arm.id.startswith("s1") and number == 0 and attempt == 0
        return trial(arm, number, attempt, reasons=[Reason("steal", "5 %")] if bad else [])

    run, watcher, _ = execute(tmp_path, Policy(seed=1, rounds=2), once_bad)
    assert watcher.repeated == 1
    assert {arm for arm, number, attempt in watcher.trials if (number, attempt) == (0, 1)} == {
        arm.id for arm in run.arms
    }


def test_unpaired_arms_are_repeated_alone_and_those_of_one_variant_together(tmp_path: Path) -> None:
    def once_bad(arm: Arm, number: int, attempt: int) -> Trial:
        bad = arm.stack in ("s1", "s2") and attempt == 0
        return trial(arm, number, attempt, reasons=[Reason("steal", "5 %")] if bad else [])

    (tmp_path / "records").mkdir()
    found = [replace(arm, id=f"{arm.id}/{w}", workload=w) for w in ("v", "w") for arm in arms(3)]
    found.append(twin_of(found[0]))
    watcher = Silent()
    Rounds(found, Policy(seed=1, rounds=1, paired=False), RunDirectory(tmp_path), once_bad, watcher).execute()
    first = [arm for arm, _, attempt in watcher.trials if attempt == 0]
    again = [arm for arm, _, attempt in watcher.trials if attempt == 1]
    assert sorted(first) == sorted(arm.id for arm in found)
    assert sorted(again) == sorted(arm.id for arm in found if arm.stack in ("s1", "s2"))
    for order in (first, again):  # nothing comes back to a variant that it has left
        stacks = [arm[:2] + arm[-5:].strip("/vw8") for arm in order]
        assert len([one for one, _ in groupby(stacks)]) == len(set(stacks))
    assert watcher.repeated == 1


def test_an_arm_that_stays_bad_is_repeated_twice_and_then_left_out(tmp_path: Path) -> None:
    def always_bad(arm: Arm, number: int, attempt: int) -> Trial:
        return trial(arm, number, attempt, reasons=[Reason("errors", "all")] if arm.id.startswith("s1") else [])

    _, watcher, _ = execute(tmp_path, Policy(seed=1, rounds=3), always_bad)
    assert [(number, attempt) for arm, number, attempt in watcher.trials if arm.startswith("s1")] == [
        (0, 0),
        (0, 1),
        (0, 2),
    ]
    assert max(number for _, number, _ in watcher.trials) == 2


def test_a_failure_repeats_its_arm_alone(tmp_path: Path) -> None:
    def fails(arm: Arm, number: int, attempt: int) -> Trial:
        return trial(arm, number, attempt, reasons=[Reason("errors", "all")] if arm.id.startswith("s1") else [])

    _, watcher, _ = execute(tmp_path, Policy(seed=1, rounds=3), fails)
    healthy = [(number, attempt) for arm, number, attempt in watcher.trials if arm.startswith("s0")]
    assert healthy == [(0, 0), (1, 0), (2, 0)]


def test_beside_noise_a_failure_is_repeated_with_all(tmp_path: Path) -> None:
    def both(arm: Arm, number: int, attempt: int) -> Trial:
        against = {"s1": Reason("errors", "all"), "s2": Reason("steal", "5 %")}
        reasons = [against[arm.stack]] if arm.stack in against and attempt == 0 else []
        return trial(arm, number, attempt, reasons=reasons)

    _, watcher, _ = execute(tmp_path, Policy(seed=1, rounds=1), both)
    assert Counter(attempt for _, _, attempt in watcher.trials) == {0: 3, 1: 3}


def test_a_window_that_is_too_short_is_not_tried_again(tmp_path: Path) -> None:
    def short(arm: Arm, number: int, attempt: int) -> Trial:
        return trial(arm, number, attempt, reasons=[Reason("short", "1.0")] if arm.id.startswith("s1") else [])

    _, watcher, _ = execute(tmp_path, Policy(seed=1, rounds=3), short)
    assert Counter(arm[:2] for arm, _, _ in watcher.trials) == {"s0": 3, "s1": 1, "s2": 3}


def test_an_arm_that_the_machine_spoils_is_tried_again_in_the_next_round(tmp_path: Path) -> None:
    def spoiled(arm: Arm, number: int, attempt: int) -> Trial:
        noisy = arm.id.startswith("s1") and number == 0
        return trial(arm, number, attempt, reasons=[Reason("neighbour", "40 %")] if noisy else [])

    _, watcher, _ = execute(tmp_path, Policy(seed=1, rounds=3), spoiled)
    assert [number for arm, number, _ in watcher.trials if arm.startswith("s1")] == [0, 0, 0, 1, 2]


def test_no_round_is_repeated_once_the_budget_is_spent(tmp_path: Path) -> None:
    def spoiled(arm: Arm, number: int, attempt: int) -> Trial:
        return trial(arm, number, attempt, reasons=[Reason("neighbour", "40 %")])

    _, watcher, ended_by = execute(tmp_path, Policy(seed=1, budget_s=1e-6), spoiled)
    assert ended_by == "budget"
    assert watcher.repeated == 0


def test_what_was_measured_is_kept_and_not_repeated(tmp_path: Path) -> None:
    def stops(arm: Arm, number: int, attempt: int) -> Trial:
        if number == 1 and arm.id.startswith("s2"):
            raise KeyboardInterrupt
        return trial(arm, number, attempt)

    with pytest.raises(KeyboardInterrupt):
        execute(tmp_path, Policy(seed=3, rounds=3), stops)
    kept = {(trial.arm, trial.round) for trial in RunDirectory(tmp_path).trials()}
    run, watcher, _ = execute(tmp_path, Policy(seed=3, rounds=3))
    assert kept
    assert not kept & {(arm, number) for arm, number, _ in watcher.trials}
    assert Counter(trial.arm for trial in run.trials) == {arm.id: 3 for arm in run.arms}


def test_a_last_line_cut_off_by_a_crash_is_measured_again(tmp_path: Path) -> None:
    execute(tmp_path, Policy(seed=3, rounds=1))
    file = tmp_path / "trials.jsonl"
    file.write_bytes(file.read_bytes()[:-40])
    run, watcher, _ = execute(tmp_path, Policy(seed=3, rounds=1))
    assert len(watcher.trials) == 1
    assert len({trial.arm for trial in run.trials}) == 3
    assert len(list(RunDirectory(tmp_path).trials())) == 3


def test_a_broken_line_names_file_and_place(tmp_path: Path) -> None:
    execute(tmp_path, Policy(seed=3, rounds=1))
    file = tmp_path / "trials.jsonl"
    file.write_text(file.read_text().replace('"offered":100', '"offered":"x"'))
    with pytest.raises(UserError, match=r"trials\.jsonl:1: not a file of this format.*offered"):
        list(RunDirectory(tmp_path).trials())


@given(budget=st.floats(10, 3600), count=st.integers(1, 200), overhead=st.floats(0.1, 3), rounds=st.integers(1, 30))
def test_a_window_fits_the_budget_or_the_budget_is_refused(
    budget: float, count: int, overhead: float, rounds: int
) -> None:
    try:
        window = window_for(budget, count, overhead, rounds, least_s=0.5, most_s=5)
    except UserError:
        assert count * (overhead + 0.5) > budget
        return
    assert 0.5 <= window <= 5
    assert window == 0.5 or count * rounds * (window + overhead) <= budget * (1 + 1e-9)


def test_void_arms_do_not_stop_the_others_from_ending_by_precision(tmp_path: Path) -> None:
    def one_bad(arm: Arm, number: int, attempt: int) -> Trial:
        bad = replace(trial(arm, number, attempt), reasons=[Reason("ledger", "2 ≠ 3")])
        return bad if arm.id.startswith("s0") else trial(arm, number, attempt)

    assert execute(tmp_path, Policy(seed=1), one_bad)[2] == "precision"


def test_a_run_without_a_number_does_not_end_by_precision(tmp_path: Path) -> None:
    def all_bad(kind: ReasonKind) -> Callable[[Arm, int, int], Trial]:
        return lambda arm, number, attempt: replace(trial(arm, number, attempt), reasons=[Reason(kind, "")])

    failed, spoiled = tmp_path / "failed", tmp_path / "spoiled"
    failed.mkdir()
    spoiled.mkdir()
    assert execute(failed, Policy(seed=1), all_bad("ledger"), count=1)[2] == "void"
    assert execute(spoiled, Policy(seed=1), all_bad("steal"), count=1)[2] == "cap"


def test_arms_of_one_variant_can_be_kept_together() -> None:
    variants: list[dict[str, int | str | bool]] = [{}, {"workers": 2}]
    found = [Arm(f"{workload}{each}", "s", each, workload, {}, LOAD) for workload in ("a", "b") for each in variants]
    kept = by_variant(found)
    assert [arm.variant for arm in kept] == [{}, {}, {"workers": 2}, {"workers": 2}]
    assert sorted(arm.id for arm in kept) == sorted(arm.id for arm in found)


def test_an_arm_takes_part_in_its_rounds_only_and_a_tool_s_is_never_repeated(tmp_path: Path) -> None:
    def bad(arm: Arm, number: int, attempt: int) -> Trial:
        return trial(arm, number, attempt, reasons=[Reason("neighbour", "others")] if arm.load.tool else [])

    own, other = arms(2)
    tool = replace(other, load=replace(LOAD, tool="wrk"), rounds=1)
    directory = RunDirectory.create("test", tmp_path)
    Rounds([own, tool], Policy(seed=1, rounds=3), directory, bad, Silent()).execute()
    seen = Counter((trial.arm, trial.attempt) for trial in directory.trials())
    assert seen == {(own.id, 0): 3, (tool.id, 0): 1}
