"""Server-Timing, when SERVER_TIMING asks for it: where the time of a request went."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter

from flask import Flask, Response, g

from settings import SETTINGS


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
        g.phases[name] = g.phases.get(name, 0) + perf_counter() - started


def tell_phases(app: Flask) -> None:
    """Makes the application tell a request's phases, in milliseconds, in a header of the response."""

    @app.before_request
    def start() -> None:
        g.started, g.phases = perf_counter(), {}

    @app.after_request
    def tell(response: Response) -> Response:
        phases = {**g.phases, "total": perf_counter() - g.started}
        text = ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in phases.items())
        response.headers["Server-Timing"] = text
        return response
