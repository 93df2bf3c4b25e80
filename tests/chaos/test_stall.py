"""A stack that stands still for a part of its window is named, and another round of it is not."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from stackmatrix.catalog.stacks import Variant, load_stacks
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.measure.trial import Bench, timed_trial
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, Load, Timing
from stackmatrix.results.trial import Trial
from stackmatrix.runtime.native import NativeRuntime

VARIANT = Variant(load_stacks()["fastapi-async"], {})
TIMING = Timing(warmup_s=1.0, window_s=4.0, fitted=False)
FREEZE_AFTER_S, FROZEN_S = 2.5, 2.0  # the window lasts until 5 s or somewhat later

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The stack and its upstreams, brought up once."""
    with NativeRuntime(print) as runtime:
        runtime.up([VARIANT.stack])
        directory = RunDirectory.create("stall", tmp_path_factory.mktemp("results"))
        yield Bench(runtime, tuple(sorted(os.sched_getaffinity(0))), directory, seed=1)


def trial(bench: Bench, load: Load, attempt: int) -> Trial:
    """Time the stack under the workload that waits for a timer."""
    arm = Arm(f"{VARIANT.label}/sleep/{load.label}", VARIANT.stack.name, {}, "sleep", {}, load)
    with bench.alone(VARIANT) as service:
        return timed_trial(bench, service, arm, load_workloads()["sleep"], TIMING, 0, attempt)


def freeze(pids: list[int]) -> None:
    """Stop some processes for a while."""
    time.sleep(FREEZE_AFTER_S)
    for number, seconds in ((signal.SIGSTOP, FROZEN_S), (signal.SIGCONT, 0.0)):
        for pid in pids:
            os.kill(pid, number)
        time.sleep(seconds)


@pytest.mark.parametrize(
    "load",
    [Load("closed", users=1), Load("closed", users=64), Load("open", rate=100.0, arrivals="poisson")],
    ids=lambda load: load.label,
)
def test_a_stack_that_is_frozen_for_half_of_its_window_stalls(bench: Bench, load: Load) -> None:
    freezing = threading.Thread(target=freeze, args=[bench.runtime.pids(VARIANT.stack.name)])
    freezing.start()
    frozen = trial(bench, load, 0)
    freezing.join()
    assert "stall" in [reason.kind for reason in frozen.reasons], frozen
    assert frozen.client.gaps_s is not None and 1.5 <= frozen.client.gaps_s[0] <= 2.6
    attempts = (trial(bench, load, number) for number in (1, 2, 3))  # the machine is shared
    assert any("stall" not in [reason.kind for reason in again.reasons] for again in attempts)
