"""A plan from start to end: what happens in which order, and that whatever ends it, what was measured is judged."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Variant, Wait
from stackmatrix.contract.answer import Deviation
from stackmatrix.contract.overlap import CapacityFault
from stackmatrix.errors import LackingError, UserError
from stackmatrix.measure import session
from stackmatrix.measure.preflight import PreflightResult
from stackmatrix.measure.session import Session
from stackmatrix.measure.trial import Bench
from stackmatrix.measure.watcher import Stage, Watcher
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.plan import Arm, Load, Plan, arms_of
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import Run
from stackmatrix.results.trial import Trial

from ..made_trials import made

CATALOG = Catalog.of_checkout()
NAMES = ("fastapi-sync", "fastapi-async")
ARMS = arms_of(
    [Variant(CATALOG.stacks[name], {}) for name in NAMES],
    [CATALOG.workloads["json-small"]],
    {},
    [Load("closed", users=64)],
    twice=False,
)
PLAN = Plan(SCHEMA, "test", "", "native", 1, 0.1, 0.1, 2, 600.0, ARMS, {}, explain=False)


class Remembering(Watcher):
    """Remembers what happened, in one word each."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def stage(self, name: Stage) -> None:
        self.events.append(name)

    def preflight_begins(self, variant: str, number: int, of: int) -> None:
        self.events.append(f"checking {variant} {number}/{of}")

    def refused(self, variant: str, words: str) -> None:
        self.events.append(f"refused {variant}: {words}")

    def rounds_begin(self, arms: int, window_s: float, directory: str) -> None:
        self.events.append(f"{arms} arms")

    def trial_ended(self, trial: Trial) -> None:
        self.events.append("trial")

    def round_ended(self, rounds: int, expected: int, seconds_left: float | None, widest: float | None) -> None:
        self.events.append(f"round {rounds}")


class Servers:
    """A runtime that starts nothing."""

    def __init__(self) -> None:
        self.up_and_down: list[str] = []

    def __enter__(self) -> "Servers":
        return self

    def __exit__(self, *_: object) -> None:
        self.up_and_down.append("down")

    def up(self, stacks: Sequence[Any]) -> None:
        self.up_and_down += [stack.name for stack in stacks]

    def environment(self) -> dict[str, str]:
        return {"runtime": "none"}

    def reset_notes(self) -> None: ...

    def heal(self) -> None: ...

    def logs(self, name: str, lines: int) -> str:
        return f"the last {lines} lines of {name}"

    @contextmanager
    def service(self, variant: Variant) -> Iterator[Variant]:
        yield variant

    @contextmanager
    def alone(self, _service: Variant) -> Iterator[None]:
        yield


Execute = Callable[..., tuple[Run, Remembering]]


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Execute:
    """Execute the plan on servers that are not there, with a trial that is made up."""

    def executed(
        time_arm: Callable[[Arm, int], Trial] = lambda arm, number: counted(arm, number),
        check: Callable[[str], PreflightResult] = lambda _name: PreflightResult(),
        plan: Plan = PLAN,
    ) -> tuple[Run, Remembering]:
        def trial(_bench: Bench, _service: object, arm: Arm, _workload: object, _timing: object, *place: int) -> Trial:
            return time_arm(arm, place[0])

        directory = RunDirectory.create("test", tmp_path)
        monkeypatch.setattr(session, "choose", lambda _wanted, _say: Servers())
        monkeypatch.setattr(session, "check_variant", lambda _runtime, service, _users: check(service.stack.name))
        monkeypatch.setattr(session, "calibrate", lambda *_: SimpleNamespace(ceiling=1e6, cpu_us_per_request=10.0))
        monkeypatch.setattr(session, "timed_trial", trial)
        watcher = Remembering()
        try:
            return Session(plan, directory, CATALOG, watcher).execute(), watcher
        finally:
            assert (directory.path / "run.json").exists()

    return executed


def counted(arm: Arm, number: int) -> Trial:
    return made(arm.id, number, goodput=100.0, answered=100, window_s=1.0)


def test_a_plan_is_executed_step_by_step(execute: Execute) -> None:
    run, watcher = execute()
    assert watcher.events == [
        "starting servers",
        "checking fastapi-sync 1/2",
        "checking fastapi-async 2/2",
        "calibrating the load generator",
        "2 arms",
        "trial",
        "trial",
        "round 1",
        "trial",
        "trial",
        "round 2",
        "stopping servers",
        "computing the results",
    ]
    assert (run.ended_by, [arm.rounds for arm in run.arms]) == ("rounds", [2, 2])
    assert run.environment["runtime"] == "none"
    assert run.environment["generator"] == "1000000 requests/s at most, 10.0 µs of CPU for each"


def test_a_variant_that_is_refused_is_not_timed_and_says_why(execute: Execute) -> None:
    reason = Reason("contract", "another answer")

    def check(name: str) -> PreflightResult:
        if name == "fastapi-sync":
            return PreflightResult(None, reason, "in full")
        return PreflightResult()

    run, watcher = execute(check=check)
    assert "refused fastapi-sync: in full" in watcher.events
    assert "1 arms" in watcher.events
    assert [(arm.reasons, arm.rounds) for arm in run.arms] == [([reason], 0), ([], 2)]


def fault(wait: Wait, k: int) -> CapacityFault:
    return CapacityFault(
        wait, k, Deviation("/sleep: requests in flight per worker", "unlimited", "64 × 0.66 s\ntook 2 s")
    )


@pytest.mark.parametrize(
    ("wait", "users", "barred"),
    [("timer", 64, True), ("timer", 65, True), ("timer", 63, False), ("database", 64, False), (None, 64, False)],
)
def test_a_capacity_that_does_not_hold_bars_the_loads_that_need_it(wait: Wait | None, users: int, barred: bool) -> None:
    found = PreflightResult(faults=(fault("timer", 64),)).against(wait, users)
    assert (found is not None) is barred
    if found:
        assert found.kind == "overlap"
        assert found.detail == "/sleep: requests in flight per worker: declared unlimited, but 64 × 0.66 s took 2 s"


def test_what_speaks_against_the_whole_variant_bars_every_load() -> None:
    reason = Reason("identity", "1 process")
    assert PreflightResult(reason=reason).against(None, 1) is reason


def test_a_run_of_which_nothing_passes_ends_there(execute: Execute) -> None:
    def check(_name: str) -> PreflightResult:
        raise LackingError("no go here")

    run, watcher = execute(check=check)
    assert run.ended_by == "contract"
    assert [arm.reasons for arm in run.arms] == [[Reason("lacking", "no go here")]] * 2
    assert "trial" not in watcher.events


def test_ctrl_c_keeps_what_was_measured(execute: Execute) -> None:
    def stops(arm: Arm, number: int) -> Trial:
        if number == 1:
            raise KeyboardInterrupt
        return counted(arm, number)

    run, watcher = execute(stops)
    assert (run.ended_by, [arm.rounds for arm in run.arms]) == ("interrupted", [1, 1])
    assert watcher.events[-1] == "computing the results"


def test_a_server_that_is_gone_costs_its_trial_only(execute: Execute) -> None:
    def crashes(arm: Arm, number: int) -> Trial:
        if arm.stack == "fastapi-sync":
            raise UserError("it died\nlast lines")
        return counted(arm, number)

    run, _ = execute(crashes)
    assert [[reason.detail for reason in arm.reasons] for arm in run.arms] == [["it died"], []]
    assert all(str(reason.log).startswith("logs/r00-a2-fastapi-sync") for arm in run.arms for reason in arm.reasons)


def test_what_cannot_be_gone_on_with_is_judged_before_it_is_told(
    execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(arm: Arm, number: int) -> Trial:
        if number == 1:
            raise UserError("the database is gone")
        return counted(arm, number)

    def cannot(_servers: Servers) -> None:
        raise UserError("PostgreSQL does not start again")

    monkeypatch.setattr(Servers, "heal", cannot)
    with pytest.raises(UserError, match="PostgreSQL does not start again"):
        execute(breaks, plan=replace(PLAN, rounds=3))
