"""Runs one program for the harness and sees to it that nothing of it outlives the harness, however that ends.

`python -m stackmatrix.runtime.supervisor --leash FD [options] -- COMMAND…`: the leash is a socket whose other end only
the harness holds. Its end of file (closed on purpose, or by the kernel after a SIGKILL) stops the program and all its
descendants: as a child subreaper this process becomes the parent of every orphan below it, so that none can hide.
"""

import argparse
import os
import pwd
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial

import psutil

from stackmatrix.linux import adopt_orphans, die_with

OPEN_FILES = 65536


def main() -> int:
    """Start the program, tell its process id over the leash, see it and its descendants end; its exit code."""
    parser = argparse.ArgumentParser(prog="supervisor", description=__doc__)
    parser.add_argument("--leash", type=int, required=True, help="file descriptor of the socket to the harness")
    parser.add_argument("--user", help="run the program as this user")
    parser.add_argument("--cpus", help="confine the program to these CPUs (0,1,…)")
    parser.add_argument("--stop-signal", default="SIGTERM", help="what asks the program to end")
    parser.add_argument("--grace", type=float, default=4, help="seconds from that signal to SIGKILL")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()

    adopt_orphans()
    if arguments.cpus:
        os.sched_setaffinity(0, map(int, arguments.cpus.split(",")))
    try:
        program = start(arguments.command, arguments.user)
    except OSError as error:
        print(f"{arguments.command[0]}: {error.strerror}", file=sys.stderr)
        return 127

    stop_signal = signal.Signals[arguments.stop_signal]
    leash = socket.socket(fileno=arguments.leash)
    leash.sendall(f"{program.pid}\n".encode())
    threading.Thread(target=hold, args=(leash, program.pid, stop_signal, arguments.grace), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: ask_to_end(program.pid, stop_signal))
    code = reap_until(program.pid)
    sweep()
    return code


def start(command: list[str], user: str | None) -> subprocess.Popen[bytes]:
    """Start the program as a child that dies with this process."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        user=user,
        group=None if user is None else pwd.getpwnam(user).pw_gid,
        extra_groups=None if user is None else [],
        preexec_fn=partial(before_exec, os.getpid()),  # safe: this process has one thread so far
    )


def before_exec(supervisor: int) -> None:
    """Prepare the child: it dies with the supervisor, and may open as many files as in a container."""
    die_with(supervisor)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def hold(leash: socket.socket, pid: int, stop_signal: signal.Signals, grace: float) -> None:
    """Wait for the end of the leash, then ask the program to end and, when it takes too long, kill the whole tree."""
    with suppress(ConnectionError):
        leash.recv(1)
    for process in family():  # one that was stopped by SIGSTOP could not even end
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)
    ask_to_end(pid, stop_signal)
    time.sleep(grace)
    kill()


def ask_to_end(pid: int, stop_signal: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, stop_signal)


def reap_until(pid: int) -> int:
    """Reap every child until the program itself has ended; its exit code, 128 + n after signal n."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def sweep() -> None:
    """Kill and reap what the program left behind, until nothing is left."""
    with suppress(ChildProcessError):
        while True:
            kill()
            os.wait()


def kill() -> None:
    for process in family():
        with suppress(psutil.NoSuchProcess):
            process.kill()


def family() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


if __name__ == "__main__":
    sys.exit(main())
