"""The servers of known truth keep to it, and end with who started them."""

import asyncio
import subprocess
import sys
from time import monotonic as clock

import pytest

from _nginx import await_port, nginx  # of scripts/
from stackmatrix.load.targets import KnownServer, Server, Timeline

from .scripted import free_port

ASK = b"GET / HTTP/1.1\r\n\r\n"


async def conversation(target: KnownServer, *sent: bytes, answers: int) -> tuple[list[float], bytes]:
    """Send these pieces at once; return the instant of asking and those at which an answer was whole, and the last."""
    timeline = Timeline(target)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Server(timeline), "127.0.0.1", 0)
    async with listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.sockets[0].getsockname()[1])
        instants, answer = [clock()], b""
        for piece in sent:
            writer.write(piece)
        for _ in range(answers):
            head = await reader.readuntil(b"\r\n\r\n")
            answer = head + await reader.readexactly(target.size)
            instants.append(clock())
        writer.close()
        await writer.wait_closed()
    return instants, answer


def test_an_answer_is_the_body_and_keeps_the_connection() -> None:
    target = KnownServer(size=3)
    _, answer = asyncio.run(conversation(target, ASK, answers=1))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == target.body == b"xxx"
    assert head.splitlines()[0] == b"HTTP/1.1 200 OK"
    assert {b"Connection: keep-alive", b"Content-Length: 3"} <= set(head.splitlines())


def test_an_answer_comes_no_sooner_than_is_due() -> None:
    (asked, *answered), _ = asyncio.run(conversation(KnownServer(service_s=0.05), ASK, answers=1))
    assert answered[0] - asked >= 0.05


def test_requests_that_come_together_are_each_answered() -> None:
    (asked, *answered), _ = asyncio.run(conversation(KnownServer(service_s=0.02), ASK * 3, answers=3))
    assert all(at - asked >= 0.02 for at in answered)


def test_one_that_asks_and_leaves_harms_nobody() -> None:
    async def run() -> bytes:
        timeline = Timeline(KnownServer(service_s=0.02, size=1))
        listener = await asyncio.get_running_loop().create_server(lambda: Server(timeline), "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            _, gone = await asyncio.open_connection("127.0.0.1", port)
            gone.write(ASK)
            gone.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ASK)
            answer = await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(1)
            writer.close()
            return answer

    assert asyncio.run(run()).endswith(b"\r\n\r\nx")


@pytest.mark.parametrize(
    ("asked", "answered"),
    [(0.0, 0.1), (1.6, 1.7), (1.71, 2.0), (1.85, 2.0), (1.95, 2.05)],
)
def test_what_would_be_answered_in_a_stall_is_answered_at_its_end(asked: float, answered: float) -> None:
    target = KnownServer(service_s=0.1, stall_s=0.2, period_s=2)
    assert target.answered_at(asked) == pytest.approx(answered)


def test_a_server_that_ends_before_it_listens_is_an_error() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as process,
        pytest.raises(ChildProcessError, match="exit code 7"),
    ):
        await_port(free_port(), process)


def test_without_nginx_there_is_no_nginx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("_nginx.NGINX", None)
    with pytest.raises(FileNotFoundError, match="nginx is not installed"), nginx("x"):
        pass
