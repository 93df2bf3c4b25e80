"""The application as uWSGI runs it: here is done what its gevent loop and its HTTP router leave undone."""

import gc
import io
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import uwsgi
from gevent.lock import Semaphore
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.utils import get_content_length
from werkzeug.wsgi import ClosingIterator

from app import app
from contract import MAX_BODY
from settings import SETTINGS
from timing import watch_lag

SOCKETS = Path("/proc/net/unix")
CHECK_EVERY = 0.05  # seconds


class ChunkedInput(io.RawIOBase):
    """A body in chunks, which uWSGI hands out, but not through wsgi.input."""

    chunk = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            self.chunk = self.chunk or uwsgi.chunked_read()
        except OSError:
            raise RequestEntityTooLarge("a chunk is too large or broken") from None
        size = min(len(buffer), len(self.chunk))
        buffer[:size], self.chunk = self.chunk[:size], self.chunk[size:]
        return size


class BodyAhead(io.RawIOBase):
    """A body of which all that the application may read has come, or will not: it waits for nothing more."""

    failure: Exception | None = None

    def __init__(self, rest: Any) -> None:
        self.rest, self.came = rest, bytearray()
        try:
            while len(self.came) <= MAX_BODY and (piece := rest.read(MAX_BODY + 1 - len(self.came))):
                self.came += piece
        except (OSError, RequestEntityTooLarge) as error:
            self.failure = error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self.came and self.failure is not None:
            raise self.failure
        data = bytes(self.came[: len(buffer)]) or self.rest.read(len(buffer))
        del self.came[: len(data)]
        buffer[: len(data)] = data
        return len(data)


class Worker:
    """A worker process: takes requests while it has greenlets, and ends when those that came are answered.

    The router passes a body on as it comes. A request takes its turn when its body is there, so that those who send
    slowly keep no turn from the others.
    """

    def __init__(self) -> None:
        self.taken, self.greenlets = 0, int(uwsgi.opt["gevent"])
        self.turns = Semaphore(SETTINGS["greenlets"])
        self.draining = False
        # The router's socket; uWSGI closes the worker's copy of it, but not one made here, in the master.
        self.router = socket.socket(fileno=os.dup(int(uwsgi.opt["http"].removeprefix(b"fd://"))))
        uwsgi.post_fork_hook = partial(gevent.spawn, self.start)

    def start(self) -> None:
        """Runs as soon as uWSGI's loop does."""
        # While all greenlets are taken uWSGI leaves the socket readable, and its loop spins on it at a full core.
        # The plugin keeps the watcher to itself, so it is looked for among all objects.
        kind = type(gevent.get_hub().loop.io(0, 1))
        self.accept = next(o for o in gc.get_objects() if isinstance(o, kind) and o.fd == uwsgi.sockets[0])
        self.accept_callback = self.accept.callback, *self.accept.args
        # Replaces the plugin's handler, which would take no request any more from the queue of its socket.
        signal.signal(signal.SIGHUP, lambda *_: gevent.spawn(self.drain))
        if SETTINGS["server_timing"]:
            gevent.spawn(watch_lag)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Runs the application; `finish` runs when the answer is written."""
        self.taken += 1
        chunked = environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked" and "CONTENT_LENGTH" not in environ
        if chunked:
            environ["wsgi.input"] = ChunkedInput()
            environ["wsgi.input_terminated"] = True
        length = get_content_length(environ.get("CONTENT_LENGTH")) or 0
        if chunked or 0 < length <= MAX_BODY + 1:  # a longer one is refused unread
            self.accept_while_free()
            environ["wsgi.input"] = BodyAhead(environ["wsgi.input"])
        self.turns.acquire()
        self.accept_while_free()

        def respond(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            # The router ends a connection whose body had chunks, and one whose body it could not pass on in full.
            if self.draining or chunked or status.startswith("413"):
                headers.append(("Connection", "close"))
            return start_response(status, headers, *error)

        return ClosingIterator(app(environ, respond), partial(self.finish, environ))

    def accept_while_free(self) -> None:
        """Requests queue in the kernel while all turns are taken, or all of uWSGI's greenlets."""
        if self.turns.locked() or self.taken == self.greenlets:
            self.accept.stop()
        elif not self.accept.active:
            self.accept.start(*self.accept_callback)

    def finish(self, environ: dict[str, Any]) -> None:
        """What uWSGI closes after this, it must have read to the end, else the router drops the answer."""
        self.turns.release()
        self.accept_while_free()
        if "CONTENT_LENGTH" in environ or "wsgi.input_terminated" in environ:
            with suppress(OSError, RequestEntityTooLarge):
                while environ["wsgi.input"].read(65536):
                    pass
        if self.draining:
            # The router comes to the end of the answer, and closes, when it has passed everything on.
            with socket.socket(fileno=os.dup(uwsgi.connection_fd())) as connection, suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)
        self.taken -= 1
        self.accept_while_free()

    def drain(self) -> None:
        """Answers what has come, refuses the rest, and ends the worker."""
        self.draining = True
        for _ in range(20):  # then it is a flood, not a queue
            if not waiting_connections(self.router):
                break
            gevent.sleep(CHECK_EVERY)
        with suppress(OSError):  # another worker was first
            self.router.shutdown(socket.SHUT_RD)
        quiet = 0
        while quiet < 2:  # at the first look the router may be about to read a request
            gevent.sleep(CHECK_EVERY)
            quiet = 0 if router_is_connected() else quiet + 1
        os.kill(os.getpid(), signal.SIGTERM)


def waiting_connections(listener: socket.socket) -> int:
    """How many connections the kernel has made that nobody has accepted: for a listener, tcp_info's tcpi_unacked."""
    return int.from_bytes(listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)[24:], sys.byteorder)


def router_is_connected() -> bool:
    """Whether the router has a connection to a worker, be it still in the queue: one request is one connection."""
    name = uwsgi.opt["socket"].decode() + "@"  # uWSGI ends the name with NUL, which the table shows like this
    sockets = (line.split() for line in SOCKETS.read_text().splitlines())
    return any(state in ("02", "03") and path == [name] for _, _, _, _, _, state, _, *path in sockets)


application = Worker()
