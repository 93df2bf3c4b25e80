"""`scripts/serve.py` as a user runs it, and what is left of a harness that is killed: nothing."""

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from stackmatrix.catalog import ROOT
from stackmatrix.linux import lives
from stackmatrix.runtime.base import UPSTREAMS
from stackmatrix.runtime.native.ports import free_port, is_free

SCRIPT = ROOT / "scripts" / "serve.py"
STACK = "fastapi-sync"
GONE_WITHIN_S = 10

pytestmark = pytest.mark.native


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The script, once it has told its URL; ended by force if a test has not ended it."""
    command = [sys.executable, str(SCRIPT), *arguments, "--runtime", "native"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            match = re.search(r"http://127\.0\.0\.1:\d+/", told)
            assert match, told
            yield process, match[0]
        finally:
            process.kill()


def said(*arguments: str) -> tuple[int, str]:
    """Exit code and standard error of the script."""
    command = [sys.executable, str(SCRIPT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr.strip()


def test_a_stack_is_served_until_ctrl_c() -> None:
    port = free_port()
    with serving(f"{STACK}[threads=7]", "--variant", "workers=1", "--port", str(port)) as (process, url):
        assert url == f"http://127.0.0.1:{port}/"
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert b'"threads":7' in answer.read()
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(GONE_WITHIN_S) == 0
    assert not [child for child in started if lives(child.pid)]
    assert is_free(port)


def test_a_harness_killed_in_the_middle_leaves_no_process_and_no_port() -> None:
    with serving(STACK) as (process, url):
        address = re.findall(r"([\d.]+):(\d+)", url)[0]
        with socket.create_connection((address[0], int(address[1]))) as client:
            client.sendall(b"GET /sleep?ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n")  # a graceful end would wait for it
            time.sleep(0.2)
            started = psutil.Process(process.pid).children(recursive=True)
            assert len(started) > 15
            process.kill()
            killed = time.monotonic()
            while any(lives(child.pid) for child in started) and time.monotonic() - killed < GONE_WITHIN_S:
                time.sleep(0.05)
        assert not [child for child in started if lives(child.pid)]
        assert process.stderr is not None
        told = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", process.stderr.read())}
        assert len(told) == len(UPSTREAMS) + 1
        assert all(is_free(port) for port in told)


def test_the_next_harness_need_not_wait_for_a_killed_one() -> None:
    with serving(STACK) as (process, _):
        process.kill()
    with serving(STACK) as (_, url), urllib.request.urlopen(f"{url}healthz", timeout=5) as answer:
        assert answer.status == 200


def test_a_second_one_is_told_who_is_first() -> None:
    with serving(STACK) as (process, _):
        code, words = said(STACK, "--runtime", "native")
        assert code == 2
        assert words.endswith(
            f"error: the harness with process id {process.pid} runs the matrix of this checkout already; "
            "wait until it ends, or stop it"
        )


def test_a_stack_that_ends_by_itself_is_told() -> None:
    with serving(STACK) as (process, url):
        with urllib.request.urlopen(url, timeout=5) as answer:
            pid = int(re.findall(rb'"pid":(\d+)', answer.read())[0])
        psutil.Process(pid).kill()
        assert process.wait(GONE_WITHIN_S) == 2
        assert process.stderr is not None
        assert f"error: {STACK} has ended" in process.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fastapi-sink"], "error: no stack is called 'fastapi-sink'; did you mean fastapi-sync?"),
        ([f"{STACK}[thread=3]"], "error: no setting of fastapi-sync is called 'thread'; did you mean threads?"),
        ([STACK, "--variant", "threads=x"], "error: fastapi-sync: threads = 'x': must be a whole number"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], words: str) -> None:
    code, told = said(*arguments, "--runtime", "native")
    assert code == 2
    assert told.startswith(words)
    assert "\n" not in told
