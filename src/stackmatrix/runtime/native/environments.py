"""Virtual environments made by uv from hash-locked requirements, one for each lock, kept until the lock changes."""

import shutil
import sys
import sysconfig
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stackmatrix.catalog.stacks import Stack
from stackmatrix.catalog.toml import shown
from stackmatrix.errors import UserError
from stackmatrix.runtime.commands import run_command
from stackmatrix.runtime.native.state import State, short_digest

UV = Path(sys.prefix) / "bin" / "uv"
COMPLETE = "complete"  # the file that is written last
NO_WHEEL = "building from source is disabled"


def unmade(stacks: Iterable[Stack], state: State) -> list[str]:
    directory = state.path("venvs")
    return [stack.name for stack in stacks if not made(venv_path(stack.name, lock_of(stack), directory))]


def make_all(stacks: Iterable[Stack], state: State) -> dict[str, Path | UserError]:
    """Make the environments that are missing, in parallel; in place of one that cannot be made stands why."""

    def attempt(stack: Stack) -> Path | UserError:
        try:
            return make(stack.name, lock_of(stack), state.path("venvs"))
        except UserError as error:
            return error

    wanted = list(stacks)
    with ThreadPoolExecutor() as pool:
        return dict(zip([stack.name for stack in wanted], pool.map(attempt, wanted), strict=True))


def make(name: str, lock: Path, directory: Path) -> Path:
    """Make the virtual environment of a lock; UserError when the machine or the lock does not allow it."""
    if not lock.is_file():
        raise UserError(f"{name}: {shown(lock)} is missing; make it from requirements.in: make lock")
    venv = venv_path(name, lock, directory)
    if made(venv):
        return venv
    for old in directory.glob(f"{name}-{'?' * 12}"):
        shutil.rmtree(old)
    run_command(
        [str(UV), "venv", "--quiet", "--no-project", "--python", sys.executable, str(venv)], f"{name}: no environment"
    )
    sync = [str(UV), "pip", "sync", "--quiet", "--python", str(venv), "--require-hashes", str(lock)]
    try:
        run_command([*sync, "--no-build"], f"{name}: could not install requirements.txt")
    except UserError as error:
        if NO_WHEEL not in str(error):
            raise
        if not can_compile():
            raise UserError(
                f"{name}: a package has no wheel and needs a C compiler; "
                "install one: apt-get install build-essential python3-dev"
            ) from None
        run_command(sync, f"{name}: could not build what requirements.txt asks for")
    (venv / COMPLETE).touch()
    return venv


def lock_of(stack: Stack) -> Path:
    return stack.directory / "requirements.txt"


def venv_path(name: str, lock: Path, directory: Path) -> Path:
    return directory / f"{name}-{short_digest(lock.read_bytes() if lock.is_file() else b'', sys.version)}"


def made(venv: Path) -> bool:
    return (venv / COMPLETE).exists()


def can_compile() -> bool:
    """Tell whether this machine has a C compiler and Python's headers."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    return bool(compiler) and Path(sysconfig.get_path("include"), "Python.h").is_file()
