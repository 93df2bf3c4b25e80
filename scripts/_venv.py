"""Makes the project's virtual environment from the lock file when it is missing or out of date, and re-enters it.

Standard library only: this is what runs on a fresh machine that has nothing but Python.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.txt"
STAMP = VENV / "stackmatrix.lock"
COMPILED = ("attr", "attrs", "cyclopts", "rich")
"""Packages that every command imports: compiled here, in a second, they start twice as fast wherever Python may not."""


def enter() -> None:
    """Return when this process runs in the up-to-date environment; otherwise make it and re-execute there."""
    if sys.version_info < (3, 11):
        sys.exit(f"error: Python {sys.version.split()[0]} is too old; run this with Python 3.11 or newer")
    if not current():
        make()
    if Path(sys.prefix) != VENV:
        python = str(VENV / "bin" / "python")
        os.execv(python, [python, *sys.argv])


def digest() -> str:
    """What the environment is made from: the lock, and what the project says of itself."""
    import tomllib  # only after the version of Python was looked at

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return hashlib.sha256(LOCK.read_bytes() + repr(project).encode()).hexdigest()


def current() -> bool:
    """Whether the environment is there and was made from today's lock."""
    return STAMP.is_file() and STAMP.read_text() == digest() and (VENV / "bin" / "python").exists()


def make() -> None:
    """Make the environment, or bring it up to date, holding a lock against a second script doing the same."""
    with (ROOT / ".venv.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if current():
            return
        print(
            f"making the virtual environment {VENV.name} from {LOCK.name} (once per lock)",
            file=sys.stderr,
            flush=True,
        )
        base = getattr(sys, "_base_executable", sys.executable)
        if not (VENV / "bin" / "python").exists():
            run(
                [base, "-m", "venv", "--clear", str(VENV)],
                "install the venv module: apt-get install python3-venv",
            )
        python = str(VENV / "bin" / "python")
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirement:
            requirement.write(locked("uv"))
            requirement.flush()
            pip = [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
            ]
            run([*pip, "-r", requirement.name], "check that the package index answers, then run this again")
        uv = [str(VENV / "bin" / "uv"), "--quiet", "pip"]
        retry = "check that the package index answers, then run this again"
        run([*uv, "sync", "--python", python, "--require-hashes", str(LOCK)], retry)
        run([*uv, "install", "--python", python, "--no-deps", "--editable", str(ROOT)], retry)
        packages = [str(place) for name in COMPILED for place in VENV.glob(f"lib/python*/site-packages/{name}")]
        run([python, "-m", "compileall", "-q", *packages], "remove .venv, then run this again")
        STAMP.write_text(digest())


def locked(package: str) -> str:
    """The lines of the lock that pin one package, hashes included."""
    lines = LOCK.read_text().splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{package}=="))
    end = next(i for i in range(start, len(lines)) if not lines[i].rstrip().endswith("\\"))
    return "".join(lines[start : end + 1])


def run(command: list[str], remedy: str) -> None:
    """Run one step; on failure show its own last words and the remedy, and leave."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        words = "\n".join(f"  {line}" for line in done.stdout.strip().splitlines()[-8:])
        sys.exit(f"error: {' '.join(command[:4])} … failed:\n{words}\n{remedy}")


if __name__ == "__main__":
    enter()
