"""What a run says as it goes: plain lines without a terminal; with one, bars that are gone at the end."""

import io

import pytest
from rich.console import Console

from stackmatrix.analysis.slo.level import parse_level
from stackmatrix.cli.progress import minutes
from stackmatrix.cli.watch import ConsoleWatcher
from stackmatrix.load.latency import Latency
from stackmatrix.results.explain import Explained, Phases, Profiled
from stackmatrix.results.plan import Arm, Load
from stackmatrix.results.reasons import Reason
from stackmatrix.results.slo import Overload, Probe
from stackmatrix.results.trial import Cpu

from ..made_trials import altered, made

ARM = Arm("s/w/8 users", "s", {}, "w", {}, Load("closed", users=8))
TRIAL = made(ARM.id, goodput=100.0, answered=100, latency_ms=Latency(p50=4.0), cpu_s=Cpu(stack=0.05))
SPOILED = altered(TRIAL, reasons=[Reason("steal", "the host took 9 %")])


def screen(said: io.StringIO, terminal: bool) -> Console:
    return Console(file=said, width=200, force_terminal=terminal, no_color=True, highlight=False)


def watched(terminal: bool) -> str:
    """What a run of two rounds with a repeat and extra trials says."""
    said = io.StringIO()
    with ConsoleWatcher(screen(said, terminal)) as watcher:
        watcher.stage("starting servers")
        watcher.preflight_begins("s", 1, 2)
        watcher.preflight_begins("t", 2, 2)
        watcher.refused("t", "it breaks the contract")
        watcher.stage("calibrating the load generator")
        watcher.rounds_begin(1, 0.5, "results/x")
        watcher.trial_begins(ARM, 0, 0)
        watcher.trial_ended(SPOILED)
        watcher.round_repeated([ARM], [SPOILED, SPOILED])
        watcher.trial_begins(ARM, 0, 1)
        watcher.trial_ended(TRIAL)
        watcher.round_ended(1, 2, 100.0, 0.034)
        watcher.extras_begin("explaining", 1, 2, 95.0)
        watcher.extra_ended(Explained(arm=ARM.id, started="", phases=Phases(response_s=0.05, total_s=0.01)), 0.0)
        watcher.extras_begin("profiling", 2, 2, 9.0)
        watcher.extra_ended(Profiled(arm=ARM.id, started="", file="profiles/s.svg", samples=90), 5.0)
        watcher.extra_ended(Profiled(arm=ARM.id, started="", missing="nothing was recorded"), 0.0)
        watcher.stage("computing the results")
    return said.getvalue()


def test_without_a_terminal_every_event_is_a_line() -> None:
    lines = watched(terminal=False).splitlines()
    assert lines[:5] == [
        "starting servers …",
        "checking s against contract and manifest (1 of 2) …",
        lines[2],
        "t is not timed: it breaks the contract",
        "calibrating the load generator …",
    ]
    assert lines[2].startswith("checking t against contract and manifest (2 of 2")
    assert lines[5:] == [
        "1 arms, windows of 0.5 s; kept in results/x",
        "[1/1, 0 s left] s/w/8 users: 100/s, p50 4.00 ms, CPU 500 µs; steal: the host took 9 %",
        "repeating 1 arm of w: steal ×2",
        "[2/2, 0 s left] s/w/8 users: 100/s, p50 4.00 ms, CPU 500 µs",
        "round 1 of about 2 done, about 2 min left; widest half-width 3.4 %",
        "explaining 1 of 2 arms: all would take about 2 min, more than the rounds and a fifth of the budget leave; "
        "--explain explains all of them, --no-explain none",
        "[explaining 1/1, 0 s left] s/w/8 users: 50.0 ms, 10.0 ms of it in the application",
        "[profiling 1/2, 5 s left] s/w/8 users: profiles/s.svg, 90 samples",
        "[profiling 2/2, 0 s left] s/w/8 users: nothing was recorded",
        "computing the results …",
    ]


def test_on_a_terminal_only_what_went_wrong_stays() -> None:
    said = watched(terminal=True)
    assert "steal: the host took 9 %" in said
    assert "nothing was recorded" in said
    assert "round 1 of about 2 done" in said
    assert "[2/2" not in said
    assert "profiles/s.svg, 90 samples" not in said
    assert said.rstrip().endswith("\x1b[2K"), "the last bar is wiped"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_search_says_every_rate(terminal: bool) -> None:
    said = io.StringIO()
    with ConsoleWatcher(screen(said, terminal)) as watcher:
        watcher.stage("calibrating the load generator")
        watcher.searches_begin(parse_level("p99<200ms"), 2, 6, "results/x")
        watcher.capacity(TRIAL)
        watcher.probed(Probe(ARM.id, 0, 0, 50.0, "kept", 900, 0, 12.0, TRIAL))
        watcher.searched(ARM, 0, 55.0, 300.0, 120.0)
        watcher.searched(ARM, 1, None, 60.0, None)
        over = Overload(goodput=40.0, value_ms=480.0, recovery_s=None, watched_s=4.0)
        watcher.probed(Probe(ARM.id, 0, 0, 66.0, "broken", 900, 0, 480.0, TRIAL, "overload", over))
    lines = said.getvalue().rpartition("\x1b[2K")[2].splitlines()  # what stands when the spinner is gone
    assert lines[0 if terminal else 1 :] == [
        "searching for the largest rate at which each of 2 arms keeps p99 < 200 ms, 6 times; kept in results/x",
        "s/w/8 users: 100/s",
        "s/w/8 users at 50.0/s: p99 12.0 ms, kept",
        "s/w/8 users, search 1 of 6: 55.0/s; the whole would take about 5 min more, and the budget leaves 2 min",
        "s/w/8 users, search 2 of 6: no rate; about 60 s left",
        "s/w/8 users at 66.0/s: overloaded: 40.0/s answered, not recovered",
    ]


def test_the_time_left_is_written_in_the_unit_that_suits_it() -> None:
    assert [minutes(seconds) for seconds in (0.4, 89.4, 90, 5360, 5400, 7500)] == [
        "0 s",
        "89 s",
        "2 min",
        "89 min",
        "1 h 30 min",
        "2 h 5 min",
    ]
