"""Flask with plain views: uWSGI gives every request a greenlet, and gevent runs the others while one waits."""

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from select import POLLIN
from typing import Any, TypeVar

import gevent
import httpx
import orjson
import psycopg2
import requests
import sqlalchemy.exc
from flask import Response, abort, request
from flask.typing import ResponseReturnValue
from gevent.hub import Hub
from gevent.monkey import get_original
from gevent.socket import gethostbyname, wait_read, wait_write
from psycopg2 import extensions
from requests.adapters import HTTPAdapter
from sqlalchemy import event
from sqlalchemy.pool import QueuePool
from werkzeug.exceptions import HTTPException

from contract import (
    SIZES,
    CompactJSON,
    ExactFlask,
    answer,
    on_http_error,
    parse_digits,
    parse_word,
    problem,
    read_body,
    read_waits,
)
from settings import DATABASE_URL, DELAY_URL, FIXTURES_DIR, FIXTURES_URL, MANIFEST, SETTINGS, STACK
from timing import phase, tell_phases

HTTP_TIMEOUT, HTTP_POOL = SETTINGS["http_timeout"], SETTINGS["http_pool"]
POOL_WAIT = 5  # seconds for a database connection to be made or to become free
VERSIONS = {"python": platform.python_version(), **{name: version(name) for name in MANIFEST["packages"]["watch"]}}


class BadAnswerError(Exception):
    """An upstream answered, but not as it should have."""


FAILURES: dict[type[Exception], int] = {
    psycopg2.OperationalError: 503,  # also shutting down or starting up
    psycopg2.InterfaceError: 503,
    sqlalchemy.exc.TimeoutError: 503,  # no connection became free
    requests.Timeout: 504,
    requests.RequestException: 502,
    httpx.TimeoutException: 504,
    httpx.HTTPError: 502,
    BadAnswerError: 502,
    Exception: 500,
}
# When a greenlet of a request raises one of these, the request answers it; gevent would print it as well.
Hub.NOT_ERROR += tuple(kind for kind, status in FAILURES.items() if status != 500)


def on_failure(error: Exception) -> Response:
    """What a driver raised, or a bug: the nearest class in the table decides."""
    status = next(FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES)
    if status == 500:
        app.log_exception((type(error), error, error.__traceback__))
    return problem(status, type(error).__name__, {"Retry-After": "1"} if status == 503 else None)


# The database and the upstreams: every request shares the pools.


def wait_for_libpq(connection: Any) -> None:
    """Runs other greenlets while a connection waits for its socket; psycopg2 closes it when this raises."""
    while (state := connection.poll()) != extensions.POLL_OK:
        wait = wait_read if state == extensions.POLL_READ else wait_write
        wait(connection.fileno())


extensions.set_wait_callback(wait_for_libpq)


def connect() -> Any:
    """A new connection; its host is looked up here, because libpq would keep all greenlets waiting for that."""
    host = extensions.parse_dsn(DATABASE_URL).get("host", "/")
    with gevent.Timeout(POOL_WAIT, psycopg2.OperationalError("no connection within the time-out")):
        try:
            address = {} if host.startswith("/") else {"hostaddr": gethostbyname(host)}
        except OSError as error:
            raise psycopg2.OperationalError(f"{host}: {error}") from error
        connection = psycopg2.connect(DATABASE_URL, **address)
    connection.autocommit = True
    return connection


def check(connection: Any, *_: object) -> None:
    """Sends the pool for new connections when the server has closed this one: an idle socket has nothing to read."""
    poll = get_original("select", "poll")()  # gevent's would switch to other greenlets
    poll.register(connection, POLLIN)
    if poll.poll(0):
        raise sqlalchemy.exc.InvalidatePoolError


database = QueuePool(connect, pool_size=SETTINGS["db_pool"], max_overflow=0, timeout=POOL_WAIT, reset_on_return=None)
event.listen(database, "checkout", check)


def fetch_rows(sql: str, *args: object) -> list[tuple[Any, ...]]:
    """The rows of one statement, for which alone a connection is taken."""
    with phase("db"), closing(database.connect()) as connection:
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, args)
                return list(cursor.fetchall())
        except BaseException:  # a greenlet that is killed, too, may leave half an answer behind
            connection.invalidate()
            raise


def fetch_notes(sql: str, *args: object) -> list[dict[str, Any]]:
    """The notes that one statement finds."""
    return [{"id": row[0], "title": row[1], "description": row[2]} for row in fetch_rows(sql, *args)]


def found(notes: list[dict[str, Any]]) -> dict[str, Any]:
    """The only note of a list, or 404."""
    if not notes:
        abort(404, "there is no such note")
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
            response = session.get(url, timeout=HTTP_TIMEOUT, allow_redirects=False)
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
shared = ExitStack()  # lives as long as the process
client = CLIENTS[SETTINGS["http_client"]]
if SETTINGS["http_client"] != "httpx-per-request":
    client = partial(nullcontext, shared.enter_context(client()))


def fetch_json(get: Get, url: str) -> Any:
    """The document that an upstream has at `url`."""
    status, body = get(url)
    if status != 200:
        raise BadAnswerError(f"{url}: status {status}")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadAnswerError(f"{url}: {error}") from error


T, R = TypeVar("T"), TypeVar("R")


def gather(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """What the function makes of every item, each in a greenlet of its own; the first to fail ends the others."""
    greenlets = [gevent.spawn(function, item) for item in items]
    try:
        gevent.joinall(greenlets, raise_error=True)
    except BaseException:
        gevent.killall(greenlets)
        raise
    return [greenlet.value for greenlet in greenlets]


def repeat(wait: Callable[[int], int], ms: int, n: int, mode: str) -> list[int]:
    """Waits n times: in turn, each for as long as the first or the last said, or all at the same time."""
    with phase("gather"):
        if mode == "parallel":
            return gather(wait, [ms] * n)
        waited: list[int] = []
        for _ in range(n):
            waited.append(wait(waited[-1] if waited and mode == "chained" else ms))
        return waited


# The endpoints, in the order of the contract.

app = ExactFlask(STACK, static_folder=None)
app.json = CompactJSON(app)
app.url_map.merge_slashes = False
app.register_error_handler(Exception, on_failure)
app.register_error_handler(HTTPException, on_http_error)
if SETTINGS["server_timing"]:
    tell_phases(app)


@app.get("/")
def identity() -> ResponseReturnValue:
    """What runs here, and how it is set."""
    return answer({"stack": STACK, "settings": SETTINGS, "versions": VERSIONS, "pid": os.getpid()})


@app.get("/healthz")
def health() -> ResponseReturnValue:
    """Whether the database answers."""
    fetch_rows("SELECT 1")
    return answer({"status": "ok"})


@app.post("/notes/")
def create_note() -> ResponseReturnValue:
    """Inserts a note."""
    sql = "INSERT INTO notes (title, description) VALUES (%s, %s) RETURNING id, title, description"
    note = found(fetch_notes(sql, *read_body()))
    return answer(note, 201, {"Location": f"/notes/{note['id']}"})


@app.get("/notes/")
def list_notes() -> ResponseReturnValue:
    """A page of notes."""
    limit = parse_digits("limit", request.args.get("limit", "20"), 1, 100)
    after = parse_digits("after", request.args.get("after", "0"), 0)
    sql = "SELECT id, title, description FROM notes WHERE id > %s ORDER BY id LIMIT %s"
    return answer(fetch_notes(sql, after, limit))


@app.get("/notes/<id>")
def read_note(id: str) -> ResponseReturnValue:
    """One note."""
    sql = "SELECT id, title, description FROM notes WHERE id = %s"
    return answer(found(fetch_notes(sql, parse_digits("id", id, 1))))


@app.put("/notes/<id>")
def update_note(id: str) -> ResponseReturnValue:
    """Writes a note anew."""
    sql = "UPDATE notes SET title = %s, description = %s WHERE id = %s RETURNING id, title, description"
    return answer(found(fetch_notes(sql, *read_body(), parse_digits("id", id, 1))))


@app.delete("/notes/<id>")
def delete_note(id: str) -> ResponseReturnValue:
    """Deletes a note."""
    sql = "DELETE FROM notes WHERE id = %s RETURNING id, title, description"
    found(fetch_notes(sql, parse_digits("id", id, 1)))
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


@app.get("/query")
def query() -> ResponseReturnValue:
    """One slow query."""
    ms = parse_digits("ms", request.args.get("ms"), 0, 60_000)
    fetch_rows("SELECT pg_sleep(%s / 1000.0)", ms)
    return answer({"waited_ms": ms})


@app.get("/sleep")
def sleep() -> ResponseReturnValue:
    """Timers."""

    def wait(ms: int) -> int:
        gevent.sleep(ms / 1000)
        return ms

    return answer({"waited_ms": repeat(wait, *read_waits())})


@app.get("/http")
def http() -> ResponseReturnValue:
    """Calls to a slow upstream."""
    ms, n, mode = read_waits()
    with client() as get:

        def wait(ms: int) -> int:
            document = fetch_json(get, f"{DELAY_URL}/?waitms={ms}")
            match document:
                case {"waited_ms": int(waited)}:
                    return waited
            raise BadAnswerError(f"{DELAY_URL}: {document!r:.100}")

        return answer({"waited_ms": repeat(wait, ms, n, mode)})


@app.get("/data")
def data() -> ResponseReturnValue:
    """Documents of an upstream, fetched at the same time."""
    n = parse_digits("n", request.args.get("n"), 1, 100)
    urls = [f"{FIXTURES_URL}/data/{number:03d}.json" for number in range(n)]
    with client() as get, phase("gather"):
        documents = gather(partial(fetch_json, get), urls)
    return answer(documents)


@app.get("/json")
def json() -> ResponseReturnValue:
    """A document on disk, read again for every request."""
    size = parse_word("size", request.args.get("size"), SIZES)
    with phase("gather"):
        body = (FIXTURES_DIR / "json" / f"{size}.json").read_bytes()
    return answer(orjson.loads(body))
