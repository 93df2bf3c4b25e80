"""Containers that are paused, killed or out of memory while a run needs them: named, and up again for what follows."""

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from stackmatrix.catalog.stacks import Variant, load_stacks
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.measure.trial import Bench, timed_trial
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, Load, Timing
from stackmatrix.results.trial import Trial
from stackmatrix.runtime.docker import DockerRuntime

from .engine import containers, docker, skip_unless_free

ASYNC, SYNC = (Variant(load_stacks()[name], {}) for name in ("fastapi-async", "fastapi-sync"))
FILL_MEMORY = "dd if=/dev/zero of=/tmp/filler bs=1M count=2048"  # its /tmp is memory, and counts as the container's

pytestmark = pytest.mark.servers
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    skip_unless_free()
    directory = RunDirectory.create("chaos", tmp_path_factory.mktemp("results"))
    with DockerRuntime(print) as runtime:
        runtime.up([ASYNC.stack, SYNC.stack])
        yield Bench(runtime, tuple(sorted(os.sched_getaffinity(0))), directory, seed=1)


def trial_with(bench: Bench, workload: str, number: int, fault: Callable[[], object]) -> Trial:
    """Time a window of 4 s, with a fault 1 s into it."""
    load, warmup_s = Load("closed", users=8), 0.3
    arm = Arm(f"fastapi-async/{workload}", "fastapi-async", {}, workload, {}, load)
    with bench.alone(ASYNC) as service:
        timer = threading.Timer(warmup_s + 1.0, fault)
        timer.start()
        trial = timed_trial(bench, service, arm, load_workloads()[workload], Timing(warmup_s, 4.0), number, 0)
        timer.join()
    return trial


def pause(name: str, seconds: float = 2.0) -> None:
    docker("pause", containers()[name]["Id"])
    time.sleep(seconds)
    docker("unpause", containers()[name]["Id"])


def paused(name: str, workload: str, number: int) -> object:
    mark = pytest.mark.chaos(
        fault=f"`docker pause` of {name} for 2 s",
        when=f"1 s into a window of {workload}",
        expected=f"void, {name} named; the next trial is not",
    )
    return pytest.param(name, workload, number, id=name, marks=mark)


@pytest.mark.parametrize(
    ("name", "workload", "number"),
    [
        paused("fastapi-async", "sleep", 0),
        paused("postgres", "notes-read", 1),
        paused("nginx", "data", 2),
        paused("delay", "http", 3),
    ],
)
def test_a_pause_from_outside_is_named(
    bench: Bench, record_property: Record, name: str, workload: str, number: int
) -> None:
    trial = trial_with(bench, workload, 2 * number, lambda: pause(name))
    told = [reason.detail for reason in trial.reasons if reason.kind == "disturbed"]
    assert told == [f"{name} was paused from outside"], trial.reasons
    after = trial_with(bench, workload, 2 * number + 1, lambda: None)
    assert not [reason for reason in after.reasons if reason.kind in ("disturbed", "crash")]
    assert after.client.answered
    record_property("got", f"{told[0]}; then {after.client.goodput:.0f}/s")


@pytest.mark.chaos(
    fault="container out of memory",
    when="1 s into a window",
    expected="failed, memory named; the next trial is timed",
)
def test_a_container_out_of_memory_is_named(bench: Bench, record_property: Record) -> None:
    def fill() -> None:
        docker("exec", "--detach", containers()["fastapi-async"]["Id"], *FILL_MEMORY.split())

    trial = trial_with(bench, "sleep", 20, fill)
    told = [reason.detail for reason in trial.reasons if reason.kind == "oom"]
    assert told and "fastapi-async" in told[0], trial.reasons
    after = trial_with(bench, "sleep", 21, lambda: None)
    assert not [reason for reason in after.reasons if reason.kind in ("oom", "crash")], after.reasons
    record_property("got", f"{told[0]}; then {after.client.goodput:.0f}/s")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            command,
            id=command[0],
            marks=pytest.mark.chaos(
                fault=f"`docker {' '.join(command)}` of a stack",
                when="while it is paused for another's window",
                expected="the other is timed; the stack is up again for its own",
            ),
        )
        for command in (["kill"], ["rm", "--force"])
    ],
)
def test_a_stack_that_ends_while_paused_is_started_again(
    bench: Bench, record_property: Record, command: list[str]
) -> None:
    with bench.alone(ASYNC):
        victim = containers()["fastapi-sync"]
        assert victim["State"]["Paused"]
        docker(*command, victim["Id"])
    with bench.alone(ASYNC) as service:
        assert service.accepts()
    with bench.alone(SYNC) as service:
        assert service.accepts()
    record_property(
        "got", f"{'another' if containers()['fastapi-sync']['Id'] != victim['Id'] else 'the same'} container"
    )
