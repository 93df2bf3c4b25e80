"""FastAPI with `def` endpoints: each request waits in a thread of its own, THREADS of them at the same time."""

import os
import platform
import select
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager, nullcontext
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import Any

import httpx
import orjson
import psycopg2
import requests
import sqlalchemy.exc
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from requests.adapters import HTTPAdapter
from sqlalchemy import event
from sqlalchemy.pool import QueuePool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from urllib3.exceptions import ReadTimeoutError

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
    psycopg2.OperationalError: 503,  # also shutting down or starting up
    psycopg2.InterfaceError: 503,
    sqlalchemy.exc.TimeoutError: 503,  # no connection became free
    sqlalchemy.exc.OperationalError: 503,  # psycopg2's, as the ORM passes it on
    sqlalchemy.exc.InterfaceError: 503,
    requests.Timeout: 504,
    requests.RequestException: 502,
    httpx.TimeoutException: 504,
    httpx.HTTPError: 502,
    BadAnswerError: 502,
    ClientDisconnect: 422,  # in the middle of its body; nobody reads this answer
    Exception: 500,
}


async def on_failure(_: Request, error: Exception) -> Response:
    """What a driver raised, or a bug: the nearest class in the table decides."""
    status = next(FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES)
    return problem(status, type(error).__name__, {"Retry-After": "1"} if status == 503 else None)


# The database and the upstreams: every request shares the pools.


def connect() -> Any:
    """A new connection; without autocommit a statement would cost a BEGIN and a COMMIT."""
    connection = psycopg2.connect(DATABASE_URL, connect_timeout=POOL_WAIT)
    connection.autocommit = True
    return connection


def check(connection: Any, *_: object) -> None:
    """Sends the pool for new connections when the server has closed this one: an idle socket has nothing to read."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    if poll.poll(0):
        raise sqlalchemy.exc.InvalidatePoolError


def fetch_rows(sql: str, *args: object) -> list[tuple[Any, ...]]:
    """The rows of one statement, for which alone a connection is taken."""
    with phase("db"), closing(app.state.database.connect()) as connection:
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, args)
                return list(cursor.fetchall())
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            connection.invalidate()
            raise


def fetch_notes(sql: str, *args: object) -> list[Note]:
    """The notes that one statement finds."""
    return [Note(id=row[0], title=row[1], description=row[2]) for row in fetch_rows(sql, *args)]


def found(notes: list[Note]) -> Note:
    """The only note of a list, or 404."""
    if not notes:
        raise HTTPException(404, "there is no such note")
    return notes[0]


Get = Callable[[str], tuple[int, bytes]]
Client = Callable[[], AbstractContextManager[Get]]


@contextmanager
def requests_client() -> Iterator[Get]:
    """GET with requests; the time-out leaves the wait for the pool out."""
    adapter = HTTPAdapter(pool_maxsize=HTTP_POOL, pool_block=True)
    with requests.Session() as session:
        session.mount("http://", adapter)
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.trust_env = False  # else it looks for proxies and a .netrc at every request

        def get(url: str) -> tuple[int, bytes]:
            try:
                response = session.get(url, timeout=HTTP_TIMEOUT, allow_redirects=False)
            except requests.ConnectionError as error:
                if isinstance(error.args[0], ReadTimeoutError):  # the body was late
                    raise requests.ReadTimeout(url) from error
                raise
            return response.status_code, response.content

        yield get


@contextmanager
def httpx_client(**options: Any) -> Iterator[Get]:
    """GET with httpx."""
    timeout = httpx.Timeout(HTTP_TIMEOUT, pool=None)
    with httpx.Client(timeout=timeout, **options) as client:

        def get(url: str) -> tuple[int, bytes]:
            response = client.get(url)
            return response.status_code, response.content

        yield get


CLIENTS: dict[str, Client] = {
    "requests": requests_client,
    "httpx": partial(httpx_client, limits=httpx.Limits(max_connections=HTTP_POOL)),
    "httpx-per-request": httpx_client,  # as beginners write it
}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens the pools before the first request and closes them after the last one."""
    client = CLIENTS[SETTINGS["http_client"]]
    shared = SETTINGS["http_client"] != "httpx-per-request"
    pool = QueuePool(connect, pool_size=SETTINGS["db_pool"], max_overflow=0, timeout=POOL_WAIT, reset_on_return=None)
    event.listen(pool, "checkout", check)
    app.state.database = pool
    current_default_thread_limiter().total_tokens = SETTINGS["threads"]
    # Waits side by side within a request: HTTP_POOL threads of their own, whose work waits for no other thread.
    with ThreadPoolExecutor(HTTP_POOL) as app.state.helpers, client() as get:
        app.state.client = (lambda: nullcontext(get)) if shared else client
        yield
    pool.dispose()


def fetch_json(get: Get, url: str) -> dict[str, Any]:
    """The JSON object that an upstream has at `url`."""
    status, body = get(url)
    if status != 200:
        raise BadAnswerError(f"{url}: status {status}")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadAnswerError(f"{url}: {error}") from error
    if not isinstance(document, dict):
        raise BadAnswerError(f"{url}: not an object")
    return document


def repeat(wait: Callable[[int], int], ms: int, n: int, mode: Mode) -> list[int]:
    """Waits n times: in turn, each for as long as the first or the last said, or all at the same time."""
    with phase("gather"):
        if mode == "parallel":
            return list(app.state.helpers.map(wait, [ms] * n))
        waited: list[int] = []
        for _ in range(n):
            waited.append(wait(waited[-1] if waited and mode == "chained" else ms))
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

if SETTINGS["db"] != "plain":
    import orm

    app.post("/notes/", status_code=201)(orm.create_note)  # before the one below, and so instead of it


@app.get("/")
def identity() -> dict[str, Any]:
    """What runs here, and how it is set."""
    return answer({"stack": STACK, "settings": SETTINGS, "versions": VERSIONS, "pid": os.getpid()})


@app.get("/healthz")
def health() -> dict[str, str]:
    """Whether the database answers."""
    fetch_rows("SELECT 1")
    return answer({"status": "ok"})


@app.post("/notes/", status_code=201)
def create_note(text: Body, response: Response) -> Note:
    """Inserts a note."""
    sql = "INSERT INTO notes (title, description) VALUES (%s, %s) RETURNING id, title, description"
    note = found(fetch_notes(sql, text.title, text.description))
    response.status_code = 201
    response.headers["Location"] = f"/notes/{note.id}"
    return answer(note, response)


@app.get("/notes/")
def list_notes(limit: Count = 20, after: After = 0) -> list[Note]:
    """A page of notes."""
    sql = "SELECT id, title, description FROM notes WHERE id > %s ORDER BY id LIMIT %s"
    return answer(fetch_notes(sql, after, limit))


@app.get("/notes/{id}")
def read_note(id: NoteId) -> Note:
    """One note."""
    sql = "SELECT id, title, description FROM notes WHERE id = %s"
    return answer(found(fetch_notes(sql, id)))


@app.put("/notes/{id}")
def update_note(id: NoteId, text: Body) -> Note:
    """Writes a note anew."""
    sql = "UPDATE notes SET title = %s, description = %s WHERE id = %s RETURNING id, title, description"
    return answer(found(fetch_notes(sql, text.title, text.description, id)))


@app.delete("/notes/{id}")
def delete_note(id: NoteId) -> Response:
    """Deletes a note."""
    found(fetch_notes("DELETE FROM notes WHERE id = %s RETURNING id, title, description", id))
    return Response(status_code=204)


@app.get("/query")
def query(ms: Milliseconds) -> dict[str, int]:
    """One slow query."""
    fetch_rows("SELECT pg_sleep(%s / 1000.0)", ms)
    return answer({"waited_ms": ms})


@app.get("/sleep")
def sleep(ms: Milliseconds, n: Count = 1, mode: Mode = "sequential") -> Waited:
    """Timers."""

    def wait(ms: int) -> int:
        time.sleep(ms / 1000)
        return ms

    return answer(Waited(waited_ms=repeat(wait, ms, n, mode)))


@app.get("/http")
def http(ms: Milliseconds, n: Count = 1, mode: Mode = "sequential") -> Waited:
    """Calls to a slow upstream."""
    with app.state.client() as get:

        def wait(ms: int) -> int:
            document = fetch_json(get, f"{DELAY_URL}/?waitms={ms}")
            if not isinstance(document.get("waited_ms"), int):
                raise BadAnswerError(f"{DELAY_URL}: no waited_ms")
            return int(document["waited_ms"])

        return answer(Waited(waited_ms=repeat(wait, ms, n, mode)))


@app.get("/data")
def data(n: Count) -> list[dict[str, Any]]:
    """Documents of an upstream, fetched at the same time."""
    urls = [f"{FIXTURES_URL}/data/{number:03d}.json" for number in range(n)]
    with app.state.client() as get, phase("gather"):
        documents = list(app.state.helpers.map(partial(fetch_json, get), urls))
    return answer(documents)


@app.get("/json")
def json(size: Size) -> dict[str, Any]:
    """A document on disk, read again for every request."""
    with phase("gather"):
        body = (FIXTURES_DIR / "json" / f"{size}.json").read_bytes()
    return answer(orjson.loads(body))
