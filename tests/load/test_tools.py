"""The other load tools against servers whose truth is known; each tool is left out only where it is not installed."""

import asyncio
import contextlib
import itertools
import os
import pickle
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from _nginx import NGINX, nginx  # of scripts/
from stackmatrix.errors import UserError
from stackmatrix.http import Expected, Request
from stackmatrix.load import records
from stackmatrix.load.job import NUMBER_PLACE, Closed, LoadJob, Open, RequestKind
from stackmatrix.load.recorder import Ending
from stackmatrix.load.targets import KnownServer, serving
from stackmatrix.load.tools.base import LoadTool
from stackmatrix.load.tools.run import OTHER_GENERATORS, path_of, run_other

from .scripted import Reader, Writer, answering, free_port, request, server

pytestmark = pytest.mark.tools

LAST = max(os.sched_getaffinity(0))
CLOSED_SLACK = 64  # requests under way when a run ends by time, and those that tools send ahead to look
JSON = (("Content-Type", "application/json"),)


def answer(status: str, body: bytes = b"hello hello") -> bytes:
    """An answer after which ab may keep its connection."""
    return b"HTTP/1.1 %s\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(body)) + body


OK, CREATED, BROKEN = answer("200 OK"), answer("201 Created"), answer("500 Internal Server Error", b"")


@pytest.fixture(params=OTHER_GENERATORS)
def tool(request: pytest.FixtureRequest) -> LoadTool:
    """Each tool that is installed."""
    found = OTHER_GENERATORS[request.param]
    installed(found)
    return found


def installed(tool: LoadTool) -> LoadTool:
    """The tool; skips where it is not there."""
    try:
        path_of(tool)
    except UserError as missing:
        pytest.skip(str(missing))
    return tool


def get(target: str = "/") -> Request:
    """A GET as the catalogue has it."""
    return Request("GET", target, None, (("Accept", "*/*"),))


def plan(port: int, *requests: Request, users: int = 4, status: int = 200, duration_s: float = 1) -> LoadJob:
    """A closed loop with these requests in turn."""
    wanted = tuple(replace(one, expected=Expected(status)) for one in requests or (get(),))
    load = Closed(users)
    return LoadJob(
        host="127.0.0.1", port=port, kinds=(RequestKind("k", wanted),), load=load, duration_s=duration_s, timeout_s=5
    )


@dataclass
class Seen:
    """What a server was asked."""

    firsts: Counter[str] = field(default_factory=Counter)
    bodies: Counter[bytes] = field(default_factory=Counter)
    heads: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def counting(reply: bytes = OK) -> Iterator[tuple[int, Seen]]:
    """A server that counts its requests by first line and by body."""
    seen = Seen()

    async def handle(reader: Reader, writer: Writer) -> None:
        while data := await request(reader):
            head, _, body = data.partition(b"\r\n\r\n")
            seen.firsts[head.split(b" HTTP/", 1)[0].decode()] += 1
            seen.bodies[body] += 1
            seen.heads.append(head)
            writer.write(reply)

    with server(handle) as port:
        yield port, seen


def test_counts_agree_with_the_servers_own(tool: LoadTool, tmp_path: Path) -> None:
    edges: list[tuple[str, float]] = []
    with counting() as (port, seen):
        told = run_other(
            tool, plan(port), cpus={LAST}, records=tmp_path / "r.npy", on_window=lambda *edge: edges.append(edge)
        )
    served = seen.firsts.total()
    assert 0 < told.n <= told.requests <= served <= told.requests + CLOSED_SLACK
    assert not told.failed
    assert told.rps == pytest.approx(told.requests / told.seconds, rel=0.02)
    assert 0.9 < told.seconds < 3
    assert [edge for edge, _ in edges] == ["start", "end"]
    assert edges == [("start", told.start), ("end", told.end)]
    assert told.end - told.start == pytest.approx(told.seconds, abs=1.5)
    assert told.cpu_s > 0
    assert told.notes
    assert shlex.split(told.command)[0] == told.tool == tool.name
    assert str(tmp_path) not in told.command
    assert any(digit in told.version for digit in "0123456789")
    if told.records is None:
        assert not (tmp_path / "r.npy").exists()
    else:
        assert len(records.read_records(tmp_path / "r.npy")) == len(told.records) == told.requests
        assert (told.records["verdict"] == Ending.OK).all()
        assert (told.records["scheduled"] >= told.start - 0.01).all()
        assert (told.records["end"] <= told.end + 0.5).all()
    assert not psutil.Process().children()


def test_littles_law_holds_on_a_server_of_known_time(tool: LoadTool) -> None:
    with serving(KnownServer(service_s=0.02), min(os.sched_getaffinity(0))) as port:
        told = run_other(tool, plan(port, users=8, duration_s=2), cpus={LAST})
    took_s = max(0.02, (told.latency.mean or 0.0) / 1e3)  # a busy machine makes users wait, and answers fewer
    assert told.rps * took_s == pytest.approx(8, rel=0.35)
    mean = told.latency.mean or told.latency.p50
    if tool.name == "wrk":
        assert mean is None
    else:
        assert mean is not None
        assert told.rps * mean / 1e3 == pytest.approx(8, rel=0.2)


def test_failures_are_seen(tool: LoadTool) -> None:
    with counting(BROKEN) as (port, seen):
        told = run_other(tool, plan(port), cpus={LAST})
    assert told.n == 0
    assert told.failed.keys() == {"status"}
    assert told.failed["status"] == pytest.approx(seen.firsts.total(), abs=CLOSED_SLACK)
    if told.records is not None:
        assert (told.records["verdict"] == Ending.STATUS).all()


def test_a_server_that_hangs_up_is_no_success(tool: LoadTool) -> None:
    with server(answering(b"", close=True)) as port:
        told = run_other(tool, plan(port), cpus={LAST})
    assert told.n == 0


def test_locust_counts_each_connection_that_closes_without_an_answer() -> None:
    hung_up = 0

    async def hang_up(reader: Reader, _writer: Writer) -> None:
        nonlocal hung_up
        asked = await request(reader)
        hung_up += bool(asked)

    with server(hang_up) as port:
        told = run_other(installed(OTHER_GENERATORS["locust"]), plan(port), cpus={LAST})
    assert told.failed.keys() == {"closed"}
    assert told.failed["closed"] == pytest.approx(hung_up, abs=CLOSED_SLACK)


def test_ab_compares_lengths_where_one_is_expected() -> None:
    async def handle(reader: Reader, writer: Writer) -> None:
        replies = itertools.cycle([OK, OK, answer("200 OK", b"short")])
        while await request(reader):
            writer.write(next(replies))

    with server(handle) as port:
        any_body = plan(port, duration_s=20)
        right = RequestKind("k", (replace(get(), expected=Expected(200, b"hello hello")),))
        compared = run_other(installed(OTHER_GENERATORS["ab"]), replace(any_body, kinds=(right,)), stop_after=400)
        taken = run_other(OTHER_GENERATORS["ab"], any_body, stop_after=400)
    assert compared.failed == {"body": pytest.approx(133, abs=4)}
    assert compared.n + compared.failed["body"] == 400
    assert compared.records is None
    assert taken.n == 400


def test_what_becomes_of_an_answer_that_is_late() -> None:
    async def handle(reader: Reader, writer: Writer) -> None:
        while await request(reader):
            await asyncio.sleep(1.5)
            writer.write(OK)

    with server(handle) as port:
        late = replace(plan(port, duration_s=3), timeout_s=1)
        assert run_other(installed(OTHER_GENERATORS["wrk"]), late).failed.keys() == {"timeout"}
        assert run_other(installed(OTHER_GENERATORS["locust"]), late).failed.keys() == {"timeout"}
        answered = run_other(installed(OTHER_GENERATORS["ab"]), plan(port, duration_s=1))
        assert answered.seconds == pytest.approx(1.5, abs=0.4)
        with pytest.raises(UserError, match=r"^ab failed \(exit code \d+\); it ended with:\n(.|\n)*timeout"):
            run_other(installed(OTHER_GENERATORS["ab"]), late)


def test_a_body_is_posted(tool: LoadTool) -> None:
    body = b'{"title":"\xc3\xa4 \\"quoted\\"","description":"a\\nb"}'
    with counting(CREATED) as (port, seen):
        told = run_other(tool, plan(port, Request("POST", "/notes/", body, JSON), status=201), cpus={LAST})
    assert told.n > 0
    assert not told.failed
    assert seen.bodies.keys() == {body}
    assert seen.firsts.keys() == {"POST /notes/"}
    for head in seen.heads[:5]:
        lines = [line.lower() for line in head.split(b"\r\n")[1:]]
        assert lines.count(b"content-type: application/json") == 1
        assert sum(line.startswith(b"host:") for line in lines) == 1
        assert sum(line.startswith(b"content-length:") for line in lines) == 1


def test_method_host_and_headers_are_sent_as_given(tool: LoadTool) -> None:
    wanted = Request(
        "DELETE", "/notes/1?x=%20y", None, (("Host", "example.test"), ("X-Note", "a: b"), ("Accept", "text/html"))
    )
    with counting() as (port, seen):
        told = run_other(tool, plan(port, wanted), cpus={LAST})
    assert told.n > 0
    assert seen.firsts.keys() == {"DELETE /notes/1?x=%20y"}
    lines = [line.lower() for line in seen.heads[0].split(b"\r\n")[1:]]
    ours = sorted(line for line in lines if line.startswith((b"host:", b"x-note:", b"accept:")))
    assert ours == [b"accept: text/html", b"host: example.test", b"x-note: a: b"]


@pytest.mark.parametrize(("name", "varied"), [("wrk", True), ("ab", False), ("h2load", False)])
def test_a_fresh_body_per_request_or_a_note_that_it_was_not(name: str, varied: bool) -> None:
    fresh = Request("POST", "/notes/", b'{"title":"' + NUMBER_PLACE + b'"}', JSON)
    with counting(CREATED) as (port, seen):
        told = run_other(installed(OTHER_GENERATORS[name]), plan(port, fresh, status=201), cpus=os.sched_getaffinity(0))
    assert b"\0" not in b"".join(seen.bodies)
    assert (len(seen.bodies) == seen.bodies.total()) == varied
    assert any("fixed body" in note for note in told.notes) != varied


@pytest.mark.parametrize(("name", "paths"), [("wrk", 3), ("h2load", 3), ("ab", 1)])
def test_several_requests_are_sent_in_turn_or_a_note_says_which(name: str, paths: int) -> None:
    with counting() as (port, seen):
        told = run_other(
            installed(OTHER_GENERATORS[name]), plan(port, get("/a"), get("/b?x=1"), get("/c")), cpus={LAST}
        )
    assert len(seen.firsts) == paths
    shares = np.array(list(seen.firsts.values())) / seen.firsts.total()
    assert shares == pytest.approx(1 / paths, abs=0.05)
    assert any("only the first" in note for note in told.notes) == (paths == 1)


def test_locusts_users_think_start_one_after_another_and_mix_kinds() -> None:
    fresh = Request("POST", "/b", b"{" + NUMBER_PLACE + b"}", JSON)
    with counting() as (port, seen):
        reads, writes = plan(port, get("/a"), get("/c")).kinds[0], plan(port, fresh).kinds[0]
        mixed = replace(
            plan(port, duration_s=3),
            kinds=(reads, replace(writes, name="other", weight=3)),
            load=Closed(20, think_s=0.1, ramp_s=2.0),
        )
        told = run_other(installed(OTHER_GENERATORS["locust"]), mixed, cpus={LAST})
    assert 20 < seen.firsts.total() <= 20 * 30
    assert seen.firsts["POST /b"] / seen.firsts.total() == pytest.approx(0.75, abs=0.12)
    assert seen.firsts["GET /a"] == pytest.approx(seen.firsts["GET /c"], abs=1)
    assert len(seen.bodies) == seen.firsts["POST /b"] + 1
    assert told.records is not None
    assert (told.records["kind"] == 1).sum() == pytest.approx(seen.firsts["POST /b"], abs=20)
    first = np.sort(told.records["scheduled"])
    assert first[-1] - first[0] > 1
    assert (first < first[0] + 0.5).sum() < 0.3 * len(first)  # half of the users were there


@pytest.mark.parametrize("name", ["ab", "h2load"])
def test_a_number_of_requests_instead_of_a_time(name: str) -> None:
    with counting() as (port, seen):
        told = run_other(installed(OTHER_GENERATORS[name]), plan(port, duration_s=20), cpus={LAST}, stop_after=500)
    assert told.n == told.requests == seen.firsts.total() == 500
    assert "-n 500" in told.command
    assert told.end - told.start < 20


def test_ab_keeps_connections_unless_the_plan_closes_them() -> None:
    closing = Request("GET", "/", None, (("Connection", "close"),))
    ab = installed(OTHER_GENERATORS["ab"])
    with server(answering(answer("200 OK").replace(b"keep-alive", b"close"), close=True)) as port:
        closed = run_other(ab, plan(port, closing, duration_s=20), cpus={LAST}, stop_after=50)
        asked = run_other(ab, plan(port, duration_s=20), cpus={LAST}, stop_after=50)
    assert " -k " not in closed.command
    assert closed.n == asked.n == 50
    assert any("closed their connection" in note for note in asked.notes)
    assert not any("closed their connection" in note for note in closed.notes)


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_a_warm_up_is_a_run_of_its_own() -> None:
    with nginx("hello") as port:
        told = run_other(installed(OTHER_GENERATORS["ab"]), replace(plan(port), warmup_s=0.5), cpus={LAST})
    assert told.warmup is not None
    assert told.warmup.n > 0
    assert told.began <= told.warmup.start < told.warmup.end <= told.start


class TestRefusals:
    """What a tool cannot do is refused in one line, before anything is started."""

    @pytest.mark.parametrize("name", OTHER_GENERATORS)
    def test_an_open_loop(self, name: str) -> None:
        with pytest.raises(UserError, match=rf"{name} .*only users: take the project's own generator"):
            run_other(OTHER_GENERATORS[name], replace(plan(free_port()), load=Open(10)))

    @pytest.mark.parametrize("name", ["ab", "wrk", "h2load"])
    def test_think_time_and_mixes(self, name: str) -> None:
        one = plan(free_port())
        with pytest.raises(UserError, match=r"think time = 0.5 s: .*locust"):
            run_other(OTHER_GENERATORS[name], replace(one, load=Closed(4, think_s=0.5)))
        with pytest.raises(UserError, match=r"cannot mix 2 kinds .*locust"):
            run_other(OTHER_GENERATORS[name], replace(one, kinds=one.kinds * 2))

    def test_a_number_of_requests(self) -> None:
        with pytest.raises(UserError, match=r"wrk ends by time only, .*ab or h2load"):
            run_other(OTHER_GENERATORS["wrk"], plan(free_port()), stop_after=100)
        with pytest.raises(UserError, match="2 requests for 4 users"):
            run_other(OTHER_GENERATORS["ab"], plan(free_port()), stop_after=2)

    def test_a_body_with_a_method_that_ab_cannot_send(self) -> None:
        patch = Request("PATCH", "/", b"{}")
        with counting() as (port, _), pytest.raises(UserError, match="ab sends no PATCH with a body"):
            run_other(installed(OTHER_GENERATORS["ab"]), plan(port, patch))

    def test_a_server_that_is_not_there(self, tool: LoadTool) -> None:
        with pytest.raises(UserError, match=r"no connection to 127\.0\.0\.1:\d+: "):
            run_other(tool, plan(free_port()))

    def test_a_tool_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        for name, package in {"ab": "apache2-utils", "wrk": "wrk", "h2load": "nghttp2-client"}.items():
            with pytest.raises(UserError, match=rf"^{name} is not installed: apt-get install {package}$"):
                run_other(OTHER_GENERATORS[name], plan(free_port()))


class TestEnds:
    """However a run ends, the tool is gone."""

    def test_ctrl_c_leaves_no_process(self, tool: LoadTool) -> None:
        ours: list[psutil.Process] = []

        def interrupt() -> None:
            wait_for_one(seen)
            ours.extend(psutil.Process().children(recursive=True))
            os.kill(os.getpid(), signal.SIGINT)

        with counting() as (port, seen):
            timer = threading.Thread(target=interrupt)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                run_other(tool, plan(port, duration_s=60), cpus={LAST})
            timer.join()
        assert ours
        assert not any(process.is_running() for process in ours)

    def test_one_that_does_not_end_is_stopped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("stackmatrix.load.tools.run.START_AND_PRINT_S", -7.0)  # less than the run takes
        with counting() as (port, _), pytest.raises(UserError, match=r"wrk had not ended within .* s, and was stopped"):
            run_other(installed(OTHER_GENERATORS["wrk"]), plan(port, duration_s=3), cpus={LAST})
        assert not psutil.Process().children()

    def test_the_tool_dies_with_its_parent(self) -> None:
        code = (
            "import sys, pickle; from stackmatrix.load.tools.run import OTHER_GENERATORS, run_other\n"
            "run_other(OTHER_GENERATORS[sys.argv[1]], pickle.load(sys.stdin.buffer))"
        )
        installed(OTHER_GENERATORS["h2load"])
        with counting() as (port, seen):
            parent = subprocess.Popen([sys.executable, "-c", code, "h2load"], stdin=subprocess.PIPE)
            assert parent.stdin is not None
            parent.stdin.write(pickle.dumps(plan(port, duration_s=60)))
            parent.stdin.close()
            wait_for_one(seen)
            (child,) = psutil.Process(parent.pid).children()
            parent.kill()
            parent.wait()
            child.wait(5)

    def test_output_that_cannot_be_read_is_shown(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, said in {"ab": "Complete: many", "h2load": "finished soon", "wrk": "fine"}.items():
            fake = tmp_path / name
            fake.write_text(f"#!/bin/sh\necho {said}\n")
            fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with counting() as (port, _):
            for name, said in {"ab": "Complete: many", "h2load": "finished soon", "wrk": "fine"}.items():
                with pytest.raises(UserError, match=f"{name}: its output cannot be read; it ended with:\n{said}"):
                    run_other(OTHER_GENERATORS[name], plan(port))


def wait_for_one(seen: Seen) -> None:
    """Return once a request has come."""
    deadline = time.monotonic() + 20
    while not seen.heads and time.monotonic() < deadline:
        time.sleep(0.02)
