"""HTTP/1.1 on one connection: every framing, and every way to fail, against servers that behave so."""

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from stackmatrix.http import Expected, Request
from stackmatrix.load import records
from stackmatrix.load.drivers import driver
from stackmatrix.load.job import Closed, LoadJob, RequestKind
from stackmatrix.load.recorder import Ending, Recorder
from stackmatrix.load.records import Records
from stackmatrix.load.wire import CHUNKED, UNTIL_CLOSE, Head, parse_head

from .scripted import Handler, Reader, Writer, answering, request, server

HELLO = Request("GET", "/", expected=Expected(200, b"hello"))
OK_HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED_HELLO = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"


def wants(status: int, prefix: bytes | None, suffix: bytes | None = None) -> Request:
    """A GET with another right answer."""
    return Request("GET", "/", expected=Expected(status, prefix, suffix))


LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    """Both event loops that the worker may run on."""
    factory: LoopFactory = request.param
    return factory


def converse(
    handler: Handler,
    wanted: Request,
    tmp_path: Path,
    loop_factory: LoopFactory,
    count: int = 3,
    timeout_s: float = 5,
) -> tuple[Records, int]:
    """Have one user ask at least so often, and return its records and how many connections that took."""

    async def load(port: int) -> int:
        kind = RequestKind("k", (wanted,))
        plan = LoadJob(host="h", port=port, kinds=(kind,), load=Closed(1), duration_s=1, timeout_s=timeout_s)
        recorder = Recorder(tmp_path / "r.npy")
        users = driver(plan, "127.0.0.1", recorder, 0, 1)
        await users.prepare()
        users.start(asyncio.get_running_loop().time())
        async with asyncio.timeout(20):
            while recorder.count < count:
                await asyncio.sleep(0.002)
        users.finish()
        recorder.close()
        return users.opened_count

    with server(handler) as port, asyncio.Runner(loop_factory=loop_factory) as runner:
        opened = runner.run(load(port))
    return records.read_records(tmp_path / "r.npy"), opened


RIGHT = {
    "length": (answering(OK_HELLO), HELLO),
    "in pieces": (answering(*(OK_HELLO[i : i + 9] for i in range(0, len(OK_HELLO), 9))), HELLO),
    "byte by byte": (answering(*(bytes([byte]) for byte in OK_HELLO), apart_s=0.002), HELLO),
    "chunked": (answering(CHUNKED_HELLO), HELLO),
    "chunked in pieces": (answering(CHUNKED_HELLO[:50], CHUNKED_HELLO[50:56], CHUNKED_HELLO[56:]), HELLO),
    "chunked with a trailer": (answering(CHUNKED_HELLO[:-2] + b"A: b\r\n\r\n"), HELLO),
    "header names in any case": (answering(OK_HELLO.replace(b"Content-Length", b"content-LENGTH")), HELLO),
    "no content": (answering(b"HTTP/1.1 204 No Content\r\n\r\n"), wants(204, b"")),
    "not modified": (answering(b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n"), wants(304, b"")),
    "head": (answering(OK_HELLO[:-5]), Request("HEAD", "/", expected=Expected(200, b""))),
    "interim": (answering(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK_HELLO), HELLO),
    "interim apart": (answering(b"HTTP/1.1 100 Continue\r\n\r\n", OK_HELLO), HELLO),
    "empty": (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), wants(200, b"")),
    "any body": (answering(OK_HELLO), wants(0, None)),
    "any 2xx": (answering(OK_HELLO.replace(b"200", b"226")), wants(0, b"hello")),
    "digits": (answering(OK_HELLO.replace(b"hello", b'{"9"}')), wants(200, b'{"', b'"}')),
    "digits in pieces": (answering(OK_HELLO[:-5] + b'{"', b'9"}'), wants(200, b'{"', b'"}')),
    "large": (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"0123456789" * 200_000),
        wants(200, b"0123456789" * 200_000),
    ),
}


@pytest.mark.parametrize("case", RIGHT)
def test_right_answers_keep_the_connection(case: str, tmp_path: Path, loop_factory: LoopFactory) -> None:
    handler, wanted = RIGHT[case]
    expected = wanted.expected
    found, opened = converse(handler, wanted, tmp_path, loop_factory)
    found = found[found["verdict"] != Ending.UNFINISHED]
    assert set(found["verdict"]) == {Ending.OK}
    assert opened == 1
    assert (found["scheduled"] <= found["sent"]).all()
    assert (found["sent"] < found["first_byte"]).all()
    assert (found["first_byte"] <= found["end"]).all()
    assert expected.suffix is not None or expected.prefix is None or set(found["bytes"]) == {len(expected.prefix)}


CLOSING = {
    "connection: close": answering(OK_HELLO.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"), close=True),
    "http/1.0": answering(OK_HELLO.replace(b"1.1", b"1.0"), close=True),
    "until close": answering(b"HTTP/1.1 200 OK\r\n\r\nhello", close=True),
    "until close, in pieces": answering(b"HTTP/1.1 200 OK\r\n\r\nhe", b"llo", close=True),
    "between requests": answering(OK_HELLO, close=True),
    "chunked": answering(CHUNKED_HELLO.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"), close=True),
}


@pytest.mark.parametrize("case", [case for case in CLOSING if case != "between requests"])
def test_a_connection_that_is_closed_after_its_answer_is_replaced(
    case: str, tmp_path: Path, loop_factory: LoopFactory
) -> None:
    found, opened = converse(CLOSING[case], HELLO, tmp_path, loop_factory)
    assert set(found["verdict"]) == {Ending.OK} or found["verdict"][-1] == Ending.UNFINISHED
    assert 0 <= opened - (found["verdict"] == Ending.OK).sum() <= 1


async def reset(reader: Reader, writer: Writer) -> None:
    """Read a request and reset the connection."""
    await request(reader)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER of 0 seconds
    writer.transport.abort()


async def silent(reader: Reader, writer: Writer) -> None:
    """Read and never answer."""
    while await request(reader):
        pass


LONG_HEAD = b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000

WRONG = {
    "status": (answering(OK_HELLO.replace(b"200", b"503")), HELLO, Ending.STATUS),
    "not 2xx": (answering(OK_HELLO.replace(b"200", b"301")), wants(0, None), Ending.STATUS),
    "body": (answering(OK_HELLO.replace(b"hello", b"jello")), HELLO, Ending.BODY),
    "shorter body": (answering(OK_HELLO.replace(b"5", b"4")[:-1]), HELLO, Ending.BODY),
    "longer body": (answering(OK_HELLO.replace(b"5", b"6") + b"!"), HELLO, Ending.BODY),
    "body in pieces": (answering(OK_HELLO[:-1], b"a"), HELLO, Ending.BODY),
    "chunked body": (answering(CHUNKED_HELLO.replace(b"llo", b"lla")), HELLO, Ending.BODY),
    "no digits": (answering(OK_HELLO), wants(200, b"hel", b"lo"), Ending.BODY),
    "letters for digits": (answering(OK_HELLO), wants(200, b"he", b"o"), Ending.BODY),
    "prefix and suffix overlap": (answering(OK_HELLO), wants(200, b"hell", b"llo"), Ending.BODY),
    "no digits at all": (answering(OK_HELLO), wants(200, b"hello", b""), Ending.BODY),
    "more than the digits": (
        answering(OK_HELLO.replace(b"5", b"28")[:-5] + b"{", b"1" * 25 + b"}", b"!"),
        wants(200, b"{", b"}"),
        Ending.BODY,
    ),
    "truncated": (answering(OK_HELLO[:-1], close=True), HELLO, Ending.CLOSED),
    "truncated head": (answering(OK_HELLO[:20], close=True), HELLO, Ending.CLOSED),
    "truncated chunk": (answering(CHUNKED_HELLO[:-8], close=True), HELLO, Ending.CLOSED),
    "no answer": (answering(close=True), HELLO, Ending.CLOSED),
    "reset": (reset, HELLO, Ending.CLOSED),
    "longer than it says": (answering(OK_HELLO + b"!"), HELLO, Ending.PROTOCOL),
    "longer than its chunks": (answering(CHUNKED_HELLO + b"HTTP/1.1 200 OK\r\n"), HELLO, Ending.PROTOCOL),
    "no http": (answering(b"220 smtp.example ESMTP\r\n"), HELLO, Ending.PROTOCOL),
    "bad length": (answering(OK_HELLO.replace(b"5", b"five")), HELLO, Ending.PROTOCOL),
    "two lengths": (answering(OK_HELLO.replace(b"OK\r\n", b"OK\r\nContent-Length: 4\r\n")), HELLO, Ending.PROTOCOL),
    "length and chunks": (answering(CHUNKED_HELLO.replace(b"OK", b"OK\r\nContent-Length: 5")), HELLO, Ending.PROTOCOL),
    "bad chunk": (answering(CHUNKED_HELLO.replace(b"\r\n3\r\n", b"\r\nx\r\n")), HELLO, Ending.PROTOCOL),
    "endless head": (answering(LONG_HEAD), HELLO, Ending.PROTOCOL),
    "upgrade": (answering(b"HTTP/1.1 101 X\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n"), HELLO, Ending.PROTOCOL),
    "silence": (silent, HELLO, Ending.TIMEOUT),
    "stops half way": (answering(OK_HELLO[:-1]), HELLO, Ending.TIMEOUT),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_answers_are_told_apart(case: str, tmp_path: Path, loop_factory: LoopFactory) -> None:
    handler, wanted, verdict = WRONG[case]
    limit_s = 0.3 if verdict == Ending.TIMEOUT else 10.0  # long enough for a busy machine
    found, opened = converse(handler, wanted, tmp_path, loop_factory, count=2, timeout_s=limit_s)
    found = found[:2]
    assert found["verdict"].tolist() == [verdict] * 2
    assert (opened == 1) == (verdict in (Ending.STATUS, Ending.BODY))
    assert (found["end"] > found["sent"]).all()
    if verdict == Ending.TIMEOUT:
        assert (found["end"] - found["scheduled"] >= limit_s).all()


def test_bytes_that_nobody_asked_for_end_the_connection(tmp_path: Path, loop_factory: LoopFactory) -> None:
    found, opened = converse(answering(OK_HELLO, b"!"), HELLO, tmp_path, loop_factory, count=4)
    assert found["verdict"][0] == Ending.OK
    assert Ending.PROTOCOL in found["verdict"]  # with a request under way they are taken for its answer
    assert opened > 1


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_a_large_request_arrives_whole(loop: LoopFactory, tmp_path: Path) -> None:
    body = b"0123456789" * 400_000

    async def echo(reader: Reader, writer: Writer) -> None:
        while got := await request(reader):
            sent = got.partition(b"\r\n\r\n")[2]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(sent) + sent)

    wanted = Request("POST", "/", body, expected=Expected(200, body))
    found, _ = converse(echo, wanted, tmp_path, loop)
    assert found["verdict"][:3].tolist() == [Ending.OK] * 3


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", Head(200, 12, True)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Head(200, CHUNKED, True)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Head(200, CHUNKED, True)),
        (b"HTTP/1.1 200 OK\r\n\r\n", Head(200, UNTIL_CLOSE, False)),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", Head(200, 1, False)),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", Head(200, 1, True)),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n", Head(200, 1, False)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Head(204, 0, True)),
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", Head(204, 0, False)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Head(200, 0, True)),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", Head(200, 0, False)),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Head(100, 0, True)),
    ],
)
def test_heads(head: bytes, wanted: Head) -> None:
    assert parse_head(head) == wanted
