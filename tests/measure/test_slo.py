"""The rounds of a search on a server that is a formula: what is kept, gone on with, and said."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from stackmatrix.analysis.slo.level import LevelSample, parse_level
from stackmatrix.analysis.slo.overload import FACTOR, Course
from stackmatrix.analysis.slo.verdict import judge_levels, probe_outcome
from stackmatrix.load.job import Open, Step, arrivals
from stackmatrix.load.records import ROW, write_records
from stackmatrix.measure.rounds import Policy, TimeArm
from stackmatrix.measure.slo import SEARCHES, SearchRounds
from stackmatrix.measure.trial import name_of
from stackmatrix.measure.watcher import Watcher
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, Load, Timing
from stackmatrix.results.reasons import Reason
from stackmatrix.results.slo import ServiceLevel
from stackmatrix.results.trial import Trial

from ..made_trials import altered, made

LEVEL = parse_level("p99<200ms")


def arm(name: str) -> Arm:
    return Arm(f"{name}/http/64 users", name, {}, "http", {}, Load("closed", users=64))


@dataclass
class Server:
    """Answers first come, first served, `rates[stack]` a second."""

    directory: RunDirectory
    rates: dict[str, float]
    spoil: Callable[[Trial], Trial] = lambda trial: trial
    asked: list[Trial] = field(default_factory=list)
    noise: float = 0.0

    @contextmanager
    def hold(self, _arm: Arm) -> Iterator[TimeArm]:
        yield self.measure

    def measure(self, asked: Arm, number: int, attempt: int) -> Trial:
        name, load = name_of(asked, number, attempt), asked.load
        rate = self.rates[asked.stack] * random.Random(name).uniform(1 - self.noise, 1 + self.noise)
        trial = made(asked.id, number, attempt, id=name, goodput=rate, window_start=100.0, window_s=1.0)
        if load.kind == "open" and asked.timing is not None:
            timing, offered = asked.timing, load.rate or 0
            open_ = Open(offered, steps=tuple(Step(step.after_s, step.rate) for step in load.steps))
            seconds = timing.warmup_s + timing.window_s
            due = np.array(list(takewhile(lambda at: at < seconds, arrivals(open_, number))))
            ends = np.maximum.accumulate(due - np.arange(len(due)) / rate) + (np.arange(len(due)) + 1) / rate
            records = np.zeros(len(due), ROW)
            records["scheduled"], records["end"] = 100 - timing.warmup_s + due, 100 - timing.warmup_s + ends
            file = self.directory.records_file(name)
            write_records(file, records)
            trial = altered(trial, window_s=timing.window_s, records=f"records/{file.name}")
        trial = self.spoil(trial)
        self.asked.append(trial)
        return trial


class Silent(Watcher):
    """A watcher that remembers what was found."""

    def __init__(self) -> None:
        self.found: list[float | None] = []

    def searched(self, arm: Arm, number: int, found: float | None, wanted_s: float, left_s: float | None) -> None:
        assert wanted_s >= 0
        assert left_s is None or left_s >= 0
        self.found.append(found)


def run(server: Server, *, rounds: int | None = None, budget_s: float | None = None) -> tuple[str, list[ServiceLevel]]:
    (server.directory.path / "records").mkdir(exist_ok=True)
    arms = [arm(name) for name in server.rates]
    policy = Policy(seed=1, rounds=rounds, budget_s=budget_s)
    ended = SearchRounds(arms, LEVEL, Timing(0.5, 1.0), policy, server.directory, server.hold, Silent()).execute()
    return ended, judge_levels(arms, server.directory.probes(), LEVEL)


def test_every_stack_s_rate_is_found_with_its_interval_and_its_place(tmp_path: Path) -> None:
    server = Server(RunDirectory(tmp_path), {"slow": 300.0, "fast": 900.0}, noise=0.02)
    ended, (slow, fast) = run(server)
    assert ended == "rounds"
    for result, truth in ((slow, 300), (fast, 900)):
        assert result.ended == "found"
        assert result.rounds == SEARCHES
        assert result.rate is not None and result.rate.ci95 is not None
        assert result.rate.value == pytest.approx(truth, rel=0.15)
        assert result.rate.ci95[0] <= result.rate.value <= result.rate.ci95[1]
        assert "keeps p99 < 200 ms up to" in result.words
        assert "95 % interval" in result.words
    assert (fast.rank, slow.rank) == (1, 2)


def test_overload_is_answered_at_the_capacity_and_recovered_from(tmp_path: Path) -> None:
    _, (result,) = run(Server(RunDirectory(tmp_path), {"one": 400.0}))
    found = result.overload
    assert found is not None and result.rate is not None and found.recovery_s is not None
    assert found.rate == pytest.approx(FACTOR * result.rate.value)
    assert found.goodput.value == pytest.approx(400, rel=0.05)
    assert found.value_ms is not None and found.value_ms > 200
    assert 0 < found.recovery_s < found.watched_s
    assert "is back within the limit in" in result.words


def test_a_run_goes_on_without_asking_anything_twice(tmp_path: Path) -> None:
    whole = Server(RunDirectory(tmp_path / "whole"), {"a": 300.0, "b": 500.0})
    part = Server(RunDirectory(tmp_path / "part"), {"a": 300.0, "b": 500.0})
    for server in (whole, part):
        server.directory.path.mkdir()

    def stops(trial: Trial) -> Trial:
        if len(part.asked) == 17:
            raise KeyboardInterrupt
        return trial

    _, expected = run(whole)
    part.spoil = stops
    with pytest.raises(KeyboardInterrupt):
        run(part)
    again = Server(part.directory, part.rates)
    _, results = run(again)
    assert results == expected
    names = Counter(trial.id for trial in [*part.asked, *again.asked])
    assert set(names) == {trial.id for trial in whole.asked}
    assert names.most_common(1)[0][1] == 1


def test_what_the_machine_spoils_is_asked_again(tmp_path: Path) -> None:
    server = Server(RunDirectory(tmp_path), {"one": 300.0})
    noisy = Reason("neighbour", "others used 40% of the stack's core")
    server.spoil = lambda trial: replace(trial, reasons=[noisy]) if len(server.asked) % 3 == 1 else trial
    _, (result,) = run(server)
    assert result.rate is not None
    assert result.rate.value == pytest.approx(300, rel=0.15)


def test_a_neighbour_at_high_rates_only_does_not_hide_the_stack_s_own(tmp_path: Path) -> None:
    server = Server(RunDirectory(tmp_path), {"one": 300.0})
    noisy = Reason("neighbour", "others used 40% of the stack's core")
    server.spoil = lambda t: replace(t, reasons=[noisy]) if rate_of(t, server) > 400 else t
    _, (result,) = run(server)
    assert result.rate is not None
    assert result.rate.value == pytest.approx(300, rel=0.15)


def rate_of(trial: Trial, server: Server) -> float:
    """At which it was offered, as its records tell."""
    if trial.client.records is None:
        return 0.0
    records = np.load(server.directory.path / trial.client.records)
    return float(len(records) / (records["scheduled"].max() - records["scheduled"].min()))


def test_a_machine_that_is_never_quiet_is_said(tmp_path: Path) -> None:
    server = Server(RunDirectory(tmp_path), {"one": 300.0})
    server.spoil = lambda trial: replace(trial, reasons=[Reason("steal", "9 %")])
    _, (result,) = run(server, rounds=2)
    assert (result.ended, result.rate) == ("spoiled", None)
    assert "the machine took part in every attempt (kept at" in result.words


def test_a_stack_that_keeps_it_at_no_rate_that_can_be_judged_is_searched_twice_only(tmp_path: Path) -> None:
    server = Server(RunDirectory(tmp_path), {"one": 8.0})
    _, (result,) = run(server)
    assert (result.ended, result.rate, result.kept) == ("below", None, None)
    assert f"at 56.3/s, the least rate at which windows of 20 s hold the 1{chr(0x202F)}000 requests" in result.words
    assert max(trial.round for trial in server.asked) == 1


def test_a_generator_at_its_end_is_not_taken_for_the_stack_s(tmp_path: Path) -> None:
    def late(trial: Trial) -> Trial:
        return replace(trial, reasons=[Reason("generator", "the generator used 82% of its core")])

    server = Server(RunDirectory(tmp_path), {"one": 300.0}, late)
    _, (result,) = run(server)
    assert (result.ended, result.rate) == ("generator", None)
    assert "the generator could not offer more" in result.words


def test_a_stack_whose_ledger_does_not_balance_gets_no_rate(tmp_path: Path) -> None:
    detail = "SQL statements: the answers imply 3, counted were 2"
    server = Server(RunDirectory(tmp_path), {"one": 300.0}, lambda t: replace(t, reasons=[Reason("ledger", detail)]))
    _, (result,) = run(server)
    assert result.ended == "failed"
    assert detail in result.words


def test_a_budget_that_is_spent_is_said(tmp_path: Path) -> None:
    server = Server(RunDirectory(tmp_path), {"one": 300.0, "two": 300.0})
    ended, (one, two) = run(server, budget_s=9.0)
    assert ended == "budget"
    assert {one.ended, two.ended} == {"untimed"}
    assert "the time was over before one was found" in one.words


@pytest.mark.parametrize(
    ("reasons", "connections", "expected"),
    [
        ([], 10, "broken"),
        (["drift"], 10, "generator"),
        (["drift"], 1000, "broken"),
        (["neighbour"], 10, "spoiled"),
        (["ledger"], 10, "failed"),
        (["errors", "unsteady", "stuck"], 10, "broken"),
    ],
)
def test_who_is_to_blame_for_a_level_that_was_not_kept(reasons: list[str], connections: int, expected: str) -> None:
    trial = made(connections=connections, reasons=[Reason(kind, "") for kind in reasons])  # type: ignore[arg-type]
    assert probe_outcome(trial, LevelSample(1000, 0, 300.0, False)) == expected
    if expected != "failed":
        assert probe_outcome(trial, LevelSample(1000, 0, 100.0, True)) == "kept"
        assert probe_outcome(trial, LevelSample(10, 0, None, None)) == "unsupported"


def test_an_overload_lasts_until_its_queue_is_twice_the_limit() -> None:
    course = Course.of(parse_level("p99<1s"), 100)
    assert (FACTOR - 1) * course.over_s == pytest.approx(2)
    assert Course.of(LEVEL, 1.0).watch_s >= 2 * 20 / 0.5 or Course.of(LEVEL, 1.0).watch_s == 30
