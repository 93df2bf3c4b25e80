"""The user class that locust runs: locust changes Python's own modules, so it is loaded in a process of its own."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stackmatrix.http import Expected, Request
from stackmatrix.load.job import Closed, LoadJob, RequestKind
from stackmatrix.load.recorder import Ending
from stackmatrix.load.records import read_records
from stackmatrix.load.tools.base import MARKS

PROGRAM = """
import json, os, sys, time
from http.client import HTTPException
from types import SimpleNamespace
import stackmatrix.load.tools.locustfile as it
from geventhttpclient.response import HTTPConnectionClosed

class Wrapped(Exception):
    def __init__(self, original):
        self.original = original

read, write = os.pipe()
os.environ[sys.argv[1]] = str(write)
it.mark_edge("start")
del os.environ[sys.argv[1]]
it.mark_edge("end")
wanted = next(it.following)
errors = {
    "timeout": Wrapped(TimeoutError()), "refused": ConnectionRefusedError(), "closed": HTTPConnectionClosed(),
    "no http": Wrapped(HTTPException()), "reset": ConnectionResetError(), "unknown": None,
}
said = {name: it.became(wanted, 0, error).name for name, error in errors.items()}
said |= {str(status): it.became(wanted, status, None).name for status in (201, 200, 500)}
now = time.time()
for status, error in ((201, None), (500, None), (0, Wrapped(TimeoutError()))):
    answer = SimpleNamespace(status_code=status, error=error)
    context = {"wanted": wanted}
    it.keep(response_time=250.0, response_length=5, response=answer, start_time=now, context=context, name="k")
it.hooks.quitting.fire(environment=None)
user = it.JobUser
print(json.dumps({
    "became": said, "headers": it.headers_of(wanted), "host": user.host, "think": user.wait_time(None),
    "timeouts": [user.connection_timeout, user.network_timeout], "marks": os.read(read, 99).decode(),
    "started": now + it.offset,
}))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the locustfile finds its job, and leaves its rows."""
    return tmp_path_factory.mktemp("locust")


@pytest.fixture(scope="module")
def told(place: Path) -> dict[str, Any]:
    """What the loaded locustfile says."""
    headers = (("Content-Type", "application/json"), ("content-length", "7"))
    create = Request("POST", "/notes", b'{"a":1}', headers, expected=Expected(201, None))
    kinds = (RequestKind("k", (create,)),)
    job = LoadJob(host="127.0.0.1", port=8080, kinds=kinds, load=Closed(3, think_s=0.5), duration_s=1, timeout_s=2)
    (place / "job.pickle").write_bytes(pickle.dumps((job, place / "rows.npy")))
    command = [sys.executable, "-c", PROGRAM, MARKS]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_user_is_what_the_job_says(told: dict[str, Any]) -> None:
    assert told["host"] == "http://127.0.0.1:8080"
    assert told["think"] == 0.5
    assert told["timeouts"] == [2, 2]


def test_locust_writes_the_length_and_no_encoding_is_asked_for(told: dict[str, Any]) -> None:
    assert told["headers"] == {"Accept-Encoding": "identity", "Content-Type": "application/json"}


def test_each_ending_is_told_by_what_the_client_gave_up_over(told: dict[str, Any]) -> None:
    assert told["became"] == {
        "timeout": "TIMEOUT",
        "refused": "CONNECT",
        "closed": "CLOSED",
        "no http": "PROTOCOL",
        "reset": "CLOSED",
        "unknown": "CLOSED",
        "201": "OK",
        "200": "STATUS",
        "500": "STATUS",
    }


def test_every_request_is_a_row(told: dict[str, Any], place: Path) -> None:
    rows = read_records(place / "rows.npy")
    assert rows["verdict"].tolist() == [Ending.OK, Ending.STATUS, Ending.TIMEOUT]
    assert rows["status"].tolist() == [201, 500, 0]
    assert rows["scheduled"] == pytest.approx(told["started"])
    assert (rows["end"] - rows["scheduled"]).tolist() == pytest.approx([0.25] * 3)


def test_edges_are_marked_for_who_listens_only(told: dict[str, Any]) -> None:
    edge, at = told["marks"].split()
    assert edge == "start"
    assert float(at) <= told["started"]
