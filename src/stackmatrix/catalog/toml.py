"""Decodes TOML files into types; the first mistake in one is told by file, key, value and remedy."""

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, ValidationError

from stackmatrix.catalog import ROOT
from stackmatrix.errors import CatalogError, UserError, nearest, suggestion

Decoded = TypeVar("Decoded")

Whole = Annotated[int, Meta(ge=1, description="a whole number above 0")]
Positive = Annotated[float, Meta(gt=0, le=sys.float_info.max, description="a number above 0")]

TYPE_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


class FileTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a TOML file, typed; a `MisfitError` from `__post_init__` is told like any other mistake."""


def fields_of(table: FileTable) -> dict[str, Any]:
    return {key: getattr(table, key) for key in table.__struct_fields__}


class MisfitError(ValueError):
    def __init__(self, key: str, value: object, remedy: str) -> None:
        super().__init__(f"{key} = {value!r}: {remedy}")
        self.key, self.value, self.remedy = key, value, remedy


def read_typed(file: Path, kind: type[Decoded], table: Mapping[str, Any] | None = None) -> Decoded:
    """Read a file as `kind`, from its `table` when that has been read; CatalogError for the first mistake in it."""
    table = parsed(file) if table is None else table
    try:
        return msgspec.convert(table, kind)
    except ValidationError as error:
        raise misfitting(file, mistake(table, kind, error, "")) from None


def parsed(file: Path) -> dict[str, Any]:
    """Read the top-level table of a file; UserError when it cannot be read or is not TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{shown(file)}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{shown(file)}: not TOML: {error}; mend the file") from None


def shown(file: Path) -> Path:
    """Name a file as messages do: from the checkout on when it lies there."""
    return file.relative_to(ROOT) if file.is_relative_to(ROOT) else file


def misfitting(file: Path, misfit: MisfitError) -> CatalogError:
    return CatalogError(shown(file), misfit.key, misfit.value, misfit.remedy)


def mistake(value: Any, kind: Any, error: ValidationError, key: str) -> MisfitError:
    """Find the innermost part of `value`, which is no `kind`, that is wrong by itself."""
    bare, inside = stripped(kind), f"{key}." if key else ""
    try:
        inner = parts(value, bare, key, inside)
    except MisfitError as misfit:
        return misfit
    for where, (part, part_kind) in inner.items():
        if found := refusal(part, part_kind):
            return mistake(part, part_kind, found, where)
    if isinstance(error.__cause__, MisfitError):
        at = (inside + error.__cause__.key).removesuffix(".")  # without a key of its own, it is the table's
        return MisfitError(at, error.__cause__.value, error.__cause__.remedy)
    if is_table(bare) and isinstance(value, dict):
        for field in msgspec.structs.fields(bare):
            if field.required and field.encode_name not in value:
                return MisfitError(inside + field.encode_name, None, f"is missing; give {in_words(field.type)}")
    return MisfitError(key, value, instead(value, kind))


def parts(value: Any, kind: Any, key: str, inside: str) -> dict[str, tuple[Any, Any]]:
    """Pair each entry of a table or list with its type, by key; MisfitError for a key that is not allowed."""
    if isinstance(value, dict) and is_table(kind):
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        for name in value:
            if name not in fields:
                raise MisfitError(inside + name, value[name], f"unknown key; {suggestion(name, fields)}")
        return {inside + name: (part, fields[name]) for name, part in value.items()}
    if isinstance(value, dict) and get_origin(kind) in (dict, Mapping):
        names, values = get_args(kind)
        for name in value:
            if refusal(name, names):
                raise MisfitError(inside + name, value[name], f"unknown key; {instead(name, names)}")
        return {inside + name: (part, values) for name, part in value.items()}
    if isinstance(value, list) and get_origin(kind) in (list, tuple):
        return {f"{key}[{number}]": (part, get_args(kind)[0]) for number, part in enumerate(value, 1)}
    return {}


def instead(value: Any, kind: Any) -> str:
    words = get_args(stripped(kind)) if get_origin(stripped(kind)) is Literal else ()
    near = nearest(value, words) if isinstance(value, str) else None
    return f"must be {in_words(kind)}" if near is None else f"did you mean {near}?"


def refusal(value: Any, kind: Any) -> ValidationError | None:
    try:
        msgspec.convert(value, kind)
    except ValidationError as error:
        return error
    return None


def required(kind: Any) -> Any:
    """Strip a type of `| None`."""
    rest = [one for one in get_args(kind) if one is not NoneType]
    return rest[0] if len(rest) == 1 and NoneType in get_args(kind) else kind


def stripped(kind: Any) -> Any:
    """Strip a type of `| None` and of its annotations."""
    kind = required(kind)
    return stripped(get_args(kind)[0]) if get_origin(kind) is Annotated else kind


def is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, FileTable)


def in_words(kind: Any) -> str:
    kind = required(kind)
    if get_origin(kind) is Annotated:
        told = (one.description for one in get_args(kind)[1:] if isinstance(one, Meta) and one.description)
        return next(told, in_words(get_args(kind)[0]))
    bare = stripped(kind)
    if get_origin(bare) is Literal:
        return f"one of {', '.join(get_args(bare))}"
    if get_origin(bare) in (list, tuple):
        return "a list"
    if get_origin(bare) in (Union, UnionType):
        return " or ".join(map(in_words, get_args(bare)))
    return TYPE_WORDS.get(bare, "a table")
