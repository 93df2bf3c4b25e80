"""A process beside the harness that undoes what the harness started outside its own process tree, such as containers.

The harness says what undoes a step before it takes the step, and forgets it once it has undone the step itself. When
the harness ends, by whatever means, the watchdog sees the end of a pipe, kills the commands that the harness left
running (else a `docker compose up` would go on making containers), and runs what is still remembered, last one first.

`python -m stackmatrix.runtime.watchdog MARK` reads one JSON line for every change.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType

import psutil

# begins the variable that marks, in its environment, all that a harness starts while it has a watchdog
PREFIX = "STACKMATRIX_HARNESS_"

KILL_ROUNDS = 5
COMMAND_WITHIN_S = 30
END_WITHIN_S = 60


class Watchdog:
    """The harness's end: a context in which commands are remembered and forgotten.

    The watchdog's process holds the descriptors `keeps` until it has undone everything.
    """

    def __init__(self, keeps: Sequence[int] = ()) -> None:
        self._keeps = keeps

    def __enter__(self) -> "Watchdog":
        self._count = 0
        self._mark = PREFIX + secrets.token_hex(8).upper()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", __name__, self._mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the harness's business
            env=unmarked(os.environ),
            pass_fds=self._keeps,
            text=True,
        )
        os.environ[self._mark] = "1"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.environ.pop(self._mark, None)
        with suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._process.communicate(timeout=END_WITHIN_S)

    def remember(self, command: Sequence[str]) -> int:
        """Have this command run should the harness end without forgetting it; a key to forget it by."""
        self._count += 1
        self._tell(self._count, [*command])
        return self._count

    def forget(self, key: int) -> None:
        """Drop a command: it is needed no more."""
        self._tell(key, None)

    def _tell(self, key: int, command: list[str] | None) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # without its watchdog a harness goes on, and names what is left at its end
            self._process.stdin.write(json.dumps([key, command]) + "\n")
            self._process.stdin.flush()


def unmarked(environment: Mapping[str, str]) -> dict[str, str]:
    """Drop every harness's mark from an environment: for what has a life line of its own."""
    return {key: value for key, value in environment.items() if not key.startswith(PREFIX)}


def main() -> None:
    """Listen until the harness ends, then clean up after it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # only the harness's end ends this one
    (mark,) = sys.argv[1:]
    remembered: dict[int, list[str]] = {}
    for line in sys.stdin:
        with suppress(ValueError):  # a line that the harness died in the middle of
            key, command = json.loads(line)
            if command is None:
                remembered.pop(key, None)
            else:
                remembered[key] = command
    kill_marked(mark)
    for command in reversed(remembered.values()):
        undo(command)


def kill_marked(mark: str) -> None:
    """Kill what the harness left running, with all that it started in its turn."""
    for _ in range(KILL_ROUNDS):
        marked = [process for process in psutil.process_iter() if carries(process, mark)]
        for process in marked:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if not marked:
            return
        psutil.wait_procs(marked, timeout=1)


def carries(process: psutil.Process, mark: str) -> bool:
    """Tell whether a process was started with this mark in its environment; False when it is gone or another user's."""
    try:
        return mark in process.environ()
    except (psutil.Error, OSError):
        return False


def undo(command: list[str]) -> None:
    """Run one command to its end; one that fails or hangs must not keep the others from running."""
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_WITHIN_S,
            check=False,
        )


if __name__ == "__main__":
    main()
