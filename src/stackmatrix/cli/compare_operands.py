"""What `stackmatrix compare` takes: two runs on disk; or two stacks, variants, revisions of a stack, or directories."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stackmatrix.catalog.stacks import Stack, Stacks, Variant, parse_variant
from stackmatrix.cli.commands import did_you_mean
from stackmatrix.errors import UserError
from stackmatrix.results.directory import RunDirectory
from stackmatrix.runtime import revisions

if TYPE_CHECKING:
    from stackmatrix.measure.copies import Copies

RUN_FILES = ("run.json", "trials.jsonl", "plan.json")
SIDE_FORM = re.compile(r"(?P<where>[^\[\]@]+)(?P<variant>\[[^\[\]]*\])?(?:@(?P<revision>[^\[\]]+))?")


@dataclass(frozen=True)
class Timed:
    text: str
    stack: str
    variant: str
    directory: Path | None = None
    revision: str | None = None


Sides = tuple[RunDirectory, RunDirectory] | tuple[Timed, Timed]


def one_side(text: str, stacks: Stacks) -> RunDirectory | Timed:
    """Find out what one operand means; UserError when it is neither stack nor run."""
    path = Path(text)
    if any((path / file).exists() for file in RUN_FILES):
        return RunDirectory.open(path)
    match = SIDE_FORM.fullmatch(text)
    if match:
        where, variant, revision = match["where"], match["variant"] or "", match["revision"]
        if where in stacks or (revision and "/" not in where):
            return Timed(text, where, variant, revision=revision)
        if where in stacks.broken:
            raise stacks.broken[where]
        directory = Path(where)
        if (directory / "stack.toml").is_file() and not revision:
            home = directory.resolve()
            if home in [stack.directory for stack in stacks.values()]:
                return Timed(text, home.name, variant)
            return Timed(text, slug(home.name), variant, directory=home)
    close = did_you_mean(match["where"] if match else text, stacks)
    raise UserError(
        f"{text!r} is neither a stack, nor a directory with a stack.toml, nor a run{close or '; --help shows each'}"
    )


def both_sides(one: str, other: str, stacks: Stacks) -> Sides:
    """Find out what both operands mean; UserError when one is a run and the other a stack."""
    match one_side(one, stacks), one_side(other, stacks):
        case RunDirectory() as a, RunDirectory() as b:
            return a, b
        case Timed() as a, Timed() as b:
            return a, b
    raise UserError(
        f"{one!r} and {other!r}: a run on disk and a stack cannot be compared: what is timed now is timed on a machine "
        "in another mood than the run's, and no noise floor covers both; give two stacks, or time the second as the "
        "first was and give two runs"
    )


def variants(sides: Sequence[Timed], stacks: Mapping[str, Stack], copies: "Copies") -> list[Variant]:
    """Name each side, copying what the working tree lacks; UserError for unknown names, broken manifests."""
    found: list[Variant] = []
    for side in sides:
        stack = provided(side, stacks, copies)
        variant = parse_variant(f"{stack.name}{side.variant}", {stack.name: stack})
        if variant in found:  # the same thing twice: then each must be a server of its own
            again = copies.of_directory(stack.directory, free(f"{stack.name}-copy", stacks, copies))
            variant = Variant(again, variant.changed)
        found.append(variant)
    return found


def provided(side: Timed, stacks: Mapping[str, Stack], copies: "Copies") -> Stack:
    if side.revision is not None:
        commit = revisions.commit_of(side.revision)
        return copies.of_revision(commit, side.stack, f"{side.stack}-at-{commit[:7]}")
    if side.directory is not None:
        return copies.of_directory(side.directory, free(side.stack, stacks, copies))
    return stacks[side.stack]


def free(name: str, stacks: Mapping[str, Stack], copies: "Copies") -> str:
    while name in stacks or name in copies.stacks:
        name = f"{name}-copy"
    return name


def slug(name: str) -> str:
    """Reduce a directory's name to what containers and databases accept."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "stack"


def side_remarks(sides: Sequence[Timed]) -> list[str]:
    """Warn of what a reader should know about where the sides come from."""
    if not any(side.revision for side in sides):
        return []
    plain = [side.stack for side in sides if side.revision is None and side.directory is None]
    return [
        f"{name} has uncommitted changes: the working tree is what was timed"
        for name in plain
        if revisions.changed(name)
    ]
