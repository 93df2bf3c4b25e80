"""What every command does in the same way: say things, end on a user's mistake with one line, stop on Ctrl-C."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from stackmatrix.errors import UserError
from stackmatrix.results.directory import writing

USAGE = 2
INTERRUPTED = 130


LOG_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


def console(stderr: bool = True) -> Console:
    """Where words go: progress to standard error, so that standard output holds nothing but the result."""
    out = Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False)
    if not out.is_terminal:
        out.width = LOG_WIDTH
    return out


def deliver(text: str, path: Path | None) -> None:
    """Put a result where an option asks for it: `-` is standard output, None nowhere.

    Raises UserError when the file cannot be written.
    """
    if path == Path("-"):
        sys.stdout.write(text)
    elif path is not None:
        with writing(path):
            path.write_text(text, encoding="utf-8")


def command(main: Callable[[], int]) -> NoReturn:
    """Run a command to its exit code; a user's mistake is one line, Ctrl-C and SIGTERM unwind every context."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs are born with SIGINT ignored
        signal.signal(number, interrupt)
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = USAGE
    except KeyboardInterrupt:
        print("interrupted: everything that was started is stopped", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:
        code = USAGE
    sys.exit(code)


def interrupt(_signum: int, _frame: FrameType | None) -> None:
    """A signal ends a command as Ctrl-C does."""
    raise KeyboardInterrupt
