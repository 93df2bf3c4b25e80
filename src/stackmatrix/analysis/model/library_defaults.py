"""Limits that libraries set when nobody asks them to: a result that equals one is often nothing but that.

Each was read from the library's own source: AnyIO 4.16, Python 3.13, Waitress 3.0, Gunicorn 27.0, httpx 0.28,
httpx2 2.16, aiohttp 3.14, requests 2.34, asyncpg 0.32, SQLAlchemy 2.1, psycopg_pool 3.3, uWSGI 2.0.
"""

from collections.abc import Set
from dataclasses import dataclass

from stackmatrix.catalog.stacks import Variant

# how near a measured number in flight must come to a limit; it carries the error of a throughput and of a wait
TOLERANCE = 0.05
# ends the name of an HTTP client that is made anew for every request: a pool of its own limits nobody else
PER_REQUEST = "-per-request"


@dataclass(frozen=True, slots=True)
class Default:
    """One limit, in each process, of a library that is there when any of its `packages` is."""

    library: str
    packages: str  # apart by spaces
    pool: str  # which of a stack's settings it stands for: `threads`, `db_pool`, `http_pool` or `workers`
    size: int
    noun: str
    how: str  # where the library has it: what to change


def known_defaults(cpus: int) -> tuple[Default, ...]:
    """Return the well-known limits; `cpus` are those that the process sees."""
    return (
        Default("AnyIO", "anyio starlette fastapi", "threads", 40, "thread", "to_thread's CapacityLimiter"),
        Default(
            "asyncio", "asyncio", "threads", min(32, cpus + 4), "thread", "to_thread's executor, min(32, CPUs + 4)"
        ),
        Default("Waitress", "waitress", "threads", 4, "thread", "threads"),
        Default("Gunicorn", "gunicorn", "workers", 1, "request", "workers and threads"),
        Default("uWSGI", "uwsgi pyuwsgi", "workers", 1, "request", "processes, threads and gevent"),
        Default("httpx", "httpx", "http_pool", 100, "connection", "Limits(max_connections)"),
        Default("httpx2", "httpx2", "http_pool", 100, "connection", "Limits(max_connections)"),
        Default("aiohttp", "aiohttp", "http_pool", 100, "connection", "TCPConnector(limit)"),
        Default("requests", "requests", "http_pool", 10, "connection", "HTTPAdapter(pool_maxsize)"),
        Default("asyncpg", "asyncpg", "db_pool", 10, "connection", "create_pool(max_size)"),
        Default("SQLAlchemy", "sqlalchemy", "db_pool", 15, "connection", "pool_size 5 and max_overflow 10"),
        Default("psycopg_pool", "psycopg-pool", "db_pool", 4, "connection", "ConnectionPool(min_size)"),
    )


def matching(
    count: float, pools: Set[str], libraries: Set[str], *, workers: int = 1, cpus: int = 1, tolerance: float = TOLERANCE
) -> Default | None:
    """Find the known limit nearest to `count` in flight, all workers together; each worker has its own."""
    near = [
        (abs(count / (default.size * workers) - 1), default)
        for default in known_defaults(cpus)
        if not libraries.isdisjoint(default.packages.split()) and default.pool in pools
    ]
    off, nearest = min(near, key=lambda pair: pair[0], default=(tolerance + 1, None))
    return nearest if off <= tolerance else None


def libraries(variant: Variant) -> frozenset[str]:
    """List what a variant uses: the packages it is watched for, without the HTTP clients that it did not choose."""
    stack = variant.stack
    clients = {choice.removesuffix(PER_REQUEST) for choice in stack.choices.get("http_client", ())}
    chosen = str(variant.settings.get("http_client", ""))
    used = {package.lower() for package in stack.packages} - (clients - {chosen})
    if "uvicorn-worker" in used:
        used.discard("gunicorn")  # its limit is that of its own workers, which take one request at a time
    if stack.language == "Python" and stack.concurrency == "event-loop":
        used.add("asyncio")
    return frozenset(used)
