"""Runs the short commands that prepare the matrix, and finds in what a program wrote why it failed."""

import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from stackmatrix.errors import UserError

# what a server may still say after the exception that ends it; an exception before that was another's
MOST_PARTING_LINES = 12
FRAME = re.compile(r'\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')
LIBRARIES = re.compile(r"/(?:site|dist)-packages/|/lib/python3|^<")


def run_command(
    command: list[str],
    failure: str,
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    user: str | None = None,
    text: str = "",
    quiet: bool = True,
    remedies: Mapping[str, str] | None = None,
) -> str:
    """Run a command that reads `text`, and return its standard output; UserError with its last words when it fails.

    `remedies` has a remedy for each sign, in small letters, by which a failure is known. Unless `quiet`, everything
    that the command writes is shown on standard error.
    """
    done = subprocess.run(
        command,
        input=text,
        stdout=subprocess.PIPE if quiet else 2,  # standard output holds nothing but the result
        stderr=subprocess.PIPE if quiet else None,
        text=True,
        env=environment,
        cwd=directory,
        user=user,
        extra_groups=None if user is None else [],
        umask=0o022,  # what one user makes, another may have to read
        check=False,
    )
    if done.returncode:
        words = (done.stderr or done.stdout or "").strip().splitlines()
        for line in reversed(words):
            for sign, remedy in (remedies or {}).items():
                if sign in line.lower():
                    raise UserError(f"{failure}: {line.strip()} ({remedy})")
        raise UserError(f"{failure}: {' / '.join(line.strip() for line in words[-3:]) or 'it said nothing'}")
    return (done.stdout or "").strip()


def why_ended(log: str) -> str:
    """Find in what a program wrote why it ended: its last exception, and where it was raised; else its last lines."""
    _, found, raised = log.rpartition("Traceback (most recent call last):")
    lines = raised.splitlines()
    at = next((number for number, line in enumerate(lines) if line and not line[0].isspace()), None)
    if not found or at is None or len(lines) - at > MOST_PARTING_LINES:
        return " / ".join(line.strip() for line in log.splitlines()[-3:] if line.strip()) or "it said nothing"
    frames = [match for line in lines[:at] if (match := FRAME.match(line)) and not LIBRARIES.search(match["file"])]
    if not frames:
        return lines[at]
    file = Path(frames[-1]["file"])
    return f"{file.parent.name}/{file.name}, line {frames[-1]['line']}: {lines[at]}"


def wait_until(holds: Callable[[], bool], within_s: float, every_s: float = 0.05) -> bool:
    """Look until a condition holds; False when it does not in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)  # between two looks, not in place of one
    return True
