"""What is made of a plan, and of what the tools print, without running any."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.errors import UserError
from stackmatrix.http import Expected, Request
from stackmatrix.load.job import NUMBER_PLACE, Closed, LoadJob, RequestKind
from stackmatrix.load.recorder import Ending
from stackmatrix.load.tools.ab import ApacheBench
from stackmatrix.load.tools.base import Left, ToolRun
from stackmatrix.load.tools.h2load import H2load
from stackmatrix.load.tools.wrk import Wrk, lua, quoted

AB = """\
Document Length:        11 bytes

Concurrency Level:      4
Time taken for tests:   0.512 seconds
Complete requests:      400
Failed requests:        133
   (Connect: 0, Receive: 3, Length: 130, Exceptions: 0)
Non-2xx responses:      20
Keep-Alive requests:    397
Total transferred:      33600 bytes
HTML transferred:       3600 bytes
Requests per second:    781.25 [#/sec] (mean)
Time per request:       5.120 [ms] (mean)
"""
AB_CSV = "Percentage served,Time in ms\n" + "".join(f"{percent},{1 + percent / 100:.3f}\n" for percent in range(100))
AB_TSV = "starttime\tseconds\tctime\tdtime\tttime\twait\n" + "Fri Nov 20 12:42:05 2026\t1000\t0\t1\t2\t1\n" * 400

H2LOAD = """\
finished in {took}, 78507.00 req/s, 87.90MB/s
requests: 10 total, 10 started, 9 done, 6 succeeded, 3 failed, 2 errored, 1 timeout
status codes: 6 2xx, 0 3xx, 0 4xx, 1 5xx
"""


def run(scratch: Path, *, cpus: tuple[int, ...] = (0,), users: int = 4, host: str = "h") -> ToolRun:
    """A run of one request."""
    job = LoadJob(
        host=host,
        port=8102,
        kinds=(RequestKind("k", (Request("GET", "/", expected=Expected(200)),)),),
        load=Closed(users),
        duration_s=1,
    )
    return ToolRun(job, Closed(users), 1, None, cpus, scratch)


def left(stdout: str) -> Left:
    """A run that printed this, a second after the epoch's thousandth."""
    return Left(start=1.5, end=2.5, wall_offset=-999.0, stdout=stdout, stderr="", cpu_s=0.1)


@given(st.binary(max_size=50))
def test_any_bytes_become_a_string_of_lua(data: bytes) -> None:
    text = quoted(data)
    assert text.isascii()
    assert text.isprintable()
    assert text[0] == text[-1] == '"'
    assert re.sub(rb"\\(\d{3})", lambda code: bytes([int(code[1])]), text[1:-1].encode()) == data


def test_lua_is_called_per_request_only_where_requests_differ() -> None:
    same = Request("GET", "/").encode("h")
    fresh = Request("POST", "/", b"[" + NUMBER_PLACE + b"]").encode("h")
    assert "function request()" not in lua((same,), 1)
    for several in ((same, same), (fresh,), (fresh, same)):
        assert "function request()" in lua(several, 2)


@pytest.mark.parametrize(
    ("users", "cpus", "threads"), [(4, (), 1), (4, (0, 1), 2), (5, (0, 1), 1), (6, (0, 1, 2, 3), 3)]
)
def test_wrks_threads_share_its_users_evenly(users: int, cpus: tuple[int, ...], threads: int, tmp_path: Path) -> None:
    assert Wrk().command(run(tmp_path, cpus=cpus, users=users))[1:5] == ["-t", str(threads), "-c", str(users)]


def test_a_url_of_an_address_with_colons(tmp_path: Path) -> None:
    assert run(tmp_path, host="::1").url("/x") == "http://[::1]:8102/x"


class TestAb:
    """Its text for people, and its two files."""

    def write(self, scratch: Path, rows: str = AB_TSV) -> None:
        """What it leaves beside what it prints."""
        (scratch / "ab.csv").write_text(AB_CSV)
        (scratch / "ab.tsv").write_text(rows)

    def test_failures_by_class(self, tmp_path: Path) -> None:
        self.write(tmp_path)
        told = ApacheBench().read(run(tmp_path), left(AB))
        assert told.requests == 400
        assert told.failed == {"status": 20, "body": 110, "closed": 3}
        assert told.n == 400 - 133
        assert (told.seconds, told.rps) == (0.512, 781.25)
        assert told.records is None
        assert told.latency.p50 == 1.5
        assert told.latency.p95 == 1.95
        assert told.latency.p99 is None  # 400 records do not support it
        assert told.latency.max == 2

    def test_rows_lie_in_the_run(self, tmp_path: Path) -> None:
        self.write(tmp_path)
        clean = "\n".join(line for line in AB.splitlines() if "Non-2xx" not in line and "(Connect" not in line)
        told = ApacheBench().read(run(tmp_path), left(clean))
        assert told.n == 400
        assert told.records is not None
        assert (told.records["scheduled"] == 1.5).all()
        assert told.records["end"] == pytest.approx(1.502)

    def test_nothing_transferred_is_nothing_answered(self, tmp_path: Path) -> None:
        self.write(tmp_path)
        told = ApacheBench().read(run(tmp_path), left(AB.replace("33600 bytes", "0 bytes")))
        assert told.n == 0
        assert told.failed["closed"] == 400

    @pytest.mark.parametrize("rows", ["", "head\nno\trow\n"])
    def test_rows_that_are_none(self, rows: str, tmp_path: Path) -> None:
        self.write(tmp_path, rows + "broken")
        with pytest.raises(UserError, match="ab: its output cannot be read"):
            ApacheBench().read(run(tmp_path), left(AB if rows else AB.replace("Complete requests", "Complete")))


class TestH2load:
    """Its two lines, and its log."""

    @pytest.mark.parametrize(("took", "seconds"), [("1.00s", 1), ("12.25ms", 0.01225), ("307us", 307e-6)])
    def test_lines_and_log(self, took: str, seconds: float, tmp_path: Path) -> None:
        (tmp_path / "h2load.tsv").write_text("1000500000\t200\t1500\n1000600000\t503\t10\n1000700000\t-1\t7\n")
        told = H2load().read(run(tmp_path), left(H2LOAD.format(took=took)))
        assert told.seconds == pytest.approx(seconds)
        assert (told.requests, told.n) == (9, 6)
        assert told.failed == {"status": 1, "timeout": 1, "closed": 1}
        assert told.records is not None
        assert told.records["verdict"].tolist() == [Ending.OK, Ending.STATUS, Ending.CLOSED]
        assert told.records["status"].tolist() == [200, 503, 0]
        assert told.records["scheduled"] == pytest.approx([1.5, 1.6, 1.7])
        assert told.latency.mean == pytest.approx(1.5)

    def test_an_empty_log(self, tmp_path: Path) -> None:
        (tmp_path / "h2load.tsv").write_text("")
        told = H2load().read(run(tmp_path), left(H2LOAD.format(took="1.00s")))
        assert told.records is not None
        assert not np.size(told.records)

    @pytest.mark.parametrize("log", [None, "1\t2\n", "a\tb\tc\n"])
    def test_a_log_that_is_none(self, log: str | None, tmp_path: Path) -> None:
        if log is not None:
            (tmp_path / "h2load.tsv").write_text(log)
        with pytest.raises(UserError, match="h2load: its output cannot be read; it ended with:\nfinished in"):
            H2load().read(run(tmp_path), left(H2LOAD.format(took="1.00s")))
