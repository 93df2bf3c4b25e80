"""From trials to a run's words: what voids an arm, what survives it, and copies of one arm that differ."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from stackmatrix.analysis.judge import Judgement, alike, judge
from stackmatrix.analysis.model.observed import Setup
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import load_stacks, parse_variant
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.load.latency import Latency
from stackmatrix.results.explain import Explained, ExtraTrials, InstrumentationCost, Phases
from stackmatrix.results.plan import Arm, Load, arms_of
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import ArmResult
from stackmatrix.results.trial import Cpu, Kernel, LedgerLine, Trial

from ..made_trials import made

CATALOG = Catalog(load_stacks(), load_workloads())
SETUP = Setup(CATALOG, [0, 1])
USERS = 64
ROUNDS = 8


def arms(*variants: str, workload: str = "json-small", twice: bool = False) -> list[Arm]:
    found = [parse_variant(text, CATALOG.stacks) for text in variants]
    return arms_of(found, [CATALOG.workloads[workload]], {}, [Load("closed", users=USERS)], twice)


def trial(arm: Arm, number: int, goodput: float, **changed: Any) -> Trial:
    answered = round(goodput)
    given: dict[str, Any] = {
        "window_s": 1.0,
        "offered": answered,
        "answered": answered,
        "right": answered,
        "goodput": goodput,
        "latency_ms": Latency(mean=USERS / goodput * 1e3),
        "cpu_s": Cpu(stack=0.9),
        "generator_cpu_s": 0.1,
    }
    return made(arm.id, number, **(given | changed))


def judged(arms: Sequence[Arm], trials: Sequence[Trial]) -> Judgement:
    return judge(arms, trials, SETUP, lambda _: Latency())


def only(arm: Arm, goodput: float = 1000.0, **changed: Any) -> ArmResult:
    """What one arm comes to whose every trial is so."""
    return judged([arm], [trial(arm, number, goodput, **changed) for number in range(ROUNDS)]).arms[0]


def entry(name: str, binding: bool) -> LedgerLine:
    return LedgerLine(name, 1000, 6000, binding=binding)


def test_copies_that_differ_take_every_difference_away() -> None:
    one, other, copy = arms("fastapi-async", "fastapi-sync", twice=True)
    honest = [
        trial(arm, number, rate + number % 3)
        for number in range(ROUNDS)
        for arm, rate in ((one, 1000.0), (other, 700.0), (copy, 1001.0))
    ]
    run = judged([one, other, copy], honest)
    assert run.aa is not None
    assert run.aa.valid is True
    assert [arm.rank for arm in run.arms] == [1, 2]
    assert run.comparisons
    assert run.answers

    drifted = [
        trial(arm, number, rate + number % 3)
        for number in range(ROUNDS)
        for arm, rate in ((one, 1000.0), (other, 700.0), (copy, 1100.0))
    ]
    run = judged([one, other, copy], drifted)
    assert run.aa is not None
    assert run.aa.valid is False
    assert [(arm.rank, arm.ratio) for arm in run.arms] == [(None, None)] * 2
    assert not run.comparisons
    assert not run.answers
    assert all(arm.valid and arm.goodput for arm in run.arms), "each arm's own figure stands"


@pytest.mark.parametrize(("kind", "kept"), [("neighbour", True), ("little", True), ("errors", False)])
def test_cpu_per_request_outlasts_what_only_moves_clocks(kind: Any, kept: bool) -> None:
    (arm,) = arms("fastapi-async")
    result = only(arm, reasons=[Reason(kind, "seen")])
    assert not result.valid
    assert result.goodput is None
    assert (result.cpu_us_per_request.stack is not None) is kept


def test_other_work_on_purpose_is_shown_and_holds_nobody() -> None:
    plain, other = (entry("SQL statements", binding) for binding in (True, False))
    assert plain.balanced is False
    assert other.balanced is None
    (arm,) = arms("fastapi-sync[db=orm]", workload="notes-create")
    (line,) = only(arm, ledger=[other]).ledger
    assert (line.implied, line.counted, line.binding) == (ROUNDS * 1000, ROUNDS * 6000, False)


def test_sessions_opened_for_other_work_on_purpose_void_nothing() -> None:
    plain, orm = arms("fastapi-sync", "fastapi-sync[db=orm]", workload="notes-create")
    opened = {plain.id: 0, orm.id: 170}
    trials = [trial(arm, n, 1000.0, new_db_sessions=opened[arm.id]) for n in range(ROUNDS) for arm in (plain, orm)]
    assert [arm.valid for arm in judged([plain, orm], trials).arms] == [True, True]


def test_the_model_is_told_how_the_accepts_fell_out() -> None:
    (arm,) = arms("fastapi-sync[workers=4]", workload="sleep")
    dealt = {"even": [16, 16, 16, 16], "uneven": [61, 1, 1, 1]}
    predicted = {}
    for name, counts in dealt.items():
        result = only(arm, goodput=400.0, connections_per_worker=counts)
        assert result.predicted is not None
        predicted[name] = result.predicted.goodput
    assert predicted["uneven"] < 0.9 * predicted["even"]


@pytest.mark.parametrize(("opened", "unequal"), [(10 + 50, False), (10 + 51, True)])
def test_one_session_in_twenty_requests_beyond_the_pool_is_other_work(opened: int, unequal: bool) -> None:
    one, other = arms("fastapi-async", "fastapi-sync", workload="notes-create")
    new = {one.id: 0, other.id: opened}
    trials = [trial(arm, n, 1000.0, new_db_sessions=new[arm.id]) for n in range(ROUNDS) for arm in (one, other)]
    honest, suspect = judged([one, other], trials).arms
    assert honest.valid
    assert [reason.kind for reason in suspect.reasons] == ["unequal"] * unequal
    if unequal:
        assert suspect.reasons[0].detail.startswith("opens 0.05 database sessions per request where fastapi-async/")


@pytest.mark.parametrize(("spoiled", "valid"), [(3, True), (4, False)])
def test_noise_may_spoil_less_than_half_of_the_rounds(spoiled: int, valid: bool) -> None:
    (arm,) = arms("fastapi-async")
    noisy = [Reason("neighbour", "seen")]
    result = judged([arm], [trial(arm, n, 1000.0, reasons=noisy * (n < spoiled)) for n in range(ROUNDS)]).arms[0]
    assert (result.valid, result.rounds) == (valid, ROUNDS - spoiled)
    assert [reason.kind for reason in result.reasons] == ([] if valid else ["neighbour"])


def test_what_the_machine_did_to_several_rounds_is_told_once_and_each_failure_by_itself() -> None:
    noise = [Reason("steal", f"{share} % taken") for share in (9, 7, 8)]
    failures = [Reason("errors", "3 failed"), Reason("errors", "4 failed")]
    assert list(alike([noise[0], failures[0], *noise[1:], failures[1]])) == [
        Reason("steal", "9 % taken, and so in 2 more rounds"),
        *failures,
    ]
    assert list(alike(noise[:1])) == noise[:1]


def test_the_last_attempt_of_a_round_stands() -> None:
    (arm,) = arms("fastapi-async")
    attempts = [
        trial(arm, n, rate, attempt=attempt) for n in range(ROUNDS) for attempt, rate in ((0, 10.0), (1, 500.0))
    ]
    result = judged([arm], attempts[::-1]).arms[0]
    assert result.goodput is not None
    assert result.goodput.value == pytest.approx(500)
    assert result.repeated == ROUNDS


def test_an_arm_without_a_trial_says_why() -> None:
    (arm,) = arms("fastapi-async")
    lacking = Reason("lacking", "no Go compiler")
    (untimed,) = judge([arm], [], SETUP, lambda _: Latency()).arms
    (barred,) = judge([arm], [], SETUP, lambda _: Latency(), {arm.id: lacking}).arms
    assert [reason.kind for reason in untimed.reasons] == ["untimed"]
    assert barred.reasons == [lacking]


def test_what_looking_cost_is_a_multiple_of_the_headline() -> None:
    (arm,) = arms("fastapi-async")
    seen = Explained(arm=arm.id, started="", goodput=900.0, cpu_us=990.0, phases=Phases(response_s=0.07, total_s=0.06))
    passes = ExtraTrials(explained={arm.id: seen})
    trials = [trial(arm, number, 1000.0) for number in range(ROUNDS)]
    (result,) = judge([arm], trials, SETUP, lambda _: Latency(), passes=passes).arms
    assert result.explaining is not None
    assert result.explaining.goodput == pytest.approx(0.9)
    assert result.explaining.cpu == pytest.approx(990 / 900)
    spoiled = ExtraTrials(explained={arm.id: replace(seen, reasons=[Reason("steal", "the host took 5 %")])})
    (result,) = judge([arm], trials, SETUP, lambda _: Latency(), passes=spoiled).arms
    assert result.explaining == InstrumentationCost(unknown=["the host took 5 %"])


def test_what_physics_rules_out_is_void_and_has_no_place() -> None:
    """640/s are all that 64 users can ask for who wait 100 ms; a stack that sleeps half led at 193 %."""
    honest, liar = arms("flask-uwsgi-gevent", "fastapi-async", workload="sleep")
    goodputs = {honest.id: 630.0, liar.id: 1235.0}
    trials = [trial(arm, n, goodputs[arm.id]) for n in range(ROUNDS) for arm in (honest, liar)]
    first, second = judged([honest, liar], trials).arms
    assert (first.valid, first.rank) == (True, 1)
    assert [reason.kind for reason in second.reasons] == ["physics"]
    assert "is beyond the 640/s that 64 users and waits of 100 ms for the timer allow" in second.reasons[0].detail
    assert (second.valid, second.goodput, second.rank, second.ratio, second.ceiling) == (False, None, None, None, None)
    assert second.verdict == "void"


class TestKernelCounters:
    """What the kernel counted in each window reaches the verdict, beside a goodput that nothing else explains."""

    @staticmethod
    def slow(*kernels: Kernel) -> ArmResult:
        """90 answers a second of 44 ms, in a round for each of these."""
        (arm,) = arms("fastapi-async")
        given: dict[str, Any] = {"cpu_s": Cpu(stack=0.036), "latency_ms": Latency(mean=44.2)}
        return judged([arm], [trial(arm, n, 90.0, kernel=kernel, **given) for n, kernel in enumerate(kernels)]).arms[0]

    def test_connections_that_were_turned_away_add_up(self) -> None:
        found = self.slow(Kernel(), Kernel(listen_overflows=2, listen_drops=3), Kernel(listen_overflows=4))
        assert found.verdict == "accept-queue"
        assert found.doubt is not None
        assert found.doubt.words == "the kernel turned 7 connections away before they were accepted"

    @pytest.mark.parametrize(("acks", "name"), [(45, "delayed-ack"), (44, "unexplained")])
    def test_acknowledgements_and_writes_count_per_answer(self, acks: int, name: str) -> None:
        found = self.slow(*[Kernel(delayed_acks=acks, writes=180)] * 3)
        assert found.verdict == name
        assert name == "unexplained" or "2 writes an answer" in " ".join(found.explanation)
        assert self.slow(*[Kernel(delayed_acks=acks, writes=90)] * 3).verdict == "unexplained"


def test_memory_and_threads_are_those_of_the_arm_and_not_of_what_ran_before() -> None:
    """236 threads were printed where the trials had 205, 205, 236, 45, 232 and 81, and 45 were its own."""
    (arm,) = arms("fastapi-sync", workload="sleep")
    seen = [(205, 150.0), (205, 151.0), (236, 203.0), (45, 61.5), (232, 190.0), (81, 80.0)]
    trials = [
        trial(arm, number, 390.0, threads=threads, memory_mib=memory) for number, (threads, memory) in enumerate(seen)
    ]
    (result,) = judged([arm], trials).arms
    assert (result.threads, result.memory_mib) == (45, 61.5)
