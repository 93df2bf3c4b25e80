"""Makes the project's virtual environment from the lock file when it is missing or out of date, and re-enters it.

Standard library only: this is what runs on a fresh machine that has nothing but Python.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.txt"
STAMP = VENV / "stackmatrix.lock"
PYTHON = VENV / "bin" / "python"
NETWORK = "check that the package index answers, then run this again"


def enter() -> None:
    """Return when this process runs in the up-to-date environment; otherwise make it and re-execute there."""
    if sys.version_info < (3, 11):
        sys.exit(f"error: Python {sys.version.split()[0]} is too old; run this with Python 3.11 or newer")
    if not current():
        make()
    if Path(sys.prefix) != VENV:
        os.execv(PYTHON, [str(PYTHON), *sys.argv])


def lock_digest() -> str:
    """What the environment is made from: the lock."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def current() -> bool:
    """Whether the environment is there and was made from today's lock."""
    return STAMP.is_file() and STAMP.read_text() == lock_digest() and PYTHON.exists()


def make() -> None:
    """Make the environment, or bring it up to date, holding a lock against a second script doing the same."""
    with (ROOT / ".venv.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if current():
            return
        began = time.monotonic()
        say(f"making the virtual environment {VENV.name} from {LOCK.name}, once per lock:")
        if not PYTHON.exists():
            base = getattr(sys, "_base_executable", sys.executable)
            venv = [base, "-m", "venv", "--clear", str(VENV)]
            step("an empty environment", venv, "install the venv module: apt-get install python3-venv")
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirement:
            requirement.write(locked("uv"))
            requirement.flush()
            pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
            step("uv, which installs the rest", [*pip, "-r", requirement.name], NETWORK)
        uv = [str(VENV / "bin" / "uv"), "--quiet", "pip"]
        packages = sum("==" in line for line in LOCK.read_text().splitlines())
        sync = [*uv, "sync", "--python", str(PYTHON), "--require-hashes", str(LOCK)]
        step(f"the {packages} packages of {LOCK.name}", sync, NETWORK)
        own = [*uv, "install", "--python", str(PYTHON), "--no-deps", "--editable", str(ROOT)]
        step("the project itself", own, NETWORK)
        STAMP.write_text(lock_digest())
        say(f"made in {time.monotonic() - began:.0f} s")


def locked(package: str) -> str:
    """The lines of the lock that pin one package, hashes included."""
    lines = LOCK.read_text().splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{package}=="))
    end = next(i for i in range(start, len(lines)) if not lines[i].rstrip().endswith("\\"))
    return "".join(lines[start : end + 1])


def step(what: str, command: list[str], remedy: str) -> None:
    """Run one command, with its seconds counted on a terminal; on failure show its own last words and leave."""
    terminal, began = sys.stderr.isatty(), time.monotonic()
    if not terminal:
        say(f"  {what}")
    with tempfile.TemporaryFile("w+") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        while process.poll() is None:
            if terminal:
                print(f"\r  {what} … {time.monotonic() - began:.0f} s ", end="", file=sys.stderr, flush=True)
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        if terminal:
            print(f"\r  {what}: {time.monotonic() - began:.1f} s   ", file=sys.stderr)
        if process.returncode:
            output.seek(0)
            words = "\n".join(f"  {line}" for line in output.read().strip().splitlines()[-8:])
            sys.exit(f"error: {' '.join(command[:4])} … failed:\n{words}\n{remedy}")


def say(line: str) -> None:
    """Write a line to standard error, where it is seen at once."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    enter()
