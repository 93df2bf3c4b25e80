"""FastAPI with `async def` endpoints: one event loop waits for everything at the same time."""

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from importlib.metadata import version
from typing import Any, cast

import aiohttp
import asyncpg
import httpx
import httpx2
import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from contract import (
    After,
    Body,
    Count,
    ExactRoute,
    Milliseconds,
    Mode,
    Note,
    NoteId,
    Size,
    Waited,
    answer,
    on_http_error,
    on_invalid,
    problem,
)
from settings import DATABASE_URL, DELAY_URL, FIXTURES_DIR, FIXTURES_URL, MANIFEST, SETTINGS, STACK
from timing import ServerTiming, phase

HTTP_TIMEOUT, HTTP_POOL = SETTINGS["http_timeout"], SETTINGS["http_pool"]
POOL_WAIT = 5  # seconds for a database connection to be made or to become free
VERSIONS = {"python": platform.python_version(), **{name: version(name) for name in MANIFEST["packages"]["watch"]}}


class BadAnswerError(Exception):
    """An upstream answered, but not as it should have."""


FAILURES: dict[type[Exception], int] = {
    asyncpg.PostgresConnectionError: 503,
    asyncpg.OperatorInterventionError: 503,  # shutting down or starting up
    asyncpg.TooManyConnectionsError: 503,
    asyncpg.InterfaceError: 503,
    ConnectionError: 503,
    TimeoutError: 503,  # no connection became free
    aiohttp.ServerTimeoutError: 504,
    aiohttp.ClientError: 502,
    httpx.TimeoutException: 504,
    httpx.HTTPError: 502,
    httpx2.TimeoutException: 504,
    httpx2.HTTPError: 502,
    BadAnswerError: 502,
    ClientDisconnect: 422,  # in the middle of its body; nobody reads this answer
    Exception: 500,
}


async def on_failure(_: Request, error: Exception) -> Response:
    """What a driver raised, or a bug: the nearest class in the table decides."""
    status = next(FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES)
    return problem(status, type(error).__name__, {"Retry-After": "1"} if status == 503 else None)


# The database and the upstreams: every request shares the pools.


async def connect(*args: Any, **kwargs: Any) -> asyncpg.Connection:
    """A new connection; when it cannot be made, asyncpg lets any kind of OSError through."""
    try:
        return await asyncpg.connect(*args, **kwargs)
    except OSError as error:
        raise ConnectionError(str(error)) from error


async def keep(_: asyncpg.Connection) -> None:
    """Gives a connection back as it is: no statement of ours changes its session."""


async def fetch_rows(sql: str, *args: object) -> list[asyncpg.Record]:
    """The rows of one statement, for which alone a connection is taken."""
    with phase("db"):
        async with app.state.database.acquire(timeout=POOL_WAIT) as connection:
            return cast(list[asyncpg.Record], await connection.fetch(sql, *args))


async def fetch_notes(sql: str, *args: object) -> list[Note]:
    """The notes that one statement finds."""
    return [Note(id=row[0], title=row[1], description=row[2]) for row in await fetch_rows(sql, *args)]


def found(notes: list[Note]) -> Note:
    """The only note of a list, or 404."""
    if not notes:
        raise HTTPException(404, "there is no such note")
    return notes[0]


Get = Callable[[str], Awaitable[tuple[int, bytes]]]
Client = Callable[[], AbstractAsyncContextManager[Get]]


@asynccontextmanager
async def aiohttp_client() -> AsyncIterator[Get]:
    """GET with aiohttp; the time-outs leave the wait for the pool out."""
    connector = aiohttp.TCPConnector(limit=HTTP_POOL, use_dns_cache=False)  # a restart may bring a new address
    timeout = aiohttp.ClientTimeout(sock_connect=HTTP_TIMEOUT, sock_read=HTTP_TIMEOUT)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as session:

        async def get(url: str) -> tuple[int, bytes]:
            async with session.get(url, allow_redirects=False) as response:
                return response.status, await response.read()

        yield get


@asynccontextmanager
async def httpx_client(library: Any, **options: Any) -> AsyncIterator[Get]:
    """GET with httpx or its successor httpx2."""
    timeout = library.Timeout(HTTP_TIMEOUT, pool=None)
    async with library.AsyncClient(timeout=timeout, **options) as client:

        async def get(url: str) -> tuple[int, bytes]:
            response = await client.get(url)
            return response.status_code, response.content

        yield get


@asynccontextmanager
async def httpx_client_per_call() -> AsyncIterator[Get]:
    """GET with a new client for each call: each loads its certificates anew."""

    async def get(url: str) -> tuple[int, bytes]:
        async with httpx_client(httpx) as get_once:
            return await get_once(url)

    yield get


CLIENTS: dict[str, Client] = {
    "aiohttp": aiohttp_client,
    "httpx": partial(httpx_client, httpx, limits=httpx.Limits(max_connections=HTTP_POOL)),
    "httpx2": partial(httpx_client, httpx2, limits=httpx2.Limits(max_connections=HTTP_POOL)),
    "httpx-per-request": partial(httpx_client, httpx),  # as beginners write it
    "httpx-per-call": httpx_client_per_call,  # and in a function of its own
}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens the pools before the first request and closes them after the last one."""
    client = CLIENTS[SETTINGS["http_client"]]
    shared = SETTINGS["http_client"] != "httpx-per-request"
    pool = asyncpg.create_pool(DATABASE_URL, min_size=0, max_size=SETTINGS["db_pool"], connect=connect, reset=keep)
    async with pool as app.state.database, client() as get:
        app.state.client = (lambda: nullcontext(get)) if shared else client
        yield


async def fetch_json(get: Get, url: str) -> dict[str, Any]:
    """The JSON object that an upstream has at `url`."""
    status, body = await get(url)
    if status != 200:
        raise BadAnswerError(f"{url}: status {status}")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadAnswerError(f"{url}: {error}") from error
    if not isinstance(document, dict):
        raise BadAnswerError(f"{url}: not an object")
    return document


async def repeat(wait: Callable[[int], Awaitable[int]], ms: int, n: int, mode: Mode) -> list[int]:
    """Waits n times: in turn, each for as long as the first or the last said, or all at the same time."""
    with phase("gather"):
        if mode == "parallel":
            return await asyncio.gather(*(wait(ms) for _ in range(n)))
        waited: list[int] = []
        for _ in range(n):
            waited.append(await wait(waited[-1] if waited and mode == "chained" else ms))
        return waited


# The endpoints, in the order of the contract.

app = FastAPI(
    lifespan=lifespan,
    middleware=[Middleware(ServerTiming)] if SETTINGS["server_timing"] else [],
    exception_handlers={
        **dict.fromkeys(FAILURES, on_failure),
        RequestValidationError: on_invalid,
        HTTPException: on_http_error,
    },
    redirect_slashes=False,
    openapi_url=None,
)
app.router.route_class = ExactRoute


@app.get("/")
async def identity() -> dict[str, Any]:
    """What runs here, and how it is set."""
    return answer({"stack": STACK, "settings": SETTINGS, "versions": VERSIONS, "pid": os.getpid()})


@app.get("/healthz")
async def health() -> dict[str, str]:
    """Whether the database answers."""
    await fetch_rows("SELECT 1")
    return answer({"status": "ok"})


@app.post("/notes/", status_code=201)
async def create_note(text: Body, response: Response) -> Note:
    """Inserts a note."""
    sql = "INSERT INTO notes (title, description) VALUES ($1, $2) RETURNING id, title, description"
    note = found(await fetch_notes(sql, text.title, text.description))
    if SETTINGS["db"] == "two-statements":
        note = found(await fetch_notes("SELECT id, title, description FROM notes WHERE id = $1", note.id))
    response.status_code = 201
    response.headers["Location"] = f"/notes/{note.id}"
    return answer(note, response)


@app.get("/notes/")
async def list_notes(limit: Count = 20, after: After = 0) -> list[Note]:
    """A page of notes."""
    sql = "SELECT id, title, description FROM notes WHERE id > $1 ORDER BY id LIMIT $2"
    return answer(await fetch_notes(sql, after, limit))


@app.get("/notes/{id}")
async def read_note(id: NoteId) -> Note:
    """One note."""
    sql = "SELECT id, title, description FROM notes WHERE id = $1"
    return answer(found(await fetch_notes(sql, id)))


@app.put("/notes/{id}")
async def update_note(id: NoteId, text: Body) -> Note:
    """Writes a note anew."""
    sql = "UPDATE notes SET title = $1, description = $2 WHERE id = $3 RETURNING id, title, description"
    return answer(found(await fetch_notes(sql, text.title, text.description, id)))


@app.delete("/notes/{id}")
async def delete_note(id: NoteId) -> Response:
    """Deletes a note."""
    found(await fetch_notes("DELETE FROM notes WHERE id = $1 RETURNING id, title, description", id))
    return Response(status_code=204)


@app.get("/query")
async def query(ms: Milliseconds) -> dict[str, int]:
    """One slow query."""
    await fetch_rows("SELECT pg_sleep($1::int / 1000.0)", ms)
    return answer({"waited_ms": ms})


@app.get("/sleep")
async def sleep(ms: Milliseconds, n: Count = 1, mode: Mode = "sequential") -> Waited:
    """Timers."""

    async def wait(ms: int) -> int:
        await asyncio.sleep(ms / 1000)
        return ms

    return answer(Waited(waited_ms=await repeat(wait, ms, n, mode)))


@app.get("/http")
async def http(ms: Milliseconds, n: Count = 1, mode: Mode = "sequential") -> Waited:
    """Calls to a slow upstream."""
    async with app.state.client() as get:

        async def wait(ms: int) -> int:
            document = await fetch_json(get, f"{DELAY_URL}/?waitms={ms}")
            if not isinstance(document.get("waited_ms"), int):
                raise BadAnswerError(f"{DELAY_URL}: no waited_ms")
            return int(document["waited_ms"])

        return answer(Waited(waited_ms=await repeat(wait, ms, n, mode)))


@app.get("/data")
async def data(n: Count) -> list[dict[str, Any]]:
    """Documents of an upstream, fetched at the same time."""
    urls = [f"{FIXTURES_URL}/data/{number:03d}.json" for number in range(n)]
    async with app.state.client() as get:
        with phase("gather"):
            documents = await asyncio.gather(*(fetch_json(get, url) for url in urls))
    return answer(documents)


@app.get("/json")
async def json(size: Size) -> dict[str, Any]:
    """A document on disk, read again for every request."""
    with phase("gather"):
        # In a thread, for 50 µs: done here, a read that the page cache cannot serve would stop every other request.
        body = await asyncio.to_thread((FIXTURES_DIR / "json" / f"{size}.json").read_bytes)
    return answer(orjson.loads(body))
