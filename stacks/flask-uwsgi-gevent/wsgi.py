"""The application as uWSGI runs it: what its gevent loop and its HTTP router leave undone is done here."""

import gc
import io
import os
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import gevent
import uwsgi
from flask import Response
from werkzeug.wsgi import ClosingIterator

from app import app
from settings import SETTINGS

SOCKET = uwsgi.opt["socket"].decode()
CHECK_EVERY = 0.05  # seconds


class ChunkedInput(io.RawIOBase):
    """A body in chunks; uWSGI gives them to those who ask, but not through wsgi.input."""

    rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.rest = self.rest or uwsgi.chunked_read()
        size = min(len(buffer), len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        return size


class Worker:
    """One worker process: counts its requests, reads what they left unread, and ends only when all are answered."""

    def __init__(self) -> None:
        self.active = 0
        self.draining = False
        # The worker loses the router's socket when it is forked, but this is the master.
        self.listener = socket.socket(fileno=os.dup(int(uwsgi.opt["http"].decode().removeprefix("fd://"))))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.active += 1
        if self.active == SETTINGS["greenlets"]:
            self.watcher.stop()
        if "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = ChunkedInput()
            environ["wsgi.input_terminated"] = True
        return ClosingIterator(app(environ, start_response), partial(self.finish, environ))

    def finish(self, environ: dict[str, Any]) -> None:
        """The answer is written; uWSGI closes the connection to the router next."""
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            # If it closed with a body unread, the router would drop the answer.
            with suppress(OSError):
                while environ["wsgi.input"].read(65536):
                    pass
        if self.draining:
            # The router reads the end of an answer when it has passed on the rest, and closes then.
            with suppress(OSError), socket.socket(fileno=os.dup(uwsgi.connection_fd())) as connection:
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)
        self.active -= 1
        if not self.watcher.active:
            self.watcher.start(*self.accept)

    def start(self) -> None:
        """Runs when uWSGI's loop does."""
        kind = type(gevent.get_hub().loop.io(0, 1))
        self.watcher = next(w for w in gc.get_objects() if isinstance(w, kind) and w.fd == uwsgi.sockets[0])
        self.accept = self.watcher.callback, *self.watcher.args
        signal.signal(signal.SIGHUP, lambda *_: gevent.spawn(self.drain))

    def drain(self) -> None:
        """Answers what was received, refuses the rest, then ends the worker, and with it uWSGI."""
        self.draining = True
        app.after_request_funcs.setdefault(None, []).append(close_connection)
        with suppress(OSError):  # another worker was first
            self.listener.shutdown(socket.SHUT_RD)
        while open_connections():
            gevent.sleep(CHECK_EVERY)
        os.kill(os.getpid(), signal.SIGTERM)


def close_connection(response: Response) -> Response:
    """No further request on this connection."""
    response.headers["Connection"] = "close"
    return response


def open_connections() -> bool:
    """Whether the router is connected to a worker: accepted or still in the queue, for a request or its answer."""
    with open("/proc/net/unix") as table:
        return any(line.split()[5] in ("02", "03") and line.split()[7:] == [SOCKET + "@"] for line in table)


application = Worker()
uwsgi.post_fork_hook = partial(gevent.spawn, application.start)
