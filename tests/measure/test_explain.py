"""The explaining pass: what is read from headers, what is made of it, and a real stack whose phases add up."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from math import inf
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Variant, load_stacks
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.cli.watch import ConsoleWatcher
from stackmatrix.contract.client import ask_once
from stackmatrix.http import Request
from stackmatrix.load.latency import Latency
from stackmatrix.measure.after_rounds import AfterRounds
from stackmatrix.measure.explain import (
    MOST_OBSERVERS,
    OPEN_SHARE,
    ObservedAnswer,
    explain,
    mean_phases,
    parse_server_timing,
    split_load,
    why_no_phases,
    with_phases,
)
from stackmatrix.measure.profile import TracingDeniedError, busiest, profile, why_no_graph
from stackmatrix.measure.trial import Bench
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.explain import Explained, ExtraTrials, Phases, Profiled
from stackmatrix.results.plan import Arm, Load, Plan, Timing, arms_of, cells_of
from stackmatrix.results.reasons import Reason
from stackmatrix.runtime.native import NativeRuntime

from ..made_trials import made

STACKS, WORKLOADS = load_stacks(), load_workloads()
NAMES = st.sampled_from(["total", "gather", "db", "encode", "queue", "lag", "cache-miss", "a.b", "x!"])
SPACE = st.sampled_from(["", " ", "  ", "\t"])
WORDS = st.text(st.characters(codec="ascii", exclude_characters='"\\', min_codepoint=32), max_size=12)


@st.composite
def metrics(draw: st.DrawFn) -> tuple[str, str, float | None]:
    """One metric as a server may write it, its name, and its milliseconds."""
    name, gap = draw(NAMES), draw(SPACE)
    ms = draw(st.none() | st.integers(0, 10**7).map(lambda us: us / 1000))
    parameters = [f'desc="{draw(WORDS)}"'] if draw(st.booleans()) else []
    if ms is not None:
        written = f"{ms:.3f}" if draw(st.booleans()) else f'"{ms:.3f}"'
        parameters.insert(draw(st.integers(0, len(parameters))), f"{draw(st.sampled_from(['dur', 'DUR']))}={written}")
    return f"{gap};{gap}".join([name, *parameters]), name, ms


@given(st.lists(metrics(), max_size=6), st.sampled_from([",", ", ", " , "]))
def test_every_duration_of_a_header_is_read(told: list[tuple[str, str, float | None]], comma: str) -> None:
    found = parse_server_timing(comma.join(text for text, _, _ in told))
    wanted: dict[str, float] = {}
    for _, name, ms in told:
        if ms is not None:
            wanted[name] = wanted.get(name, 0.0) + ms / 1000
    assert found == pytest.approx(wanted)


@given(st.text(max_size=80))
def test_no_header_is_too_odd_to_be_read(text: str) -> None:
    assert all(seconds >= 0 for seconds in parse_server_timing(text).values())


def test_what_follows_a_broken_metric_is_not_guessed() -> None:
    assert parse_server_timing("db;dur=1, total;dur=2") == {"db": 0.001, "total": 0.002}
    assert parse_server_timing("db;dur=1, ;;, total;dur=2") == {"db": 0.001}
    assert parse_server_timing('a;desc="x, total;dur=9";dur=3') == {"a": 0.003}
    assert parse_server_timing("a;dur=-1, b;dur=1e9, c;dur=nan, d;duration=4") == {}


def answer(response_s: float, **phases: float) -> ObservedAnswer:
    return ObservedAnswer(10.0, 10.0 + response_s, phases)


def test_means_count_a_phase_that_an_answer_lacks_as_no_time() -> None:
    seen = mean_phases([answer(0.2, total=0.15, db=0.1), answer(0.4, total=0.25, db=0.1, queue=0.1)])
    assert seen is not None
    assert seen.requests == 2
    assert (seen.response_s, seen.total_s, seen.db_s, seen.queue_s) == pytest.approx((0.3, 0.2, 0.1, 0.05))
    assert seen.outside_s == pytest.approx(0.1)
    assert (seen.gather_s, seen.encode_s, seen.lag_s) == (None, None, None)
    assert mean_phases([]) is None


def test_why_there_are_no_phases() -> None:
    assert why_no_phases([], 1.5) == "no observer was answered in the window of 1.5 s"
    assert "no Server-Timing header" in why_no_phases([answer(0.1)], 1.5)


@given(st.integers(1, 5000))
def test_observers_take_the_place_of_users(users: int) -> None:
    load, number, pause_s = split_load(Load("closed", users=users, think_s=0.5), Timing(1, 1))
    assert 1 <= number <= MOST_OBSERVERS
    assert (load.users or 0) + number == max(2, users)
    assert number <= max(1, users / 8)
    assert pause_s == 0.5


@given(st.floats(0.01, 1e5))
def test_an_open_load_is_not_offered_more(rate: float) -> None:
    load, number, pause_s = split_load(Load("open", rate=rate), Timing(1, 2))
    assert number == 1
    assert load.rate == pytest.approx(rate * (1 - OPEN_SHARE))
    assert pause_s <= 0.5, "it asks four times in a window of 2 s at least"
    assert 1 / pause_s <= max(2.0, rate * OPEN_SHARE * 1.001)


def test_each_pass_has_a_file_of_its_own_and_the_last_line_of_an_arm_stands(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    assert not directory.passes().explained
    phases = Phases(requests=3, response_s=0.2, total_s=0.1, queue_s=0.05)
    directory.append(Explained(arm="a", started="", missing="the stack died"))
    directory.append(Explained(arm="a", started="", phases=phases, reasons=[Reason("steal", "3 %")]))
    directory.append(Profiled(arm="a", started="", file="profiles/a.svg", samples=300))
    with (tmp_path / "explaining.jsonl").open("a") as file:
        file.write('{"arm":"a","star')
    kept = directory.passes()
    assert kept.explained["a"].phases == phases
    assert kept.profiled["a"].samples == 300
    assert not list(directory.trials())


def test_the_busiest_process_is_the_one_that_worked_since() -> None:
    own, parent = os.getpid(), os.getppid()
    assert busiest([own, parent], {own: -1e6}) == own
    assert busiest([own, parent], {parent: -1e6}) == parent
    assert busiest([], {}) is None


def test_why_there_is_why_no_graph() -> None:
    assert "cannot be seen from here" in why_no_graph([])
    assert why_no_graph(["Error: something\nelse\n"]) == "py-spy recorded nothing: Error: something else"
    with pytest.raises(TracingDeniedError, match="run this as root"):
        why_no_graph(["Permission Denied: Try running again with elevated permissions"])


# Native stacks under load; nothing here holds a machine to a speed.


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = RunDirectory(tmp_path_factory.mktemp("run"))
    with NativeRuntime(print) as runtime:
        runtime.up([STACKS["fastapi-async"], STACKS["fastapi-sync"]])
        yield Bench(runtime, tuple(sorted(os.sched_getaffinity(0))), directory, seed=1)


def explained(bench: Bench, stack: str, workload: str, users: int) -> Explained:
    arm = Arm(f"{stack}/{workload}", stack, {}, workload, {}, Load("closed", users=users))
    with bench.runtime.service(with_phases(Variant(STACKS[stack], {}))) as service, bench.runtime.alone(service):
        return explain(bench, service, arm, WORKLOADS[workload], Timing(1.0, 1.0))


@pytest.mark.native
def test_phases_are_no_more_than_the_response_time(bench: Bench) -> None:
    found = explained(bench, "fastapi-async", "notes-read", 16)
    phases = found.phases
    assert phases is not None, found.missing
    assert phases.requests > 1
    assert 0 < phases.total_s <= phases.response_s
    named = (phases.queue_s, phases.db_s, phases.gather_s, phases.encode_s)
    assert 0 < sum(seconds or 0.0 for seconds in named) <= phases.total_s
    assert phases.db_s
    assert phases.sessions_active is not None and phases.sessions_idle is not None
    assert 1 <= phases.sessions_active + phases.sessions_idle <= 10, "a pool of ten"
    assert found.observers == 2
    assert found.goodput and found.cpu_us and found.threads


@pytest.mark.native
def test_requests_wait_for_threads_where_users_are_more(bench: Bench) -> None:
    found = explained(bench, "fastapi-sync", "sleep", 160)
    phases = found.phases
    assert phases is not None, found.missing
    assert phases.gather_s is not None and phases.gather_s > 0.09, "a timer of 100 ms"
    assert phases.queue_s is not None and phases.queue_s > phases.gather_s, "160 users, 40 threads"
    assert phases.queue_s + phases.gather_s <= phases.response_s


@pytest.mark.native
def test_headline_trials_tell_no_phases(bench: Bench) -> None:
    with bench.runtime.service(Variant(STACKS["fastapi-sync"], {})) as service:
        assert ask_once(service, Request("GET", "/notes/1")).header("server-timing") is None


@pytest.mark.native
def test_a_flame_graph_of_a_stack_under_load(bench: Bench) -> None:
    arm = Arm("fastapi-sync/json-small", "fastapi-sync", {}, "json-small", {}, Load("closed", users=8))
    with bench.runtime.service(Variant(STACKS["fastapi-sync"], {})) as service, bench.runtime.alone(service):
        try:
            found = profile(bench, service, arm, WORKLOADS["json-small"], Timing(0.5, 0.5))
        except TracingDeniedError as error:
            pytest.skip(f"ptrace is not permitted here: {error}")
        assert ask_once(service, Request("GET", "/healthz")).status == 200, "it goes on after the graph"
    assert found.file == "profiles/fastapi-sync_json-small.svg", found.missing
    assert found.samples > 0
    drawn = (bench.directory.path / found.file).read_text()
    assert "app.py" in drawn
    assert str(ROOT) not in drawn, "a graph names no directory of the machine"
    assert "<script xlink:href" not in drawn and "<image" not in drawn


def after_rounds(
    bench: Bench, name: str, window_s: float, **changed: Any
) -> tuple[AfterRounds, RunDirectory, StringIO]:
    """The passes over one arm that has a number already, in a run of its own; and where they speak."""
    variants = [Variant(STACKS["fastapi-async"], {})]
    arms = arms_of(variants, [WORKLOADS["sleep"]], {}, [Load("closed", users=16)], twice=False)
    directory = RunDirectory(bench.directory.path / name)
    if not directory.path.exists():
        directory.path.mkdir()
        latency = Latency(mean=101.0)
        directory.append(made(arms[0].id, window_s=1, answered=150, goodput=150, latency_ms=latency))
    plan = replace(Plan(SCHEMA, "test", "", "native", 1, 1.0, window_s, None, 10.0, arms, {}), **changed)
    said = StringIO()
    cells = cells_of(plan, Catalog(STACKS, WORKLOADS))
    own = replace(bench, directory=directory)
    return AfterRounds(plan, own, cells, inf, ConsoleWatcher(Console(file=said, width=200))), directory, said


@pytest.mark.native
def test_each_arm_is_looked_at_once_and_what_does_not_fit_is_said(bench: Bench) -> None:
    after, directory, said = after_rounds(bench, "fits", 0.5)
    after.run()
    assert said.getvalue().count("\n") == 1 and "explaining 0 of 1 arms" in said.getvalue()
    after_rounds(bench, "fits", 0.5, explain=False)[0].run()
    assert not directory.passes().explained
    for _ in range(2):
        after_rounds(bench, "fits", 0.5, explain=True)[0].run()
    (found,) = directory.passes().explained.values()
    assert found.phases is not None and found.phases.gather_s is not None and found.phases.gather_s > 0.09
    assert len((directory.path / "explaining.jsonl").read_text().splitlines()) == 1, "it goes on where it was"


@pytest.mark.native
@pytest.mark.parametrize(
    "changed", [{"explain": True}, {"explain": False, "profile": True}], ids=["explain", "profile"]
)
def test_ctrl_c_stops_everything_and_what_is_there_stays(bench: Bench, changed: dict[str, bool]) -> None:
    after, directory, _ = after_rounds(bench, f"interrupted {changed}", 30.0, **changed)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    alarm = threading.Timer(4.0, os.kill, (os.getpid(), signal.SIGINT))
    alarm.start()
    with pytest.raises(KeyboardInterrupt):
        after.run()
    alarm.join()
    assert not [thread.name for thread in threading.enumerate() if thread.name in ("observer", "sessions", "meter")]
    own = [child.name() for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert "py-spy" not in own
    assert directory.passes() == ExtraTrials()
    with bench.runtime.service(Variant(STACKS["fastapi-async"], {})) as service:
        assert ask_once(service, Request("GET", "/healthz")).status == 200
