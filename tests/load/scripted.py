"""Servers for the generator's tests: real sockets, in a thread of the test."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Handler = Callable[[Reader, Writer], Awaitable[None]]


async def request(reader: Reader) -> bytes:
    """Read one request, body included; empty at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


def answering(*answers: bytes, close: bool = False, apart_s: float = 0.01) -> Handler:
    """Answer every request with these pieces, one after another; then close the connection if asked to."""

    async def handle(reader: Reader, writer: Writer) -> None:
        while await request(reader):
            for number, answer in enumerate(answers):
                if number:
                    await asyncio.sleep(apart_s)
                writer.write(answer)
                await writer.drain()
            if close:
                return

    return handle


@contextlib.contextmanager
def server(handler: Handler, port: int = 0) -> Iterator[int]:
    """Serve in a thread, and give the port on 127.0.0.1; every connection is closed at the end."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    ports: list[int] = []
    over = asyncio.Event()

    async def handle(reader: Reader, writer: Writer) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()

    async def main() -> None:
        listener = await asyncio.start_server(handle, "127.0.0.1", port, backlog=4096)
        ports.append(listener.sockets[0].getsockname()[1])
        started.set()
        await over.wait()
        listener.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            await asyncio.wait([task])

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert started.wait(5)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(5)
        loop.close()


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Return once something listens on the port."""
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
