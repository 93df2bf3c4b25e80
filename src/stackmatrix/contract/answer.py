"""The parts of an answer that the contract fixes: comparing them, and showing a deviation as a diff."""

import difflib
import re
from dataclasses import dataclass

import orjson

from stackmatrix.contract.client import NoAnswer, Response
from stackmatrix.http import Headers

TITLES = {
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

PROBLEM = re.compile(
    rb'(\{"type":"about:blank","title":"[A-Za-z ]+","status":[0-9]{3},"detail":")(?:[^"\\\x00-\x1f]|\\.)+("\})'
)
FREE = "…".encode()  # stands where every stack may say what it likes

WINDOW = 60  # bytes shown on either side of the first difference of two long bodies
SHORT = 400  # bytes up to which a body is shown in full


@dataclass(frozen=True)
class Essence:
    """The parts of an answer that the contract fixes: status, some headers, the body but for a problem's `detail`."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Deviation:
    """One place where a stack deviates from the contract: what was asked, what was due, what came."""

    asked: str
    expected: str
    got: str

    def __str__(self) -> str:
        return "\n".join([self.asked, *self.diff()])

    def diff(self, width: int | None = None) -> list[str]:
        """Write a unified diff of what was due and what came; lines beyond the width go on behind the same sign."""
        due, came = self.expected.splitlines(), self.got.splitlines()
        rows = difflib.unified_diff(due, came, "expected", "got", n=3, lineterm="")
        return [line for row in rows for line in folded(row[:1], row[1:], width)]


def folded(sign: str, text: str, width: int | None) -> list[str]:
    step = width - len(sign) if width else max(len(text), 1)
    return [sign + text[start : start + step] for start in range(0, max(len(text), 1), step)]


def essence(answer: Response) -> Essence:
    media_type = (answer.header("content-type") or "").partition(";")[0].strip().lower()
    headers = {"content-type": media_type or None}
    for name in ("content-encoding", "location", "retry-after", "set-cookie"):
        headers[name] = answer.header(name)
    allow = answer.header("allow")
    if allow is not None:
        headers["allow"] = methods(allow.split(","))
    body = answer.body
    if media_type == "application/problem+json":
        body = re.sub(PROBLEM, rb"\1" + FREE + rb"\2", body) if PROBLEM.fullmatch(body) else body
    return Essence(answer.status, tuple(sorted((k, v) for k, v in headers.items() if v is not None)), body)


def methods(names: list[str]) -> str:
    """Sort the methods of an `Allow`, without the two that are left to the framework."""
    return ", ".join(sorted({name.strip().upper() for name in names} - {"HEAD", "OPTIONS"}))


def success(body: bytes, status: int = 200, location: str | None = None) -> Essence:
    extra = () if location is None else (("location", location),)
    return Essence(status, (("content-type", "application/json"), *extra), body)


def problem(status: int, allow: str | None = None) -> Essence:
    """Make the problem of this status; `allow` lists the methods of a 405."""
    headers = {"content-type": "application/problem+json"}
    if allow is not None:
        headers["allow"] = methods(allow.split(","))
    if status == 503:
        headers["retry-after"] = "1"
    body = b'{"type":"about:blank","title":"%b","status":%d,"detail":"%b"}'
    return Essence(status, tuple(sorted(headers.items())), body % (TITLES[status].encode(), status, FREE))


DELETED = Essence(204, (), b"")


def compact(value: object) -> bytes:
    return orjson.dumps(value)


def deviations(asked: object, expected: Essence, got: Essence | NoAnswer) -> list[Deviation]:
    """Compare what came with the answer that was due; empty when they agree."""
    if isinstance(got, NoAnswer):
        return [Deviation(str(asked), as_text(expected, expected.body[:SHORT]), f"no answer: {got}")]
    if got == expected:
        return []
    due, came = window(expected.body, got.body)
    return [Deviation(str(asked), as_text(expected, due), as_text(got, came))]


def as_text(answer: Essence, body: bytes) -> str:
    headers = [f"{name}: {value}" for name, value in answer.headers]
    return "\n".join([str(answer.status), *headers, "", readable(body)])


def window(one: bytes, other: bytes) -> tuple[bytes, bytes]:
    """Cut two bodies down to what surrounds their first difference, unless both are short."""
    if max(len(one), len(other)) <= SHORT:
        return one, other
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, at - WINDOW)

    def cut(body: bytes) -> bytes:
        return b"(%d bytes, from byte %d) %b" % (len(body), start, body[start : at + WINDOW])

    return (cut(one), cut(other)) if one != other else (one[:SHORT], other[:SHORT])


def readable(body: bytes) -> str:
    text = body.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
