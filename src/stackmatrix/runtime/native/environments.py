"""Virtual environments made by uv from hash-locked requirements, one for each lock, kept until the lock changes."""

import shutil
import sys
import sysconfig
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stackmatrix.catalog.stacks import Stack
from stackmatrix.errors import UserError
from stackmatrix.runtime.native.commands import run
from stackmatrix.runtime.native.state import State, digest

UV = Path(sys.prefix) / "bin" / "uv"
NO_WHEEL = "building from source is disabled"
TOOLS = "apt-get install build-essential python3-dev"


def make_all(stacks: Iterable[Stack], state: State) -> dict[str, Path | UserError]:
    """The virtual environment of every stack, made in parallel where it is missing, or why it cannot be made."""

    def attempt(stack: Stack) -> Path | UserError:
        try:
            return make(stack.name, stack.directory / "requirements.txt", state.path("venvs"))
        except UserError as error:
            return error

    wanted = list(stacks)
    with ThreadPoolExecutor() as pool:
        return dict(zip([stack.name for stack in wanted], pool.map(attempt, wanted), strict=True))


def make(name: str, lock: Path, directory: Path) -> Path:
    """The virtual environment that this lock describes; UserError when the machine or the lock does not allow it."""
    if not lock.is_file():
        raise UserError(f"{name}: {lock} is missing; compile it from requirements.in with uv")
    venv = directory / f"{name}-{digest(lock, sys.version)}"
    complete = venv / "complete"
    if complete.exists():
        return venv
    for old in directory.glob(f"{name}-{'?' * 12}"):
        shutil.rmtree(old)
    run([str(UV), "venv", "--quiet", "--no-project", "--python", sys.executable, str(venv)], f"{name}: no environment")
    sync = [str(UV), "pip", "sync", "--quiet", "--python", str(venv), "--require-hashes", str(lock)]
    try:
        run([*sync, "--no-build"], f"{name}: could not install requirements.txt")
    except UserError as error:
        if NO_WHEEL not in str(error):
            raise
        if not can_compile():
            raise UserError(f"{name}: a package has no wheel and needs a C compiler; install one: {TOOLS}") from None
        run(sync, f"{name}: could not build what requirements.txt asks for")
    complete.touch()
    return venv


def can_compile() -> bool:
    """Whether this machine has a C compiler and Python's headers."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    return bool(compiler) and Path(sysconfig.get_path("include"), "Python.h").is_file()
