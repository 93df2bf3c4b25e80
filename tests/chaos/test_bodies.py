"""Clients that send half a body and nothing more keep no stack from answering the others."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from stackmatrix.catalog.stacks import Variant, load_stacks
from stackmatrix.runtime.base import Service
from stackmatrix.runtime.native import NativeRuntime

STACKS = load_stacks()
SENDERS = 200
SOON_S = 2.0  # they take some ms; the machine is shared
HALF = b'{"title":'
HEADS = {
    "a length": b"Content-Length: 40\r\n\r\n" + HALF,
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n9\r\n" + HALF + b"\r\n",
    "more than is taken": b"Content-Length: 999999\r\n\r\n" + HALF,
}

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def runtime() -> Iterator[NativeRuntime]:
    """All stacks, brought up once."""
    with NativeRuntime(print) as native:
        native.up(STACKS.values())
        yield native


def get(service: Service) -> bytes:
    """The status line of the answer to a GET; TimeoutError when it does not come soon."""
    with socket.create_connection((service.host, service.port), timeout=SOON_S) as connection:
        connection.sendall(b"GET /notes/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return connection.recv(4096).partition(b"\r\n")[0]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", STACKS)
def test_half_sent_bodies_keep_nobody_waiting(runtime: NativeRuntime, name: str, head: str) -> None:
    with runtime.service(Variant(STACKS[name], {})) as service, contextlib.ExitStack() as held:
        for _ in range(SENDERS):
            sender = held.enter_context(socket.create_connection((service.host, service.port)))
            sender.sendall(b"POST /notes/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + HEADS[head])
        time.sleep(0.5)
        assert [get(service) for _ in range(3)] == [b"HTTP/1.1 200 OK"] * 3
