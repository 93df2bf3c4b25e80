"""Workloads: one file is one kind of request, read by contract checks, generator, ledger and ceiling alike."""

import json
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stackmatrix.catalog import FIXTURES, ROOT
from stackmatrix.catalog.toml import Fields, pick
from stackmatrix.errors import UserError
from stackmatrix.http import Expected, Headers, Request

Param = int | str
WaitOn = Literal["timer", "database", "upstream"]
MODES = ("sequential", "chained", "parallel")
METHODS = ("GET", "POST", "PUT", "DELETE")
ANY = "\0any\0"  # stands for "some digits" in an expected body until it is split into prefix and suffix


@dataclass(frozen=True, slots=True)
class Effects:
    """What one answered request must have done elsewhere; the ledger counts it there."""

    statements: int
    rows: int
    upstream: int
    fixtures: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one request waits for: `calls` waits of `ms` each (None = unknown, to be measured), in turn or together."""

    on: WaitOn
    ms: float | None
    calls: int
    mode: str

    @property
    def seconds(self) -> float | None:
        """How long one request waits when nothing is in its way; gathered waits overlap."""
        if self.ms is None:
            return None
        return self.ms / 1000 * (1 if self.mode == "parallel" else self.calls)


@dataclass(frozen=True)
class Workload:
    """One kind of request, as its file writes it; `params` fill the `$name` places."""

    name: str
    summary: str
    params: Mapping[str, Param]
    method: str
    path: str
    body: str | None
    rows: range
    status: int
    answer: Mapping[str, Any]
    effect: Mapping[str, Param]
    wait: Mapping[str, Param]
    file: Path

    def with_params(self, changed: Mapping[str, str]) -> "Workload":
        """This workload with some parameters replaced; UserError for one that it does not have."""
        params = dict(self.params)
        for key, text in changed.items():
            default = pick(f"parameter of workload {self.name}", key, params)
            if isinstance(default, int):
                if not re.fullmatch(r"[0-9]{1,10}", text):
                    raise UserError(f"{self.name}: {key} = {text!r}: must be a whole number")
                params[key] = int(text)
            else:
                params[key] = text
        return Workload(**{**self.__dict__, "params": params})

    def requests(self) -> tuple[Request, ...]:
        """Every request of this workload, to be sent in turn; one unless the file varies `$row`."""
        return tuple(self._request(row) for row in self.rows)

    def effects(self) -> Effects:
        """What each answered request must have done."""
        number = {key: self._number(self.effect.get(key, 0), f"effects.{key}") for key in Effects.__slots__}
        return Effects(**number)

    def waiting(self) -> Waiting | None:
        """What each request waits for; None when for nothing but the CPU."""
        if not self.wait:
            return None
        ms = self.wait.get("ms")
        mode = self._fill(str(self.wait.get("mode", "sequential")), 0)
        if mode not in MODES:
            raise UserError(f"{self.file.name}: wait.mode = {mode!r}: must be one of {', '.join(MODES)}")
        calls = self._number(self.wait.get("calls", 1), "wait.calls")
        on: Any = self.wait["on"]
        return Waiting(on, None if ms is None else self._number(ms, "wait.ms"), calls, mode)

    def check(self) -> None:
        """Fill every template once; UserError for one that names no parameter, or a body that is not JSON."""
        self.effects()
        self.waiting()
        self._fill(self.path, self.rows.start)
        if self.body is not None:
            body = self._fill(self.body, self.rows.start)
            try:
                json.loads(body)
            except ValueError as error:
                raise UserError(f"{self.file.name}: request.body = {body!r}: is not JSON: {error}") from None

    def _request(self, row: int) -> Request:
        headers: Headers = (("Accept", "*/*"),)
        if self.body is not None:
            headers += (("Content-Type", "application/json"),)
            body: bytes | None = self._fill(self.body, row).encode()
        else:
            body = b"" if self.method in ("POST", "PUT") else None
        return Request(self.method, self._fill(self.path, row), body, headers, self._expected(row))

    def _expected(self, row: int) -> Expected:
        if "file" in self.answer:
            return Expected(self.status, fixture(self._fill(str(self.answer["file"]), row)))
        if "files" in self.answer:
            count = self._number(self.answer["files"], "answer.files")
            files = (fixture(f"data/{i:03}.json") for i in range(count))
            return Expected(self.status, b"[" + b",".join(files) + b"]")
        if "each" in self.answer:
            each = self.answer["each"]
            items = (self._fill(each["json"], i) for i in range(each["from"], each["to"] + 1))
            return Expected(self.status, f"[{','.join(items)}]".encode())
        prefix, some, suffix = self._fill(str(self.answer.get("json", "")), row).partition(ANY)
        return Expected(self.status, prefix.encode(), suffix.encode() if some else None)

    def _fill(self, template: str, row: int) -> str:
        params = self.params
        values: dict[str, object] = {**params, "row": row, "any": ANY}
        if "ms" in params:
            values["waits"] = ",".join([str(params["ms"])] * int(params.get("n", 1)))
        try:
            return string.Template(template).substitute(values)
        except (KeyError, ValueError) as error:
            known = ", ".join(f"${name}" for name in values)
            raise UserError(f"{self.file.name}: {template!r}: {error} names no parameter; known: {known}") from None

    def _number(self, value: Param, key: str) -> int:
        text = self._fill(str(value), 0)
        if not text.isdigit():
            raise UserError(f"{self.file.name}: {key} = {value!r}: must be a whole number or a $parameter that is one")
        return int(text)


def fixture(name: str) -> bytes:
    """The bytes of one fixture file; UserError when it is not there."""
    try:
        return (FIXTURES / name).read_bytes()
    except OSError as error:
        raise UserError(f"fixtures/{name}: {error.strerror}; make the fixtures: python3 fixtures/make.py") from None


def load_workloads(root: Path = ROOT) -> dict[str, Workload]:
    """Every workload of the checkout by name; CatalogError or UserError for the first broken file."""
    return {path.stem: read_workload(path) for path in sorted(root.glob("workloads/*.toml"))}


def read_workload(file: Path) -> Workload:
    """The workload that one file describes."""
    fields = Fields.open(file)
    request, answer, wait, effects = (fields.table(key) for key in ("request", "answer", "wait", "effects"))
    rows = request.table("rows")
    workload = Workload(
        name=file.stem,
        summary=fields.get("summary", str),
        params=dict(fields.table("params").items()),
        method=request.choice("method", METHODS, "GET"),
        path=request.get("path", str),
        body=request.any("body"),
        rows=range(rows.get("from", int, 0), rows.get("to", int, 0) + 1),
        status=answer.get("status", int, 200),
        answer=answer.present("json", "file", "files", "each"),
        effect=effects.present(*Effects.__slots__),
        wait=wait.present("on", "ms", "calls", "mode"),
        file=file,
    )
    for table in (fields, request, rows, answer, wait, effects):
        table.done()
    if not workload.path.startswith("/"):
        raise request.error("path", workload.path, "must start with /")
    if len(workload.answer) != 1:
        raise fields.error("answer", dict(workload.answer), "give exactly one of json, file, files, each")
    if workload.wait:
        wait.choice("on", ("timer", "database", "upstream"))
    workload.check()
    return workload
