"""Copy stacks of another directory or revision beside those of the checkout, each with its own name and port."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Stack, read_stack
from stackmatrix.errors import UserError
from stackmatrix.runtime.docker import image
from stackmatrix.runtime.native.ports import free_port
from stackmatrix.runtime.native.state import State
from stackmatrix.runtime.revisions import extract

NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.pyc", ".venv")


class Copies:
    """Holds copies of stacks in one directory; upstreams and fixtures stay those of the checkout."""

    def __init__(self, directory: Path, root: Path = ROOT) -> None:
        self._directory = directory
        self._root = root
        self.stacks: dict[str, Stack] = {}

    def of_directory(self, source: Path, name: str) -> Stack:
        """Copy the stack in a directory; UserError when its manifest is broken."""
        return self._made(name, lambda place: shutil.copytree(source, place, ignore=NOT_COPIED))

    def of_revision(self, commit: str, stack: str, name: str) -> Stack:
        """Copy a stack as it was in a commit; UserError when it was not there, or its manifest cannot be read today."""
        return self._made(name, lambda place: extract(commit, stack, place, self._root))

    def _made(self, name: str, write: Callable[[Path], object]) -> Stack:
        if name not in self.stacks:
            place = self._directory / name
            write(place)
            rename_stack(place, self._root, free_port())
            self.stacks[name] = read_stack(place / "stack.toml")
        return self.stacks[name]


@contextmanager
def copies(root: Path = ROOT) -> Iterator[Copies]:
    """Make a place for copies in the checkout's state; remove them afterwards, with their native environments."""
    state = root / ".state"
    state.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="copies-", dir=state) as directory:
        made = Copies(Path(directory), root)
        try:
            yield made
        finally:
            for name in made.stacks:
                for venv in (State(root).directory / "venvs").glob(f"{name}-{'?' * 12}"):
                    shutil.rmtree(venv)


def rename_stack(place: Path, root: Path, port: int) -> None:
    """Give a copied stack its directory's name and another port: manifest, compose file and Dockerfile."""
    manifest, compose, dockerfile = (place / name for name in ("stack.toml", "compose.yaml", "Dockerfile"))
    text, count = re.subn(r"(?m)^port = .*$", f"port = {port}", manifest.read_text(encoding="utf-8"))
    if count != 1:
        raise UserError(f"{manifest}: port = must be there once; mend the stack that it was copied from")
    manifest.write_text(text, encoding="utf-8")
    if compose.exists():
        document = yaml.safe_load(compose.read_text(encoding="utf-8"))
        old, service = next(iter(document["services"].items()))
        renamed = {"services": {place.name: republished(service, old, place, root, port)}}
        compose.write_text(yaml.safe_dump(renamed, sort_keys=False), encoding="utf-8")
        if dockerfile.exists():
            words = re.sub(rf"/opt/{re.escape(old)}\b", f"/opt/{place.name}", dockerfile.read_text(encoding="utf-8"))
            dockerfile.write_text(re.sub(r"(?m)^EXPOSE .*$", f"EXPOSE {port}", words), encoding="utf-8")


def republished(service: dict[str, Any], old: str, place: Path, root: Path, port: int) -> dict[str, Any]:
    """Rewrite a service of a compose file for its new directory, with absolute paths."""
    changed = {f"application_name={old}": f"application_name={place.name}", "../../": f"{root}/"}

    def moved(entry: str) -> str:
        for before, after in changed.items():
            entry = entry.replace(before, after)
        return entry

    given = service["environment"]
    listed = given if isinstance(given, list) else [k if v is None else f"{k}={v}" for k, v in given.items()]
    return service | {
        "profiles": [place.name, "all"],
        "image": image(place.name),
        "build": str(place),
        "environment": [f"PORT={port}" if entry.startswith("PORT=") else moved(entry) for entry in listed],
        "ports": [f"127.0.0.1:{port}:{port}"],
        "volumes": [moved(volume) for volume in service.get("volumes", [])],
    }
