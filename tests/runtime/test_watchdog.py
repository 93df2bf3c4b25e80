"""The watchdog: what the harness started elsewhere is undone after any end of the harness."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stackmatrix.linux import lives
from stackmatrix.runtime.watchdog import Watchdog, unmarked


def append(file: Path, word: str) -> list[str]:
    return ["sh", "-c", f"echo {word} >> {file}"]


def test_what_is_remembered_runs_last_one_first(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with Watchdog() as dog:
        dog.remember(append(file, "first"))
        dog.remember(append(file, "second"))
        assert not file.exists()
    assert file.read_text() == "second\nfirst\n"


def test_what_is_forgotten_does_not_run(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with Watchdog() as dog:
        dog.remember(append(file, "kept"))
        dog.forget(dog.remember(append(file, "forgotten")))
    assert file.read_text() == "kept\n"


def test_a_command_that_fails_does_not_keep_the_others_from_running(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with Watchdog() as dog:
        dog.remember(append(file, "ran"))
        dog.remember(["false"])
        dog.remember(["/no/such/program"])
    assert file.read_text() == "ran\n"


def test_an_error_in_the_harness_is_an_end_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with pytest.raises(RuntimeError), Watchdog() as dog:
        dog.remember(append(file, "ran"))
        raise RuntimeError
    assert file.read_text() == "ran\n"


def test_each_watchdog_has_a_mark_of_its_own_that_goes_with_it() -> None:
    before = unmarked(os.environ)
    with Watchdog():
        one = os.environ.keys() - before.keys()
        with Watchdog():
            assert len(os.environ.keys() - before.keys() - one) == 1
            assert unmarked(os.environ) == before
        assert os.environ.keys() - before.keys() == one
    assert not os.environ.keys() & one


def test_after_sigkill_commands_under_way_end_before_the_clean_up(tmp_path: Path) -> None:
    file = tmp_path / "file"
    harness = f"""
import subprocess
from stackmatrix.runtime.watchdog import Watchdog
with Watchdog() as dog:
    dog.remember({append(file, "cleaned")!r})
    command = subprocess.Popen(["sh", "-c", "setsid sh -c 'while :; do echo more >> {file}; sleep 0.05; done' & wait"])
    print(command.pid, flush=True)
    command.wait()
"""
    with subprocess.Popen([sys.executable, "-c", harness], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        command = int(process.stdout.readline())
        while not file.exists():
            time.sleep(0.02)
        process.kill()
    deadline = time.monotonic() + 10
    while "cleaned" not in file.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not lives(command)
    time.sleep(0.2)  # long enough for the loop to write again if it lived
    assert file.read_text().endswith("cleaned\n")
