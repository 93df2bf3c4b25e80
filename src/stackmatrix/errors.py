"""Mistakes that the user can put right: each is shown as one line that names the remedy, never as a traceback."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Named = TypeVar("Named")


class UserError(Exception):
    """Something the user can put right; the message says what is wrong, where, and the remedy."""


class CatalogError(UserError):
    """A mistake in a TOML file of the catalogue; `value` is None where the key is not there."""

    def __init__(self, file: object, key: str, value: object, remedy: str) -> None:
        super().__init__(f"{file}: {key}{'' if value is None else f' = {value!r}'}: {remedy}")


class LackingError(UserError):
    """A dependency of a stack is missing on this machine; the other stacks still run."""


def pick(kind: str, name: str, known: Mapping[str, Named]) -> Named:
    """Look a name up; UserError with the nearest one when there is none."""
    try:
        return known[name]
    except KeyError:
        raise UserError(f"no {kind} is called {name!r}; {suggestion(name, known)}") from None


def suggestion(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = nearest(name, names)
    return f"known: {', '.join(names) or 'none'}" if near is None else f"did you mean {near}?"


def nearest(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)
