"""HTTP/1.1 as a client on one connection: sends a request, judges the answer to the last byte, and takes its row.

An answer's head is parsed by httptools once and remembered by its bytes: servers repeat their heads, all but the
date, so most answers cost one look-up and one comparison of the body. Whatever else comes (an answer in pieces,
chunked, until close, interim, broken) takes the longer way through `_feed`.
"""

import asyncio
import os
from time import monotonic as clock
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import httptools

from stackmatrix.load.job import Prepared
from stackmatrix.load.recorder import NEVER, Ending, Recorder, pack_row

if TYPE_CHECKING:
    from stackmatrix.load.drivers import Driver

BLANK: Final = b"\r\n\r\n"
HEAD_LIMIT: Final = 1 << 16
HEADS_KEPT: Final = 4096
LONGEST_NUMBER: Final = 20
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2


class Head(NamedTuple):
    status: int
    length: int  # bytes of the body, or CHUNKED, or UNTIL_CLOSE
    keep: bool  # whether the connection stays open after it


class HeadParser:
    def __init__(self) -> None:
        self.length = UNTIL_CLOSE
        self.keep = False
        self._parser: httptools.HttpResponseParser | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read the framing from its two headers; httptools refuses both at once, and malformed ones."""
        name = name.lower()
        if name == b"content-length":
            self.length = int(value)
        elif name == b"transfer-encoding":
            self.length = CHUNKED if value.lower().endswith(b"chunked") else UNTIL_CLOSE

    def on_headers_complete(self) -> None:
        """Ask now: at the end of a message httptools forgets what its head said."""
        self.keep = self._parser is not None and self._parser.should_keep_alive()

    def parse(self, head: bytes) -> Head:
        parser = self._parser = httptools.HttpResponseParser(self)
        try:
            parser.feed_data(head)
        finally:
            self._parser = None  # a cycle, which nothing collects while load runs
        status = parser.get_status_code()
        if status < 200 or status in (204, 304):
            self.length = 0
        return Head(status, self.length, self.keep and self.length != UNTIL_CLOSE)


def parse_head(head: bytes) -> Head:
    """Parse a head, blank line included; HttpParserError when it is not HTTP/1.x, or switches to something else."""
    try:
        return HeadParser().parse(head)
    except httptools.HttpParserUpgrade as error:
        raise httptools.HttpParserError("a protocol that nobody asked for") from error


class PartialAnswer:
    """Compares an answer that comes in pieces with the right one, piece by piece, and keeps none."""

    def __init__(self, request: Prepared, head: Head) -> None:
        self.expected = request.expected
        self.head = head
        self.length = 0 if request.data.startswith(b"HEAD ") else head.length
        self.size = 0
        self.begins = 0
        self.ends = 0
        self._right = True
        self._kept: list[bytes] = []

    def on_body(self, piece: bytes) -> None:
        prefix, suffix = self.expected.prefix or b"", self.expected.suffix
        if suffix is None:
            self._right = self._right and prefix.startswith(piece, self.size)
        elif self.size <= len(prefix) + LONGEST_NUMBER + len(suffix):
            self._kept.append(piece)
        self.size += len(piece)

    def on_message_begin(self) -> None:
        """Count; a second one means bytes after the end of a chunked body."""
        self.begins += 1

    def on_message_complete(self) -> None:
        """Take note that the last chunk and the trailer of a chunked body are in."""
        self.ends += 1

    def ending(self) -> Ending:
        expected, status = self.expected, self.head.status
        if not expected.has_status(status):
            return Ending.STATUS
        if expected.suffix is not None:
            body = b"".join(self._kept)
            right = len(body) == self.size and expected.matches(status, body)
        else:
            right = expected.prefix is None or (self._right and self.size == len(expected.prefix))
        return Ending.OK if right else Ending.BODY


class Connection(asyncio.Protocol):
    """One connection, with at most one request under way.

    Requests are written straight to the socket: that costs a tenth less CPU than the transport's queue, and makes
    `sent` the instant at which the kernel takes the bytes.
    """

    __slots__ = (
        "_answer",
        "_begun",
        "_buffer",
        "_chunks",
        "_driver",
        "_fd",
        "_first",
        "_head_size",
        "_heads",
        "_recorder",
        "_rows",
        "_sent",
        "_transport",
        "answered",
        "request",
        "scheduled",
    )

    def __init__(self, driver: "Driver", recorder: Recorder, heads: dict[bytes, Head]) -> None:
        self.request: Prepared | None = None
        """The request under way; None while idle."""
        self.scheduled = NEVER
        self.answered = False
        """Whether it ever brought a whole answer."""
        self._driver = driver
        self._recorder = recorder
        self._rows = recorder.rows
        self._heads = heads
        self._transport: asyncio.Transport | None = None
        self._fd = -1
        self._sent = NEVER
        self._begun = False
        self._head_size = 0
        """Of the answer before: that of the next is likely to be as long."""
        self._first = NEVER
        self._buffer = b""
        self._answer: PartialAnswer | None = None
        self._chunks: httptools.HttpResponseParser | None = None

    @property
    def usable(self) -> bool:
        """Whether a request can be sent: not so from the moment at which the transport begins to close."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._fd = transport.get_extra_info("socket").fileno()
        self._driver.opened(self, clock())

    def send(self, request: Prepared, scheduled: float) -> None:
        self.request = request
        self.scheduled = scheduled
        data = request.data
        self._sent = clock()
        try:
            taken = os.write(self._fd, data)
        except BlockingIOError:
            taken = 0
        except OSError:  # the peer is gone: connection_lost, soon to come, takes the row
            return
        if taken != len(data) and self._transport is not None:
            self._transport.write(data[taken:])

    def data_received(self, data: bytes) -> None:
        """Judge an answer, or take a piece of one."""
        now = clock()
        request = self.request
        if request is not None and not self._begun:
            end = self._head_size
            head = self._heads.get(data[:end])
            if head is not None and head.keep and head.length == len(data) - end:
                status, body, expected = head.status, data[end:], request.expected
                # What `matches` would find first, without the call.
                if (body == expected.prefix and status == expected.status and expected.suffix is None) or (
                    expected.matches(status, body)
                ):
                    rows = self._rows
                    rows += pack_row(self.scheduled, self._sent, now, now, head.length, status, request.kind, 0)
                    self.request = None
                    self.answered = True
                    self._driver.idle(self, now)
                    return
        self._feed(data, now)

    def _feed(self, data: bytes, now: float) -> None:
        """Take the longer way, for every answer that is not known, whole and right."""
        if self.request is None:
            self._recorder.strays += 1
            self._close()
            self._driver.gone(self, now, failed=True)
            return
        if not self._begun:
            self._begun = True
            self._first = now
        try:
            if self._answer is None:
                data = self._take_head(self._buffer + data, self.request)
            if self._answer is not None:
                self._take_body(self._answer, data, now)
        except httptools.HttpParserError:
            self.fail(Ending.PROTOCOL, now)

    def _take_head(self, data: bytes, request: Prepared) -> bytes:
        """Set `_answer` once the final head is in, and return what follows it."""
        while True:
            end = data.find(BLANK) + 4
            if end < 4:
                if len(data) > HEAD_LIMIT or not (data.startswith(b"HTTP/1.") or b"HTTP/1.".startswith(data)):
                    raise httptools.HttpParserError("not a head")
                self._buffer = data
                return b""
            raw, data = data[:end], data[end:]
            head = self._heads.get(raw)
            if head is None:
                if len(self._heads) >= HEADS_KEPT:
                    self._heads.clear()
                head = self._heads[raw] = parse_head(raw)
            if head.status >= 200:
                break
        self._buffer = b""
        self._head_size = len(raw)
        self._answer = PartialAnswer(request, head)
        if self._answer.length == CHUNKED:
            self._chunks = httptools.HttpResponseParser(self._answer)
            self._chunks.feed_data(raw)
        return data

    def _take_body(self, answer: PartialAnswer, data: bytes, now: float) -> None:
        if answer.length == CHUNKED:
            if self._chunks is not None and data:
                self._chunks.feed_data(data)
            whole, excess = answer.ends > 0, answer.begins > 1
        else:
            answer.on_body(data)
            whole, excess = answer.size == answer.length, answer.size > answer.length >= 0
        if excess:
            self.fail(Ending.PROTOCOL, now)
        elif whole:
            self._finish(answer, now, keep=answer.head.keep)

    def _finish(self, answer: PartialAnswer, now: float, *, keep: bool) -> None:
        self.answered = True
        self._take_row(answer.ending(), now)
        if keep:
            self._driver.idle(self, now)
        else:
            self._close()
            self._driver.gone(self, now, failed=False)

    def fail(self, ending: Ending, now: float) -> None:
        """Give the request under way up: take its row, close the connection, tell the driver."""
        self._take_row(ending, now)
        self._close()
        self._driver.gone(self, now, failed=True)

    def leave(self) -> None:
        """Close the connection for good, without telling the driver; a request under way stays unfinished."""
        if self.request is not None:
            self._take_row(Ending.UNFINISHED, NEVER)
        self._close()

    def _take_row(self, ending: Ending, end: float) -> None:
        request, answer = self.request, self._answer
        assert request is not None
        size, status = (answer.size, answer.head.status) if answer is not None else (0, 0)
        self._recorder.take(ending, request.kind, self.scheduled, self._sent, self._first, end, size, status)
        self.request = self._answer = self._chunks = None
        self._begun, self._first, self._buffer = False, NEVER, b""

    def eof_received(self) -> None:
        """End an answer without a length, and any other connection: the peer sends no more."""
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:  # it was closed here, or this was known since the end of file
            return
        now, answer = clock(), self._answer
        self._close()
        if self.request is None:
            self._driver.gone(self, now, failed=False)
        elif answer is not None and answer.length == UNTIL_CLOSE and exc is None:
            self._finish(answer, now, keep=False)
        else:
            self.fail(Ending.CLOSED, now)

    def _close(self) -> None:
        """Close the socket at once; the transport's own callbacks come later and are ignored."""
        if self._transport is not None:
            self._transport.abort()
        self._transport, self._fd = None, -1
