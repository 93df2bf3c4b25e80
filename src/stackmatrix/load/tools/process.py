"""Runs a tool's command, pinned and in a process group of its own that never outlives the call."""

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterator
from io import FileIO
from pathlib import Path
from time import monotonic as clock
from typing import Final

from stackmatrix.errors import UserError
from stackmatrix.load.generator import Edge, OnWindow
from stackmatrix.load.tools.base import MARKS, Left

NAP_S: Final = 0.002


def run_to_end(
    command: list[str], *, cwd: Path, cpus: Collection[int], limit_s: float, marks: bool, on_window: OnWindow
) -> Left:
    """Run the command to its end, and call `on_window` as its load starts and ends.

    With `marks` the command says itself when that is, else it is from its start to its exit. UserError when it fails,
    or has not ended within `limit_s`.
    """
    name = Path(command[0]).name
    with contextlib.ExitStack() as stack:
        stdout = stack.enter_context((cwd / "stdout").open("w+b"))
        stderr = stack.enter_context((cwd / "stderr").open("w+b"))
        reader, writer = os.pipe()
        ear = stack.enter_context(FileIO(reader))
        offset, began = clock() - time.time(), clock()
        try:
            process = subprocess.Popen(
                [*leash(), *pin(cpus), *command],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=[writer],
                env=os.environ | {MARKS: str(writer)},
                process_group=0,  # the terminal's Ctrl-C comes to this process alone
            )
        finally:
            os.close(writer)
        stack.enter_context(never_outliving(process))
        edges: dict[str, float] = {}
        try:
            if not marks:
                edges["start"] = began
                on_window("start", began)
            for edge, at in marked(ear, began + limit_s):
                edges[edge] = at
                on_window(edge, at)
            exited = clock()
            cpu_s = reap(process, began + limit_s)
        except TimeoutError:
            raise UserError(f"{name} had not ended within {limit_s:.0f} s, and was stopped") from None
        if "end" not in edges:
            edges["end"] = exited
            on_window("end", exited)
        left = Left(edges.get("start", began), edges["end"], offset, text(cwd / "stdout"), text(cwd / "stderr"), cpu_s)
    if process.returncode != 0 or "start" not in edges:
        raise UserError(f"{name} failed (exit code {process.returncode}); it ended with:\n{left.last_lines}")
    return left


def leash() -> list[str]:
    """Have the kernel kill the command when this process dies, where the machine can."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def pin(cpus: Collection[int]) -> list[str]:
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(cpus)))] if cpus else []


def marked(ear: FileIO, until: float) -> Iterator[tuple[Edge, float]]:
    """Yield the edges that the command marks, until it ends and nobody holds the pipe. TimeoutError after `until`."""
    partial = b""
    with selectors.DefaultSelector() as selector:
        selector.register(ear, selectors.EVENT_READ)
        while True:
            if not selector.select(max(until - clock(), 0)):
                raise TimeoutError
            data = ear.read(4096)
            if not data:
                return
            *lines, partial = (partial + data).split(b"\n")
            for line in lines:
                edge, at = line.split()
                yield "start" if edge == b"start" else "end", float(at)


def reap(process: subprocess.Popen[bytes], until: float) -> float:
    """Wait for the end; return the CPU of the command and of the children it waited for. TimeoutError after `until`."""
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime
        if clock() > until:
            raise TimeoutError
        time.sleep(NAP_S)


@contextlib.contextmanager
def never_outliving(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the command and its children unless it has ended by itself."""
    try:
        yield
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def text(file: Path) -> str:
    return file.read_text(errors="replace")
