"""HTTP/1.1 on a socket, byte for byte: a check can send what no polite client would, and sees all that comes back."""

import re
import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from stackmatrix.http import Headers, Request
from stackmatrix.runtime.base import Service

TIMEOUT_S = 15.0


class NoAnswer(Exception):  # noqa: N818 - a value as often as an exception
    """The connection gave no complete, well-formed answer; the message says what it did instead."""


class HungUp(NoAnswer):
    """The server closed the connection."""


@dataclass(frozen=True)
class Response:
    """A complete answer; header names are in lower case."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """Join all values of one header by commas; None when it is absent."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None


@dataclass(frozen=True)
class Reply:
    """What one of several simultaneous requests got, and how long after all had been sent."""

    outcome: Response | NoAnswer
    seconds: float


class Client(AbstractContextManager["Client"]):
    """One connection, kept alive for as long as the server does."""

    def __init__(self, service: Service, timeout_s: float = TIMEOUT_S) -> None:
        self._host = f"{service.host}:{service.port}"
        self._timeout_s = timeout_s
        self._received = bytearray()
        try:
            self.socket = socket.create_connection((service.host, service.port), timeout_s)
        except OSError as error:
            raise NoAnswer(f"could not connect: {error}") from None
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def ask(self, request: Request) -> Response:
        """Send one request and wait for its answer; NoAnswer when none comes."""
        self.send(request)
        return self.answer()

    def send(self, request: Request) -> None:
        """Send one request; a server that has already answered and hung up is no error yet."""
        try:
            self.socket.sendall(request.encode(self._host))
        except TimeoutError:
            raise NoAnswer(f"did not read the request within {self._timeout_s:g} s") from None
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer may still be there to read, such as the 413 to a body not read to its end

    def answer(self) -> Response:
        """Read the next answer; NoAnswer when the connection ends, stalls, or brings something else."""
        status = 100
        while 100 <= status < 200:
            status = self._status()
            headers = self._headers()
        answer = Response(status, headers, b"")
        answer = Response(status, headers, self._body(answer))
        if self._received:
            raise NoAnswer(f"{len(self._received)} bytes follow an answer with status {status}")
        return answer

    def _status(self) -> int:
        line = self._line()
        match = re.fullmatch(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?", line)
        if not match:
            raise NoAnswer(f"malformed status line {line[:80]!r}")
        return int(match[1])

    def _headers(self) -> Headers:
        found = []
        while line := self._line():
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or name != name.strip():
                raise NoAnswer(f"malformed header {line[:80]!r}")
            found.append((name.lower(), value.strip()))
        return tuple(found)

    def _body(self, answer: Response) -> bytes:
        if answer.status in (204, 304):
            return b""
        if (answer.header("transfer-encoding") or "").lower() == "chunked":
            return self._chunks()
        length = answer.header("content-length")
        if length is None:
            return self._rest()
        if not re.fullmatch("[0-9]+", length):
            raise NoAnswer(f"malformed Content-Length {length!r}")
        return self._exactly(int(length))

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            line = self._line()
            if not re.fullmatch(rb"[0-9a-fA-F]+(;.*)?", line):
                raise NoAnswer(f"malformed chunk size {line[:80]!r}")
            size = int(line.partition(b";")[0], 16)
            body += self._exactly(size)
            if self._line():
                raise NoAnswer("malformed end of a chunk")
            if not size:
                return bytes(body)

    def _line(self) -> bytes:
        while (end := self._received.find(b"\r\n")) < 0:
            self._more()
        line = bytes(self._received[:end])
        del self._received[: end + 2]
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _rest(self) -> bytes:
        try:
            while True:
                self._more()
        except HungUp:  # an answer without a declared length ends with its connection
            taken = bytes(self._received)
            self._received.clear()
            return taken

    def _more(self) -> None:
        try:
            received = self.socket.recv(65_536)
        except TimeoutError:
            raise NoAnswer(f"nothing within {self._timeout_s:g} s") from None
        except OSError as error:
            raise NoAnswer(f"the connection broke: {error.strerror or error}") from None
        if not received:
            raise HungUp("the connection was closed without a complete answer")
        self._received += received


def ask_once(service: Service, request: Request, timeout_s: float = TIMEOUT_S) -> Response:
    """Send one request on a connection of its own; NoAnswer when no answer comes."""
    with Client(service, timeout_s) as connection:
        return connection.ask(request)


class Flight(AbstractContextManager["Flight"]):
    """Requests that are under way at the same time, each on a connection of its own."""

    def __init__(self, service: Service, requests: Sequence[Request], timeout_s: float = TIMEOUT_S) -> None:
        self._connections: list[Client] = []
        try:
            for _ in requests:
                self._connections.append(Client(service, timeout_s))
        except NoAnswer:
            self.close()
            raise
        self._timeout_s = timeout_s
        self._started = time.perf_counter()
        for connection, request in zip(self._connections, requests, strict=True):
            connection.send(request)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def land(self) -> list[Reply]:
        """Wait for every answer; replies are in the order of the requests."""
        replies: dict[int, Reply] = {}
        with selectors.DefaultSelector() as waiting:
            for index, connection in enumerate(self._connections):
                waiting.register(connection.socket, selectors.EVENT_READ, index)
            while waiting.get_map():
                ready = waiting.select(self._started + self._timeout_s - time.perf_counter())
                if not ready:
                    break
                for key, _ in ready:
                    waiting.unregister(key.fileobj)
                    replies[key.data] = self._reply(self._connections[key.data])
        late = Reply(NoAnswer(f"nothing within {self._timeout_s:g} s"), self._timeout_s)
        return [replies.get(index, late) for index in range(len(self._connections))]

    def _reply(self, connection: Client) -> Reply:
        outcome: Response | NoAnswer
        try:
            outcome = connection.answer()
        except NoAnswer as error:
            outcome = error
        return Reply(outcome, time.perf_counter() - self._started)


def together(service: Service, requests: Sequence[Request], timeout_s: float = TIMEOUT_S) -> list[Reply]:
    """Send all requests at the same time and wait for every answer; NoAnswer when a connection is refused."""
    with Flight(service, requests, timeout_s) as flight:
        return flight.land()
