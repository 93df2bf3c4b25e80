"""`load.py` as a user meets it."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from stackmatrix.load import records

from ..load.hdr import decode
from ..load.scripted import Reader, Writer, answering, free_port, request, server
from .invoke import invoke

SCRIPT = Path(__file__).parents[2] / "scripts" / "load.py"
OK_HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
KEYS = {
    "rps", "n", "errors", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms", "drift_p99_ms",
    "cpu_us_per_request",
}  # fmt: skip


def load(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script to its end."""
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.clock
def test_closed_loop_with_numbers_and_records_in_files(tmp_path: Path) -> None:
    with server(answering(OK_HELLO)) as port:
        done = load(
            f"http://localhost:{port}/", "--users", "4", "--duration", "1", "--warmup", "0.2",
            "--json", str(tmp_path / "r.json"), "--records", str(tmp_path / "r.npy"),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "goodput" in done.stderr
    found = json.loads((tmp_path / "r.json").read_text())
    assert found.keys() >= KEYS
    assert found["errors"] == 0
    assert found["answers"] == pytest.approx(found["rps"] * found["seconds"])
    assert found["n"] == pytest.approx(found["answers"], abs=4)  # ends differ by what the edges cut, one a user
    assert found["p50_ms"] <= found["p95_ms"] <= found["max_ms"]
    assert found["pool"] == 4
    assert decode(found["hdr_histogram_us"]).sum() == found["n"]
    assert len(records.read_records(tmp_path / "r.npy")) >= found["n"]


@pytest.mark.clock
def test_open_loop_leaves_out_what_the_sample_cannot_support() -> None:
    with server(answering(OK_HELLO)) as port:
        done = load(f"http://127.0.0.1:{port}/", "--rate", "100", "--arrivals", "constant", "--duration", "1",
                    "--warmup", "0", "--json", "-")  # fmt: skip
    found = json.loads(done.stdout)
    assert found["n"] == 100
    assert found["p50_ms"] is not None
    assert found["p99_ms"] is found["p999_ms"] is None


@pytest.mark.clock
def test_one_user_thinks_after_each_answer() -> None:
    """186 ms of waiting and 100 ms of thinking are 3.5 answers a second."""

    async def slow(reader: Reader, writer: Writer) -> None:
        while await request(reader):
            await asyncio.sleep(0.186)
            writer.write(OK_HELLO)

    with server(slow) as port:
        done = load(f"http://127.0.0.1:{port}/", "--users", "1", "--think", "100ms", "--duration", "3s", "--json", "-")
    assert json.loads(done.stdout)["rps"] == pytest.approx(3.5, rel=0.05)


@pytest.mark.clock
def test_a_post_is_sent_as_given_and_its_answer_compared(tmp_path: Path) -> None:
    expected = tmp_path / "expected"
    expected.write_bytes(b"hello")
    with server(answering(OK_HELLO)) as port:
        common = [f"http://127.0.0.1:{port}/x?y=1", "--users", "1", "--duration", "0.3", "--warmup", "0", "--json", "-"]
        common += ["--body", '{"a":1}', "--header", "Content-Type: application/json"]
        right = load(*common, "--expect", str(expected))
        expected.write_bytes(b"other")
        wrong = load(*common, "--expect", str(expected))
    assert json.loads(right.stdout)["errors"] == 0
    assert json.loads(wrong.stdout)["errors_by_kind"].keys() == {"body"}
    assert wrong.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["https://127.0.0.1/", "--users", "1"], "must be http://HOST[:PORT]/PATH"),
        (["127.0.0.1:80", "--users", "1"], "must be http://HOST[:PORT]/PATH"),
        (["http://127.0.0.1:x/", "--users", "1"], "Port could not be cast"),
        (["http://127.0.0.1/ä", "--users", "1"], "percent-encoded"),
        (["http://no.invalid/", "--users", "1"], "no.invalid: "),
        (["http://127.0.0.1/"], "--users or --rate is missing"),
        (["http://127.0.0.1/", "--users", "0"], "--users '0': write a whole number from 1 to 999999"),
        (["http://127.0.0.1/", "--rate", "fast"], "--rate 'fast': write arrivals per second"),
        (["http://127.0.0.1/", "--rate", "-1"], "--rate '-1': write arrivals per second from 0.001 to 1e6"),
        (["http://127.0.0.1/", "--users", "1", "--rate", "1"], "give one of them, and not both"),
        (["http://127.0.0.1/", "--users", "1", "--header", "X"], "--header 'X': write 'Name: value'"),
        (["http://127.0.0.1/", "--users", "1", "--cpus", "a"], "--cpus 'a': write cores from 0 to 9999"),
        (["http://127.0.0.1/", "--users", "1", "--expect", "/none"], "/none: No such file"),
        (
            ["http://127.0.0.1/", "--users", "1", "--json", "/none/x"],
            "--json /none/x: cannot write there",
        ),
        (["http://127.0.0.1/", "--users", "1", "--method", "GE T"], "not a method that can be sent"),
        (["http://127.0.0.1/", "--users", "999999", "--warmup", "0"], "open files"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str) -> None:
    done = invoke("load", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_server_that_is_not_there_is_one_line() -> None:
    port = free_port()
    done = load(f"http://127.0.0.1:{port}/", "--users", "2")
    assert (done.returncode, done.stderr) == (2, f"error: no connection to 127.0.0.1:{port}: connection refused\n")
