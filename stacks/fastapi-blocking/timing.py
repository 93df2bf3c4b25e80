"""Server-Timing, when SERVER_TIMING asks for it: where the time of a request went."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from settings import SETTINGS

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
        phases.get()["encode"] = -perf_counter()


class ServerTiming:
    """Middleware that tells a request's phases, in milliseconds, in a header of the response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        spent: dict[str, float] = {}
        phases.set(spent)

        async def send_timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                now = perf_counter()
                if "encode" in spent:
                    spent["encode"] += now
                spent["total"] = now - started
                text = ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in spent.items())
                message["headers"].append((b"server-timing", text.encode()))
            await send(message)

        await self.app(scope, receive, send_timed)
