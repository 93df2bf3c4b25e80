"""Does what every command does in the same way: print, end on a mistake with one line, stop on Ctrl-C."""

import codecs
import io
import os
import signal
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from stackmatrix.errors import UserError
from stackmatrix.formatting import printable

if TYPE_CHECKING:
    from rich.console import Console

USAGE = 2
INTERRUPTED = 130
LOG_WIDTH = 160  # columns of a table that goes to a file or a pipe

STDOUT = Path("-")
ASCII = str.maketrans({"µ": "u", "–": "-", "—": "-", "…": "...", "×": "x", "±": "+/-", "≤": "<=", "≥": ">=", "÷": "/",
    "→": "->", "·": "-", "“": '"', "”": '"', "‘": "'", "’": "'", "\u202f": " ", "\u00a0": " "})  # fmt: skip


def console(stderr: bool = True) -> "Console":
    """Make a console; progress goes to standard error, so that standard output holds nothing but the result."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Printable(Console):
        """Shows the control characters of a stack's log or answer; its own are segments without text."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else printable(text), style, control)

    out = Printable(stderr=stderr, highlight=False, soft_wrap=True, markup=False)
    if not out.is_terminal:
        out.width = LOG_WIDTH
    return out


def deliver(text: str, path: Path | None) -> None:
    """Put a result where an option asks, as UTF-8: `-` is standard output, None nowhere; UserError on failure."""
    if path == STDOUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    elif path is not None:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: cannot write: {error.strerror}") from None


def try_outputs(**paths: Path | None) -> None:
    """Try, before anything is started, whether the files that options name can be written; UserError if not."""
    for name, path in paths.items():
        if path is None or path == STDOUT:
            continue
        new = not path.exists()
        try:
            with path.open("ab"):
                pass
        except OSError as error:
            raise UserError(f"--{name} {path}: cannot write there: {error.strerror}") from None
        if new:
            path.unlink()


def ending(main: Callable[[], int]) -> int:
    """Run a command to its exit code; a user's mistake is one line, Ctrl-C and SIGTERM unwind every context."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs are born with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=in_ascii.__name__)
    try:
        code = main()
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt as interrupt:
        print(f"interrupted: {str(interrupt) or 'everything that was started is stopped'}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has no reader
        return USAGE
    return code


def in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(ASCII.get(ord(char)) or unaccented(char) for char in text), error.end


def unaccented(char: str) -> str:
    """Take a letter's accents away; a question mark where nothing is left."""
    return unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode() or "?"


codecs.register_error(in_ascii.__name__, in_ascii)
