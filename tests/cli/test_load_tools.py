"""`load.py --generator`: another tool's numbers, with what they leave out."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..load.scripted import answering, free_port, server
from .invoke import invoke

SCRIPT = Path(__file__).parents[2] / "scripts" / "load.py"
OK_HELLO = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"


def load(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script to its end."""
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.tools
@pytest.mark.skipif(shutil.which("ab") is None, reason="ab is not installed: apt-get install apache2-utils")
def test_a_published_command_as_it_was(tmp_path: Path) -> None:
    with server(answering(OK_HELLO)) as port:
        done = load(
            f"http://127.0.0.1:{port}/", "--users", "10", "--generator", "ab", "--requests", "1000", "--warmup", "0",
            "--json", str(tmp_path / "r.json"),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1,000 requests, 1,000 of them right answers" in done.stderr
    assert f"http://127.0.0.1:{port}/" in done.stderr
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["generator"] == "ab"
    assert "-n 1000 -c 10" in found["command"]
    assert found["n"] == 1000
    assert found["mean_ms"] is found["p999_ms"] is None
    assert found["p50_ms"] <= found["p90_ms"] <= found["max_ms"] + 1
    assert found["notes"]
    for note in found["notes"]:
        assert f"- {note}" in done.stderr


@pytest.mark.tools
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: apt-get install wrk")
def test_what_wrk_does_not_measure_is_a_dash() -> None:
    with server(answering(OK_HELLO)) as port:
        done = load(f"http://127.0.0.1:{port}/", "--users", "2", "--generator", "wrk", "--duration", "1", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert "latencies not measured" in done.stderr
    assert json.loads(done.stdout)["p99_ms"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--users", "1", "--generator", "hey"], "--generator 'hey': choose stackmatrix, ab, h2load, locust or wrk"),
        (["--rate", "1", "--generator", "locust"], "locust offers no rate of arrivals"),
        (["--users", "1", "--generator", "wrk", "--shards", "2"], "--shards: another tool's threads"),
        (["--users", "1", "--requests", "5"], "--requests: this generator ends by --duration"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: list[str], message: str) -> None:
    done = invoke("load", f"http://127.0.0.1:{free_port()}/", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
