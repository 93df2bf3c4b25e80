"""Server-Timing, when SERVER_TIMING asks for it: where the time of a request went, from its entry into the application.

queue   waiting for a thread: before a `def` endpoint, and again before what it returned is validated
gather  waiting for timers, upstreams and disk
db      waiting for the database, and for a connection to it
encode  from the endpoint's answer to the start of the response, without waiting for a thread
lag     no part of the request: how late the event loop has lately been for a timer
total   until the start of the response
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from time import perf_counter
from typing import Any

import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from settings import SETTINGS

LAG_EVERY, LAG_OVER = 0.02, 1.0  # seconds: the timer that is awaited, and the time over which its lateness is averaged

phases: ContextVar[dict[str, float]] = ContextVar("phases")


def phase(name: str) -> AbstractContextManager[None]:
    """Adds the time of its block to a phase of the request."""
    return timed(name) if SETTINGS["server_timing"] else nullcontext()


@contextmanager
def timed(name: str) -> Iterator[None]:
    """The block that `phase` times."""
    started = perf_counter()
    try:
        yield
    finally:
        phases.get()[name] = phases.get().get(name, 0) + perf_counter() - started


def encoding() -> None:
    """Begins the phase that ends when the response starts."""
    if SETTINGS["server_timing"]:
        spent = phases.get()
        spent["encode"] = spent.get("queue", 0) - perf_counter()


run_sync = anyio.to_thread.run_sync


async def run_sync_timed(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Runs the function in a thread, as AnyIO does, and adds to a phase how long it waited for one."""
    asked = perf_counter()

    def begin() -> Any:
        spent = phases.get({})  # none outside of a request
        spent["queue"] = spent.get("queue", 0) + perf_counter() - asked
        return function(*args)

    return await run_sync(begin, **options)


class ServerTiming:
    """Middleware that tells a request's phases, in milliseconds, in a header of the response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.lag = 0.0
        anyio.to_thread.run_sync = run_sync_timed  # where Starlette and FastAPI look it up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            watching = asyncio.create_task(self.watch_lag())
            await self.app(scope, receive, send)
            watching.cancel()
            return
        started = perf_counter()
        spent: dict[str, float] = {}
        phases.set(spent)

        async def send_timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                now = perf_counter()
                if "encode" in spent:
                    spent["encode"] += now - spent.get("queue", 0)
                spent["lag"] = self.lag
                spent["total"] = now - started
                text = ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in spent.items())
                message["headers"].append((b"server-timing", text.encode()))
            await send(message)

        await self.app(scope, receive, send_timed)

    async def watch_lag(self) -> None:
        """Keeps a moving mean of the lateness, in which the last second has most of the weight."""
        while True:
            started = perf_counter()
            await asyncio.sleep(LAG_EVERY)
            took = perf_counter() - started
            self.lag += (took - LAG_EVERY - self.lag) * min(1, took / LAG_OVER)
