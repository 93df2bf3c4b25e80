"""Starts programs under their supervisors, finds their process trees, stops them, and pins them to CPUs."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from stackmatrix.catalog.toml import shown
from stackmatrix.errors import UserError
from stackmatrix.linux import lives, thread_ids
from stackmatrix.runtime import supervisor
from stackmatrix.runtime.commands import wait_until, why_ended
from stackmatrix.runtime.watchdog import unmarked

POLL_S = 0.02
START_WITHIN_S = 60
PIN_ROUNDS = 100


@dataclass(frozen=True)
class Recipe:
    command: list[str]
    healthy: Callable[[], bool]
    environment: Mapping[str, str] | None = None
    directory: Path | None = None
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM


class Program:
    """One running program with all its descendants, under a supervisor that ends them with the harness."""

    def __init__(self, name: str, recipe: Recipe, *, log: Path, lock: int, cpus: Iterable[int] | None = None) -> None:
        """Start it. The supervisor holds the descriptor `lock` open until the last of its processes is gone."""
        self.name = name
        self._recipe = recipe
        self._log = log
        self._pid: int | None = None
        self._leash, far_end = socket.socketpair()
        options = ["--leash", str(far_end.fileno()), "--stop-signal", recipe.stop_signal.name]
        if recipe.user is not None:
            options += ["--user", recipe.user]
        if cpus is not None:
            options += ["--cpus", ",".join(map(str, cpus))]
        with far_end, log.open("ab") as output:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-m", supervisor.__name__, *options, "--", *recipe.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=unmarked(os.environ if recipe.environment is None else recipe.environment),
                cwd=recipe.directory,
                pass_fds=(far_end.fileno(), lock),
                start_new_session=True,  # Ctrl-C is the harness's business
            )

    @property
    def pid(self) -> int:
        """The program's own process; UserError when it could not be started."""
        if self._pid is None:
            with self._leash.makefile() as leash:
                told = leash.readline()
            if not told:
                self._supervisor.wait()
                raise UserError(f"{self.name} could not be started: {self.why_ended()}")
            self._pid = int(told)
        return self._pid

    @property
    def running(self) -> bool:
        """Whether the program has not ended; its supervisor may still be ending what it left behind."""
        return self._supervisor.poll() is None and lives(self.pid)

    def tree(self) -> list[psutil.Process]:
        """List the program and all its descendants, also those whose parents have ended."""
        try:
            return psutil.Process(self._supervisor.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def signal(self, number: signal.Signals) -> None:
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def terminate(self) -> int:
        """Send SIGTERM to the program; its exit code once it and all its descendants have ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        return self._supervisor.wait()

    def let_go(self) -> None:
        """Begin to stop it: a signal, some grace, SIGKILL; `wait` for the end."""
        self._leash.close()

    def wait(self) -> None:
        self._supervisor.wait()

    def stop(self) -> None:
        self.let_go()
        self.wait()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def last_words(self, lines: int = 5) -> str:
        try:
            words = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        except OSError:
            words = []
        return "\n".join(words)

    def pin(self, cpus: Iterable[int]) -> None:
        """Confine every thread of the tree, which later ones inherit: repeated until nothing new turned up."""
        wanted, user = set(cpus), self._recipe.user
        for _ in range(PIN_ROUNDS):
            all_threads = [thread for process in self.tree() for thread in thread_ids(process.pid)]
            if not [thread for thread in all_threads if moved(thread, wanted, user)]:
                return
        raise UserError(f"{self.name} starts threads faster than they can be pinned to CPUs")

    def wait_healthy(self) -> None:
        """Wait until it serves; UserError that says why when it ends first or takes too long."""
        if self.pid and not wait_until(self._ended_or_serves, START_WITHIN_S, POLL_S):
            raise UserError(f"{self.name} does not answer after {START_WITHIN_S} s: {self.why_ended()}")
        if not self.running:
            code = self._supervisor.wait()
            raise UserError(f"{self.name} ended with exit code {code}: {self.why_ended()}")

    def _ended_or_serves(self) -> bool:
        return not self.running or self._recipe.healthy()

    def why_ended(self) -> str:
        return f"{why_ended(self.last_words(200))} (all of it: {shown(self._log)})"


def moved(thread: int, cpus: set[int], user: str | None) -> bool:
    """Confine one thread, which runs as `user`; True when that changed anything."""
    try:
        if os.sched_getaffinity(thread) == cpus:
            return False
        os.sched_setaffinity(thread, cpus)
    except ProcessLookupError:
        return False
    except PermissionError:  # root in a container may not move another user's threads, but that user may
        command = ["taskset", "--pid", "--cpu-list", ",".join(map(str, cpus)), str(thread)]
        subprocess.run(command, user=user, extra_groups=[], capture_output=True, check=False)
    return True
