"""Server-Timing, when SERVER_TIMING asks for it: where the time of a request went, from its entry into the application.

gather  waiting for timers, upstreams and disk
db      waiting for the database, and for a connection to it
encode  making the response's body
lag     no part of the request: how late gevent's event loop has lately been for a timer
total   until the start of the response
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter

import gevent
from flask import Flask, Response, g

from settings import SETTINGS

LAG_EVERY, LAG_OVER = 0.02, 1.0  # seconds: the timer that is awaited, and the time over which its lateness is averaged
lag = 0.0


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
        phases = {**g.phases, "lag": lag, "total": perf_counter() - g.started}
        text = ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in phases.items())
        response.headers["Server-Timing"] = text
        return response


def watch_lag() -> None:
    """Keeps a moving mean of the lateness, in which the last second has most of the weight."""
    global lag
    while True:
        started = perf_counter()
        gevent.sleep(LAG_EVERY)
        took = perf_counter() - started
        lag += (took - LAG_EVERY - lag) * min(1, took / LAG_OVER)
