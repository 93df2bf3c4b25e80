"""Programs of the native runtime: whole process trees that end with the harness, whatever ends it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from stackmatrix.errors import UserError
from stackmatrix.linux import lives
from stackmatrix.runtime.native.processes import Program, Recipe

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
FAMILY = f"""
import os, subprocess, sys, time
child = [sys.executable, "-c", {STUBBORN!r}]
subprocess.Popen(child)                          # stays
subprocess.Popen([sys.executable, "-c", "import subprocess, sys; subprocess.Popen(sys.argv[1:])", *child]).wait()
if (parent := os.fork()) == 0:                   # a daemon: its parent is gone, its session is its own
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.waitpid(parent, 0)
print("complete", flush=True)
time.sleep(600)
"""
MEMBERS = 4


def eventually(condition: Callable[[], bool], within_s: float = 10) -> bool:
    """Whether it became true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    with (tmp_path / "lock").open("w") as handle:
        yield handle.fileno()


def start(tmp_path: Path, lock: int, *command: str, **options: object) -> Program:
    recipe = Recipe([*command], healthy=lambda: True)
    return Program("program", recipe, log=tmp_path / "log", lock=lock, **options)  # type: ignore[arg-type]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def complete(program: Program) -> bool:
    return "complete" in program.last_words() and len(program.tree()) == MEMBERS


def test_tree_holds_orphans_and_daemons(tmp_path: Path, lock: int) -> None:
    program = start(tmp_path, lock, *python(FAMILY))
    try:
        assert eventually(lambda: complete(program))
        assert program.pid in {process.pid for process in program.tree()}
    finally:
        program.stop()


def test_stop_ends_the_whole_tree_even_where_sigterm_is_ignored(tmp_path: Path, lock: int) -> None:
    program = start(tmp_path, lock, *python(FAMILY))
    assert eventually(lambda: complete(program))
    tree = program.tree()
    program.stop()
    assert not [process for process in tree if lives(process.pid)]


def test_stop_ends_a_stopped_program(tmp_path: Path, lock: int) -> None:
    program = start(tmp_path, lock, "sleep", "600")
    os.kill(program.pid, signal.SIGSTOP)
    began = time.monotonic()
    program.stop()
    assert time.monotonic() - began < 3


def test_terminate_gives_the_exit_code(tmp_path: Path, lock: int) -> None:
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print(1, flush=True)"
    program = start(tmp_path, lock, *python(code + "; time.sleep(600)"))
    assert eventually(lambda: program.last_words() == "1")
    assert program.terminate() == 7


def test_terminate_tells_a_signal_as_a_shell_does(tmp_path: Path, lock: int) -> None:
    program = start(tmp_path, lock, "sleep", "600")
    assert program.pid
    assert program.terminate() == 128 + signal.SIGTERM


def test_a_program_that_ends_leaves_nothing_behind(tmp_path: Path, lock: int) -> None:
    program = start(tmp_path, lock, "sh", "-c", "sleep 601 & exit 3")
    program.wait()
    assert not program.running
    with pytest.raises(UserError, match="ended with exit code 3"):
        Program("x", Recipe(["sh", "-c", "exit 3"], lambda: False), log=tmp_path / "log", lock=lock).wait_healthy()
    assert not [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "601"]]


def test_a_missing_program_is_told(tmp_path: Path, lock: int) -> None:
    program = start(tmp_path, lock, "/no/such/program")
    with pytest.raises(UserError, match=r"could not be started: /no/such/program: No such file"):
        _ = program.pid


def test_pinning_reaches_threads_that_already_run_and_what_they_start_later(tmp_path: Path, lock: int) -> None:
    cpu = max(os.sched_getaffinity(0))
    code = """
import os, sys, threading, time
def late():
    while os.sched_getaffinity(0) == everywhere: time.sleep(0.01)
    os.fork() or time.sleep(600)
    time.sleep(600)
everywhere = os.sched_getaffinity(0)
for _ in range(20): threading.Thread(target=late).start()
print("up", flush=True)
time.sleep(600)
"""
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("one CPU: nothing can be pinned elsewhere")
    program = start(tmp_path, lock, *python(code))
    try:
        assert eventually(lambda: program.last_words() == "up")
        program.pin([cpu])
        assert eventually(lambda: len(program.tree()) == 21)
        threads = [task for process in program.tree() for task in Path(f"/proc/{process.pid}/task").iterdir()]
        assert len(threads) >= 41
        assert {frozenset(os.sched_getaffinity(int(task.name))) for task in threads} == {frozenset({cpu})}
    finally:
        program.stop()


def test_a_pinned_start(tmp_path: Path, lock: int) -> None:
    cpu = min(os.sched_getaffinity(0))
    program = start(tmp_path, lock, "sleep", "600", cpus=[cpu])
    try:
        assert os.sched_getaffinity(program.pid) == {cpu}
    finally:
        program.stop()


def test_nothing_outlives_a_harness_that_is_killed(tmp_path: Path) -> None:
    harness = f"""
import sys, time
from pathlib import Path
from stackmatrix.runtime.native.processes import Program, Recipe
with open({str(tmp_path / "lock")!r}, "w") as lock:
    program = Program("p", Recipe([sys.executable, "-c", {FAMILY!r}], lambda: True),
                      log=Path({str(tmp_path / "log")!r}), lock=lock.fileno())
    while "complete" not in program.last_words() or len(program.tree()) != {MEMBERS}: time.sleep(0.02)
    print(*[process.pid for process in program.tree()], flush=True)
    time.sleep(600)
"""
    with subprocess.Popen(python(harness), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        tree = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert len(tree) == MEMBERS
    assert eventually(lambda: not any(lives(pid) for pid in tree))
