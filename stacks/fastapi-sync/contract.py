"""What the contract says of errors, numbers and notes, whatever the endpoints wait with."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, cast

import orjson
from fastapi import Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from settings import SETTINGS
from timing import encoding

MAX_BODY = 64 * 1024

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


async def on_invalid(_: Request, error: RequestValidationError) -> Response:
    """Input that breaks the contract."""
    return problem(422, "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()))


async def on_http_error(request: Request, error: HTTPException) -> Response:
    """An error with a status of its own; a 405 names every method of the path, not one route's."""
    if error.status_code != 405:
        return problem(error.status_code, error.detail)
    routes = [route for route in request.app.routes if isinstance(route, APIRoute)]
    found = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = sorted({method for route in found for method in route.methods or ()})
    return problem(405, error.detail, {"Allow": ", ".join(methods)})


# What comes in and what goes out.


class ExactRoute(APIRoute):
    """A route that ends where its path does: the `$` of Starlette's patterns also matches before a final newline."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if SETTINGS["response"] == "encoder":
            kwargs["response_model"] = None  # as if the endpoint had no return annotation
        super().__init__(*args, **kwargs)
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")


def parse_digits(text: object) -> int:
    """Digits alone: `int` would also take signs, spaces, underscores and other scripts."""
    if not isinstance(text, str) or not re.fullmatch("[0-9]{1,10}", text):
        raise ValueError("must be 1 to 10 digits")
    return int(text)


Digits = BeforeValidator(parse_digits)
NoteId = Annotated[int, Digits, Path(ge=1)]
Milliseconds = Annotated[int, Digits, Query(ge=0, le=60_000)]
Count = Annotated[int, Digits, Query(ge=1, le=100)]
After = Annotated[int, Digits, Query(ge=0)]
Mode = Literal["sequential", "chained", "parallel"]
Size = Literal["small", "medium", "large"]
NO_NUL = r"^[^\x00]*$"  # PostgreSQL cannot store it


class NoteText(BaseModel):
    """What a client says in a note."""

    title: Annotated[str, Field(strict=True, min_length=1, max_length=100, pattern=NO_NUL)]
    description: Annotated[str, Field(strict=True, max_length=10_000, pattern=NO_NUL)]


class Note(BaseModel):
    """A row of the table."""

    id: int
    title: str
    description: str


class Waited(BaseModel):
    """How long each wait was."""

    waited_ms: list[int]


async def read_body(request: Request) -> NoteText:
    """The body; it is read no further than it may be long."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "the body must be application/json")
    too_large = HTTPException(413, f"the body is over {MAX_BODY} bytes")
    if int(request.headers.get("content-length", "0")) > MAX_BODY:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise too_large
    try:
        return NoteText.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise HTTPException(422, f"body: {error}") from None
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


Body = Annotated[NoteText, Depends(read_body)]
Item = TypeVar("Item")


def answer(item: Item, response: Response | None = None) -> Item:
    """What an endpoint returns: the object, for the framework to serialise, or the bytes (RESPONSE=direct).

    By the endpoint's return annotation Pydantic makes the bytes straight from the object. Where there is none
    (RESPONSE=encoder), `jsonable_encoder` copies the object part by part in Python, on the event loop, and the json
    module makes the bytes of the copy.
    """
    encoding()
    if SETTINGS["response"] != "direct":
        return item
    body = orjson.dumps(item, default=dict)  # a model iterates as its fields
    if response is None:
        return cast(Item, Response(body, media_type="application/json"))
    return cast(Item, Response(body, response.status_code, response.headers, "application/json"))
