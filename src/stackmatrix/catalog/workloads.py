"""Workloads: one file is one kind of request, read by contract checks, generator, ledger and ceiling alike."""

import json
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from stackmatrix.catalog import FIXTURES, ROOT, openapi
from stackmatrix.catalog.stacks import Wait
from stackmatrix.catalog.toml import FileTable, MisfitError, fields_of, misfitting, read_typed
from stackmatrix.errors import UserError, pick
from stackmatrix.http import Expected, Headers, Request

Param = int | str
Mode = Literal["sequential", "chained", "parallel"]
ANY = "\0any\0"  # stands for "some digits" in an expected body until it is split into prefix and suffix


@dataclass(frozen=True, slots=True)
class Effects:
    """What one answered request must have done elsewhere; the ledger counts it there."""

    statements: int
    rows: int
    upstream: int
    fixtures: int
    pages: int = 0  # of the table and its indexes that the database must look at, at least
    files: int = 0  # that the stack must read from disk, each of them the answer's own


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one request waits for: `calls` waits of `ms` each (None = unknown, to be measured), in turn or together."""

    on: Wait
    ms: float | None
    calls: int
    mode: Mode

    @property
    def seconds(self) -> float | None:
        """How long one request waits when nothing is in its way; gathered waits overlap."""
        if self.ms is None:
            return None
        return self.ms / 1000 * (1 if self.mode == "parallel" else self.calls)


class RowRange(FileTable, frozen=True):
    """The values that `$row` takes in turn."""

    first: int = msgspec.field(name="from", default=0)
    last: int = msgspec.field(name="to", default=0)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last + 1))


class EachRow(RowRange, frozen=True, kw_only=True):
    json: str


class RequestTemplate(FileTable, frozen=True):
    """`[request]`."""

    path: Annotated[str, Meta(pattern="^/", description="a path that starts with /")]
    method: Literal["GET", "POST", "PUT", "DELETE"] = "GET"
    body: str | None = None
    rows: RowRange = RowRange()


class AnswerTemplate(FileTable, frozen=True):
    """`[answer]`: the body as a template, as one fixture, as an array of fixtures, or as an array of rows."""

    status: int = 200
    json: str | None = None
    file: str | None = None
    files: Param | None = None
    each: EachRow | None = None

    def __post_init__(self) -> None:
        given = [key for key in ("json", "file", "files", "each") if getattr(self, key) is not None]
        if len(given) != 1:
            raise MisfitError("", given, "give exactly one of json, file, files, each")


class EffectTemplates(FileTable, frozen=True):
    """`[effects]` of one answered request."""

    statements: Param = 0
    rows: Param = 0
    upstream: Param = 0
    fixtures: Param = 0
    pages: Param = 0
    files: Param = 0


class WaitTemplate(FileTable, frozen=True):
    on: Wait
    ms: Param | None = None
    calls: Param = 1
    mode: str = "sequential"


class WorkloadFile(FileTable, frozen=True, kw_only=True):
    summary: str
    users: Annotated[int, Meta(ge=1)] = 64  # of a closed load unless told otherwise: enough to saturate, no more
    core: bool = False  # whether it is timed when a budget cannot hold all workloads
    request: RequestTemplate
    answer: AnswerTemplate
    params: Mapping[str, Param] = {}
    effect: EffectTemplates = msgspec.field(name="effects", default_factory=EffectTemplates)
    wait: WaitTemplate | None = None


class Workload(WorkloadFile, frozen=True, kw_only=True):
    """One kind of request; `params` fill the `$name` places of its templates."""

    name: str
    file: Path

    def with_params(self, changed: Mapping[str, str]) -> "Workload":
        """Replace some parameters; UserError for one that the workload lacks or the contract refuses."""
        params = dict(self.params)
        for key, text in changed.items():
            default = pick(f"parameter of workload {self.name}", key, params)
            if str(default) == text:
                continue
            whole = re.fullmatch(r"[0-9]{1,10}", text)
            params[key] = int(text) if isinstance(default, int) and whole else text
            schema = openapi.schemas(self.request.method, self.request.path).get(key, {})
            if not openapi.in_bounds(schema, params[key]) or (isinstance(default, int) and not whole):
                due = openapi.bounds_in_words(schema) or "a whole number"
                raise UserError(f"{key}={text}: workload {self.name} takes {due}")
        return msgspec.structs.replace(self, params=params)

    def requests(self) -> tuple[Request, ...]:
        """Make every request, to be sent in turn; one unless the file varies `$row`."""
        return tuple(self._request(row) for row in self.request.rows)

    def effects(self) -> Effects:
        return Effects(*(self._number(getattr(self.effect, key), f"effects.{key}") for key in Effects.__slots__))

    def waiting(self) -> Waiting | None:
        if self.wait is None:
            return None
        mode = self._fill(self.wait.mode, "wait.mode")
        known: dict[str, Mode] = {mode: mode for mode in get_args(Mode)}
        if mode not in known:
            raise misfitting(self.file, MisfitError("wait.mode", mode, f"must be one of {', '.join(known)}"))
        ms = None if self.wait.ms is None else self._number(self.wait.ms, "wait.ms")
        return Waiting(self.wait.on, ms, self._number(self.wait.calls, "wait.calls"), known[mode])

    def check(self) -> None:
        """Fill every template once; UserError for one that names no parameter, or a body that is not JSON."""
        self.effects()
        self.waiting()
        each = self.answer.each
        templates = {
            "request.path": self.request.path,
            "request.body": self.request.body,
            "answer.json": self.answer.json,
            "answer.file": self.answer.file,
            "answer.each.json": None if each is None else each.json,
        }
        filled = {key: self._fill(template, key) for key, template in templates.items() if template is not None}
        try:
            json.loads(filled.get("request.body", "null"))
        except ValueError as error:
            misfit = MisfitError("request.body", filled["request.body"], f"is not JSON: {error}")
            raise misfitting(self.file, misfit) from None

    def _request(self, row: int) -> Request:
        headers: Headers = (("Accept", "*/*"),)
        if self.request.body is not None:
            headers += (("Content-Type", "application/json"),)
            body: bytes | None = self._fill(self.request.body, "request.body", row).encode()
        else:
            body = b"" if self.request.method in ("POST", "PUT") else None
        target = self._fill(self.request.path, "request.path", row)
        return Request(self.request.method, target, body, headers, self._expected(row))

    def _expected(self, row: int) -> Expected:
        answer = self.answer
        if answer.file is not None:
            return Expected(answer.status, fixture(self._fill(answer.file, "answer.file", row)))
        if answer.files is not None:
            count = self._number(answer.files, "answer.files")
            files = (fixture(f"data/{i:03}.json") for i in range(count))
            return Expected(answer.status, b"[" + b",".join(files) + b"]")
        if answer.each is not None:
            items = (self._fill(answer.each.json, "answer.each.json", i) for i in answer.each)
            return Expected(answer.status, f"[{','.join(items)}]".encode())
        prefix, some, suffix = self._fill(answer.json or "", "answer.json", row).partition(ANY)
        return Expected(answer.status, prefix.encode(), suffix.encode() if some else None)

    def _fill(self, template: str, key: str, row: int = 0) -> str:
        params = self.params
        values: dict[str, object] = {**params, "row": row, "any": ANY}
        if "ms" in params:
            values["waits"] = ",".join([str(params["ms"])] * int(params.get("n", 1)))
        try:
            return string.Template(template).substitute(values)
        except (KeyError, ValueError) as error:
            known = ", ".join(f"${name}" for name in values)
            misfit = MisfitError(key, template, f"{error} names no parameter; known: {known}")
            raise misfitting(self.file, misfit) from None

    def _number(self, value: Param, key: str) -> int:
        text = self._fill(str(value), key)
        if not text.isdigit():
            raise misfitting(self.file, MisfitError(key, value, "must be a whole number or a $parameter that is one"))
        return int(text)


def fixture(name: str) -> bytes:
    """Read one fixture; UserError when it is not there."""
    try:
        return (FIXTURES / name).read_bytes()
    except OSError as error:
        raise UserError(f"fixtures/{name}: {error.strerror}; make the fixtures: python3 fixtures/make.py") from None


def load_workloads(root: Path = ROOT) -> dict[str, Workload]:
    """Read every workload of a checkout; UserError for the first broken file."""
    return {path.stem: read_workload(path) for path in sorted(root.glob("workloads/*.toml"))}


def read_workload(file: Path) -> Workload:
    """Read the workload that one file describes; CatalogError for the first mistake in it."""
    workload = Workload(name=file.stem, file=file, **fields_of(read_typed(file, WorkloadFile)))
    workload.check()
    return workload
