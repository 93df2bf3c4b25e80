"""A checkout of liars, and the native runtime on it; its environments are kept in `.state/` for the next time."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from liars import HONEST, LIARS, build

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Stack, load_stacks
from stackmatrix.results import RunDirectory
from stackmatrix.runtime.native import NativeRuntime, environments
from stackmatrix.runtime.native.state import State
from stackmatrix.trial import Bench


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The honest stacks as they are, and every liar."""
    root = ROOT / ".state" / "liars"
    stacks = root / "stacks"
    shutil.rmtree(stacks, ignore_errors=True)
    stacks.mkdir(parents=True)
    for name in ("fixtures", "upstream"):
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(ROOT / name)
    for path in (ROOT / "stacks").iterdir():
        (stacks / path.name).symlink_to(path)
    for liar in LIARS:
        build(liar, stacks)
    return root


@pytest.fixture(scope="session")
def stacks(checkout: Path) -> dict[str, Stack]:
    """All stacks of the checkout by name."""
    return load_stacks(checkout)


@pytest.fixture(scope="session")
def bench(checkout: Path, stacks: dict[str, Stack], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The upstreams, up, and the environment of the honest stack, which the liars share."""
    runtime = NativeRuntime(print, checkout)
    try:
        runtime.up([stacks[HONEST.name]])
        share_environment(checkout, stacks)
        directory = RunDirectory.create("liars", tmp_path_factory.mktemp("results"))
        yield Bench(runtime, tuple(sorted(os.sched_getaffinity(0))), directory, seed=1)
    finally:
        runtime.down()


def share_environment(checkout: Path, stacks: dict[str, Stack]) -> None:
    """Put the honest stack's environment where each liar's own would be."""
    venvs = State(checkout).path("venvs")
    for path in venvs.iterdir():
        if path.is_symlink():
            path.unlink()
    honest = environments.place(HONEST.name, environments.lock_of(stacks[HONEST.name]), venvs)
    for liar in LIARS:
        environments.place(liar.name, environments.lock_of(stacks[liar.name]), venvs).symlink_to(honest)
