"""Servers whose answer times are known exactly: what a generator is held against, in tests and in its benchmark."""

import asyncio
import contextlib
import heapq
import itertools
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic as clock
from typing import Any, Final, cast

from stackmatrix.linux import die_with
from stackmatrix.load.timer import alarm
from stackmatrix.load.worker import loop_factory

BACKLOG: Final = 4096


@dataclass(frozen=True, slots=True)
class KnownServer:
    """A server that answers `service_s` after a request came, and stalls now and then.

    With `stall_s`, whatever would be answered in the last `stall_s` of each `period_s` (of CLOCK_MONOTONIC) is
    answered at the end of it instead.
    """

    service_s: float = 0.0
    stall_s: float = 0.0
    period_s: float = 10.0
    size: int = 1024

    @property
    def body(self) -> bytes:
        return b"x" * self.size

    def answered_at(self, asked_at: float) -> float:
        """Return when a request is answered: the truth that a generator must reproduce."""
        due = asked_at + self.service_s
        into = due % self.period_s
        return due - into + self.period_s if into >= self.period_s - self.stall_s else due


class Server(asyncio.Protocol):
    """One connection; requests are told apart by their blank lines, for they have no bodies."""

    def __init__(self, timeline: "Timeline") -> None:
        self._timeline = timeline
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.transport = None

    def data_received(self, data: bytes) -> None:
        now = clock()
        for _ in range(data.count(b"\r\n\r\n")):
            self._timeline.ask(self, now)


class Timeline:
    def __init__(self, target: KnownServer) -> None:
        self._target = target
        # ab speaks HTTP/1.0, and keeps a connection only when it is told that it may.
        head = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n" % target.size
        self._answer = head + target.body
        self._due: list[tuple[float, int, Server]] = []
        self._order = itertools.count().__next__
        self._alarm = alarm(asyncio.get_running_loop(), self._ring)

    def ask(self, server: Server, now: float) -> None:
        due = self._target.answered_at(now)
        if due <= now:
            self._reply(server)
            return
        heapq.heappush(self._due, (due, self._order(), server))
        if self._due[0][0] == due:
            self._alarm.set(due)

    def _reply(self, server: Server) -> None:
        if server.transport is not None:
            server.transport.write(self._answer)

    def _ring(self) -> None:
        now = clock()
        while self._due and self._due[0][0] <= now:
            self._reply(heapq.heappop(self._due)[2])
        if self._due:
            self._alarm.set(self._due[0][0])


@contextlib.contextmanager
def serving(target: KnownServer, cpu: int | None = None) -> Iterator[int]:
    command = [sys.executable, "-P", "-m", "stackmatrix.load.targets"]
    # Ctrl-C is the harness's business, which kills it.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0) as process:
        try:
            assert process.stdin is not None and process.stdout is not None
            pickle.dump((target, cpu, os.getpid()), process.stdin)
            process.stdin.flush()
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def serve(target: KnownServer) -> None:
    timeline = Timeline(target)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(timeline), "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    order: Any = pickle.load(sys.stdin.buffer)
    target, cpu, parent = order
    die_with(parent)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(target))


if __name__ == "__main__":
    main()
