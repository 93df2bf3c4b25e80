"""What the contract says of errors, numbers and notes, whatever the endpoints wait with."""

import re
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson
from flask import Flask, Request, Response, abort, request
from flask.json.provider import DefaultJSONProvider, JSONProvider
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, RequestRedirect

from settings import SETTINGS
from timing import phase

MAX_BODY = 64 * 1024
MODES = ("sequential", "chained", "parallel")
SIZES = ("small", "medium", "large")

# Errors: each is an RFC 9457 problem, whoever raised it.

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


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that failed."""
    body = {"type": "about:blank", "title": TITLES[status], "status": status, "detail": detail}
    return Response(orjson.dumps(body), status, headers, "application/problem+json")


def on_http_error(error: HTTPException) -> Response:
    """An error with a status of its own; a 405 names every method of the path."""
    status = error.code if error.code in TITLES else 422  # 400: the body ended too early
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return problem(status, error.description or error.name, headers)


class ExactFlask(Flask):
    """Routes by method and path alone, and takes the path as it is written."""

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        if request is None:
            return super().create_url_adapter(request)
        if request.environ["PATH_INFO"].startswith("//"):
            abort(404)  # all but one would be stripped
        return self.url_map.bind("localhost", path_info=request.path, default_method=request.method)

    def raise_routing_exception(self, request: Request) -> NoReturn:
        if isinstance(request.routing_exception, RequestRedirect):
            abort(404)  # a slash would be added
        super().raise_routing_exception(request)


# What comes in and what goes out.


def parse_digits(name: str, text: str | None, least: int, most: int = 9_999_999_999) -> int:
    """Digits alone: `int` would also take signs, spaces, underscores and other scripts."""
    if text is None or not re.fullmatch("[0-9]{1,10}", text) or not least <= int(text) <= most:
        abort(422, f"{name}: must be a number from {least} to {most} in 1 to 10 digits")
    return int(text)


def parse_word(name: str, text: str | None, words: tuple[str, ...]) -> str:
    """One of some words, exactly as written."""
    if text not in words:
        abort(422, f"{name}: must be one of {', '.join(words)}")
    return text


def parse_text(name: str, value: object, least: int, most: int) -> str:
    """A string of some code points, none of them the NUL that PostgreSQL cannot store."""
    if not isinstance(value, str) or not least <= len(value) <= most or "\0" in value:
        abort(422, f"{name}: must be a string of {least} to {most} characters without NUL")
    return value


def read_waits() -> tuple[int, int, str]:
    """How long, how often and how to wait."""
    args = request.args
    return (
        parse_digits("ms", args.get("ms"), 0, 60_000),
        parse_digits("n", args.get("n", "1"), 1, 100),
        parse_word("mode", args.get("mode", "sequential"), MODES),
    )


def read_body() -> tuple[str, str]:
    """Title and description; the body is read no further than it may be long."""
    if request.mimetype != "application/json":
        abort(415, "the body must be application/json")
    request.max_content_length = MAX_BODY + 1  # by which a body in chunks is seen to be too long
    body = request.get_data(cache=False)
    if len(body) > MAX_BODY:
        abort(413, f"the body is over {MAX_BODY} bytes")
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        abort(422, f"body: {error}")
    if not isinstance(fields, dict):
        abort(422, "body: must be an object")
    return (
        parse_text("title", fields.get("title"), 1, 100),
        parse_text("description", fields.get("description"), 0, 10_000),
    )


class CompactJSON(DefaultJSONProvider):
    """Flask's JSON without its escapes, sorting and spaces, and without the newline at the end."""

    ensure_ascii = sort_keys = False
    response = JSONProvider.response

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        with phase("encode"):
            return super().dumps(obj, separators=(",", ":"), **kwargs)


def answer(item: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> ResponseReturnValue:
    """What a view returns: the object, for the framework to serialise, or the bytes (RESPONSE=direct)."""
    if SETTINGS["response"] == "framework":
        return item, status, headers or {}
    with phase("encode"):
        return Response(orjson.dumps(item), status, headers, "application/json")
