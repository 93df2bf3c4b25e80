"""The client against a peer on a real socket that plays given bytes: it takes nothing malformed for an answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stackmatrix.catalog.stacks import Variant, load_stacks
from stackmatrix.contract.client import Client, NoAnswer, Response, together
from stackmatrix.http import Request
from stackmatrix.runtime.base import Service

GET = Request("GET", "/")


@contextmanager
def peer(*plays: bytes) -> Iterator[Service]:
    """Listens on loopback; plays the first bytes to its first connection, and so on, after one read each."""
    stack = next(iter(load_stacks().values()))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def play() -> None:
            for text in plays:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(text)

        thread = threading.Thread(target=play)
        thread.start()
        yield Service(Variant(stack, {}), *listener.getsockname())
        thread.join()


def answer(play: bytes) -> Response:
    """What the client makes of these bytes."""
    with peer(play) as service, Client(service, timeout_s=2) as connection:
        return connection.ask(GET)


def test_three_ways_to_end_a_body() -> None:
    for play in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
    ):
        assert answer(play).body == b"hello"


def test_interim_answers_are_skipped() -> None:
    assert answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\nX-Twice: a\r\nX-Twice: b\r\n\r\n") == Response(
        204, (("x-twice", "a"), ("x-twice", "b")), b""
    )


@pytest.mark.parametrize(
    ("play", "words"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhello", "4 bytes follow"),
        (b"HTTP/1.1 204 No Content\r\n\r\nnull", "4 bytes follow"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "malformed Content-Length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "malformed chunk"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "malformed header"),
        (b"hello\r\n", "malformed status line"),
    ],
)
def test_what_is_no_answer(play: bytes, words: str) -> None:
    with pytest.raises(NoAnswer, match=words):
        answer(play)


def test_replies_come_in_the_order_of_the_requests() -> None:
    plays = [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % i for i in range(3)]
    with peer(*plays) as service:
        outcomes = [reply.outcome for reply in together(service, [GET] * 3)]
    assert [outcome.body for outcome in outcomes if isinstance(outcome, Response)] == [b"0", b"1", b"2"]
