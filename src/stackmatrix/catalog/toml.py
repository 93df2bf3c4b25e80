"""Reading one TOML file field by field, so that every mistake names the file, the key, the value and the remedy."""

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from stackmatrix.catalog import ROOT
from stackmatrix.errors import CatalogError, UserError

T = TypeVar("T")

NAMES = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    float: "a number",
}


class Fields:
    """One table of a TOML file; what is read is remembered, so that what is left over can be reported as a typo."""

    def __init__(self, file: Path, table: Mapping[str, Any], prefix: str = "") -> None:
        self.file = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
        self._path = file
        self._table = table
        self._prefix = prefix
        self._read: set[str] = set()

    @classmethod
    def open(cls, file: Path) -> "Fields":
        """The top-level table of `file`; UserError when it cannot be read, CatalogError's words when it is not TOML."""
        try:
            return cls(file, tomllib.loads(file.read_text(encoding="utf-8")))
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: not TOML: {error}; mend the file") from None

    def error(self, key: str, value: object, remedy: str) -> CatalogError:
        """The error to raise for `key` of this table."""
        return CatalogError(self.file, self._prefix + key, value, remedy)

    def get(self, key: str, kind: type[T], default: T | None = None) -> T:
        """The value of `key`, which must be of `kind`; `default` when absent, an error when there is none."""
        self._read.add(key)
        if key not in self._table:
            if default is None:
                raise self.error(key, None, f"is missing; give {NAMES[kind]}")
            return default
        value = self._table[key]
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise self.error(key, value, f"must be {NAMES[kind]}")
        return value

    def any(self, key: str, default: Any = None) -> Any:
        """The value of `key`, of any kind, or `default`."""
        self._read.add(key)
        return self._table.get(key, default)

    def choice(self, key: str, choices: Iterable[str], default: str | None = None) -> str:
        """The value of `key`, one of `choices`."""
        value = self.get(key, str, default)
        allowed = list(choices)
        if value not in allowed:
            raise self.error(key, value, f"must be one of {', '.join(allowed)}")
        return value

    def table(self, key: str) -> "Fields":
        """The sub-table `key`; an empty one when absent."""
        value = self.get(key, cast(type[dict[str, Any]], dict), {})
        return Fields(self._path, value, f"{self._prefix}{key}.")

    def tables(self, key: str) -> list["Fields"]:
        """The tables of the array `key`, at least one."""
        value = self.get(key, list)
        if not value or not all(isinstance(table, dict) for table in value):
            raise self.error(key, value, f"must be one or more tables [[{self._prefix}{key}]]")
        return [Fields(self._path, table, f"{self._prefix}{key}[{number}].") for number, table in enumerate(value, 1)]

    def over(self, defaults: Mapping[str, Any]) -> "Fields":
        """The same table, with `defaults` where it says nothing."""
        return Fields(self._path, {**defaults, **self.items()}, self._prefix)

    def positive(self, key: str, default: float | None = None) -> float:
        """The number above 0 that `key` is."""
        value = self.any(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.error(key, value, "must be a number above 0")
        return value

    def items(self) -> Mapping[str, Any]:
        """Every key of this table, all counted as read."""
        self._read.update(self._table)
        return self._table

    def present(self, *keys: str) -> dict[str, Any]:
        """Those of `keys` that are there, with their values."""
        self._read.update(keys)
        return {key: self._table[key] for key in keys if key in self._table}

    def done(self) -> None:
        """Raise for the first key that nothing read: a typo should never be ignored."""
        for key in self._table:
            if key not in self._read:
                near = difflib.get_close_matches(key, self._read, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(self._read))}"
                raise self.error(key, self._table[key], f"unknown key{hint}")


def pick(kind: str, name: str, known: Mapping[str, T]) -> T:
    """The entry called `name`; UserError with the nearest names when there is none."""
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    raise UserError(f"no {kind} is called {name!r}; {hint}")
