"""Runs a command in the process of the test: what is asked often need not start Python each time."""

import contextlib
import io
import signal
import subprocess
import sys
from unittest import mock

from stackmatrix.catalog import ROOT
from stackmatrix.cli.commands import run_tokens
from stackmatrix.cli.shell import ending
from stackmatrix.cli.subcommands import SUBCOMMANDS


def invoke(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `scripts/…` of a subcommand says to these arguments, and its exit code."""
    script = next(sub.script.split()[0] for sub in SUBCOMMANDS if sub.name == name)
    typed = [str(ROOT / "scripts" / script), *arguments]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with mock.patch.object(sys, "argv", typed), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = ending(lambda: run_tokens([name, *arguments]))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    said, told = (stream.buffer.getvalue().decode() for stream in (out, err))
    return subprocess.CompletedProcess(typed, code, said, told)
