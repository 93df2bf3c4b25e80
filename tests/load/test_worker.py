"""The generator's own process says in lines of JSON what it does, why it cannot, and ends when it is told to."""

import asyncio
import contextlib
import json
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic as clock
from typing import IO, Any

import psutil
import pytest
import uvloop

from stackmatrix.http import Expected, Request
from stackmatrix.load import generator, timer, worker
from stackmatrix.load.generator import GeneratorError, Progress, generate
from stackmatrix.load.job import Closed, LoadJob, RequestKind
from stackmatrix.load.records import read_records

from .scripted import answering, free_port, server

OK_HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def job(port: int, users: int = 2, drain_s: float = 5.0) -> LoadJob:
    """Users that ask until they are told to stop."""
    kinds = (RequestKind("k", (Request("GET", "/", expected=Expected(200, b"hello")),)),)
    return LoadJob(host="127.0.0.1", port=port, kinds=kinds, load=Closed(users), duration_s=60, drain_s=drain_s)


@contextlib.contextmanager
def working(given: LoadJob, records: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run one worker, and give it its job."""
    order = worker.ShardJob(given, "127.0.0.1", 0, 1, records, None, os.getpid())
    command = [sys.executable, "-P", "-m", "stackmatrix.load.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            ear(process.stdin).write(pickle.dumps(order))
            yield process
        finally:
            process.kill()


def ear(pipe: IO[bytes] | None) -> IO[bytes]:
    """A pipe that is there."""
    assert pipe is not None
    return pipe


def said(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The worker's next message, but for how far it is."""
    while True:
        message: dict[str, Any] = json.loads(ear(process.stdout).readline())
        if message.keys().isdisjoint({"tick", "complete"}):
            return message


def start(process: subprocess.Popen[bytes], records: Path) -> None:
    """Have it begin, and return when it has recorded something."""
    assert said(process) == {"ready": 2}
    ear(process.stdin).write(json.dumps({"go": clock()}).encode() + b"\n")
    deadline = clock() + 20
    while not (records.exists() and len(read_records(records))):
        assert clock() < deadline
        os.sched_yield()


@pytest.mark.parametrize("how", ["quit", "end of input", "SIGTERM", "end"])
def test_it_ends_however_it_is_told_to_with_what_it_recorded(how: str, tmp_path: Path) -> None:
    file = tmp_path / "r.npy"
    with server(answering(OK_HELLO)) as port, working(job(port), file) as process:
        start(process, file)
        if how == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        elif how == "end of input":
            ear(process.stdin).close()
        else:
            for order in [{"quit": 1.0}] if how == "quit" else [{"end": clock()}, {"rest": clock()}]:
                ear(process.stdin).write(json.dumps(order).encode() + b"\n")
        message = said(process)
        assert "done" in message, message
        done = message["done"]
        assert process.wait(10) == 0
    assert (done["opened"], done["refused"], done["peak"], done["strays"]) == (2, 0, 2, 0)
    assert len(read_records(file)) > 0


def test_ctrl_c_is_for_its_parent_to_answer(tmp_path: Path) -> None:
    file = tmp_path / "r.npy"
    with server(answering(OK_HELLO)) as port, working(job(port), file) as process:
        start(process, file)
        process.send_signal(signal.SIGINT)
        ear(process.stdin).write(b'{"quit": true}\n')
        assert "done" in said(process)


def test_it_says_why_there_is_no_connection(tmp_path: Path) -> None:
    port = free_port()
    with working(job(port), tmp_path / "r.npy") as process:
        assert said(process) == {"error": f"no connection to 127.0.0.1:{port}: connection refused"}
        assert process.wait(10) == 0


def test_it_says_where_it_cannot_write(tmp_path: Path) -> None:
    file = tmp_path / "none" / "r.npy"
    with working(job(1), file) as process:
        assert said(process) == {"error": f"{file}: no such file or directory"}
        assert process.wait(10) == 0


def test_more_connections_than_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 2000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: set_to.append(limits))
    worker.allow_files(900)
    assert not set_to
    worker.allow_files(1900)
    assert set_to == [(1964, 2000)]
    with pytest.raises(ValueError, match=r"1937 connections need more open files than the limit of 2000"):
        worker.allow_files(1937)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "timed out"),
        (ConnectionRefusedError(111, "x"), "connection refused"),
        (OSError("all of them failed"), "all of them failed"),
    ],
)
def test_errors_in_words(error: OSError, words: str) -> None:
    assert worker.error_words(error) == words


def test_the_fastest_loop_is_taken_and_asyncio_s_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker.loop_factory() is uvloop.new_event_loop
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert worker.loop_factory() is asyncio.new_event_loop


@pytest.mark.parametrize("system", ["no timerfd", "no more files", "another system"])
def test_without_a_timerfd_the_loop_s_own_timer_rings(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def __init__(self, *_: object, **__: object) -> None:
            self.timerfd_settime = None
            if system == "no more files":
                self.timerfd_create = lambda *_: -1

    if system == "another system":
        monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("stackmatrix.load.timer.ctypes.CDLL", Library)
    rings: list[float] = []

    async def run() -> None:
        made = timer.alarm(asyncio.get_running_loop(), lambda: rings.append(clock()))
        assert isinstance(made, timer.LoopTimer)
        made.set(clock())
        await asyncio.sleep(0.02)

    asyncio.run(run())
    assert len(rings) == 1


class TestParent:
    """What the generator makes of its workers."""

    def test_a_worker_that_dies_is_one_error(self, tmp_path: Path) -> None:
        def kill(_: Progress) -> None:
            for child in psutil.Process().children():
                child.kill()

        with server(answering(OK_HELLO)) as port, pytest.raises(GeneratorError, match=r"process \d+ died .* -9"):
            generate(job(port), records=tmp_path / "r.npy", on_progress=kill)
        assert not psutil.Process().children()

    def test_its_cpu_is_known_without_linux_s_clock_too(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        def none(_: int) -> float:
            raise OSError

        with working(job(1), tmp_path / "r.npy") as process:
            made = generator.Worker.__new__(generator.Worker)
            made.process = process
            exact = made.cpu_s()
            monkeypatch.setattr("stackmatrix.load.generator.time.clock_gettime", none)
            assert made.cpu_s() == pytest.approx(exact, abs=0.5)

    def test_of_several_addresses_the_first_that_answers_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = socket.getaddrinfo

        def look_up(host: str, port: int, *_: int, **__: int) -> list[Any]:
            hosts = ["127.0.0.3", "127.0.0.1", "127.0.0.3"] if host == "some.where" else [host]
            return [found for one in hosts for found in real(one, port, type=socket.SOCK_STREAM)]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        with server(answering(OK_HELLO)) as port:
            assert generator.resolve("some.where", port) == "127.0.0.1"
        port = free_port()
        with pytest.raises(GeneratorError, match=r"some\.where:\d+: none of 127\.0\.0\.3, 127\.0\.0\.1 answers"):
            generator.resolve("some.where", port)
