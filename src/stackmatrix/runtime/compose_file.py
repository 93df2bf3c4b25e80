"""Keeps `docker-compose.yml`'s list of stacks equal to `ls stacks/`, so that a new stack is one new directory."""

from pathlib import Path

from stackmatrix.catalog import ROOT
from stackmatrix.errors import UserError

COMPOSE_FILE = "docker-compose.yml"
MARKERS = ("# stacks: generated from ls stacks/", "# end of stacks")


def sync(root: Path = ROOT) -> bool:
    """Rewrite the block between the markers; True when it had to change."""
    file = root / COMPOSE_FILE
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    try:
        start, end = (next(i for i, line in enumerate(lines) if line.strip().startswith(mark)) for mark in MARKERS)
    except StopIteration:
        gone = " and ".join(f"'{mark}'" for mark in MARKERS)
        raise UserError(f"{file.name}: the markers {gone} are gone; put them back around include:") from None
    block = [f"  - {path.relative_to(root)}" for path in sorted(root.glob("stacks/*/compose.yaml"))]
    changed = lines[start + 1 : end] != block
    if changed:
        file.write_text("\n".join([*lines[: start + 1], *block, *lines[end:]]) + "\n", encoding="utf-8")
    return changed
