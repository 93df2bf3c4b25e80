"""The ledger of a trial: what the answers imply, and what was counted on the other side."""

from dataclasses import replace
from typing import Any

import pytest

from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.linux import Io
from stackmatrix.measure.ledger import reconcile
from stackmatrix.meter.upstreams import Counts
from stackmatrix.results.trial import LedgerLine

from .counts import counts

WORKLOADS = load_workloads()
SMALL = len(WORKLOADS["json-small"].requests()[0].expected.prefix or b"")
FILES = len(WORKLOADS["data"].requests()[0].expected.prefix or b"")


def lines(
    workload: str, after: Counts, right: int = 100, doubtful: int = 0, equal_work: bool = True
) -> list[LedgerLine]:
    """The ledger of a trial that began with nothing counted."""
    return reconcile(WORKLOADS[workload], counts(), after, right, doubtful, equal_work)


def unbalanced(workload: str, **counted: Any) -> list[str]:
    """What does not balance after a hundred right answers."""
    return [line.what for line in lines(workload, counts(**counted)) if line.balanced is False]


HONEST: dict[str, dict[str, Any]] = {
    "notes-create": {"statements": 100, "rows": 100},
    "notes-read": {"statements": 100, "pages": 300},
    "query": {"statements": 100, "database_s": 10.0},
    "http": {"upstream": 100, "upstream_ms": 10_000},
    "http-parallel": {"upstream": 400, "upstream_ms": 40_000},
    "data": {"fixtures": 2000, "nginx": Io(0, 100 * FILES + 500_000, 0, 0)},
    "json-small": {"stack": Io(100 * (SMALL + 150), 0, 0, 0)},
    "sleep": {},
}


@pytest.mark.parametrize("workload", HONEST)
def test_honest_work_balances(workload: str) -> None:
    found = lines(workload, counts(**HONEST[workload]))
    assert [line for line in found if not line.balanced] == []
    assert [line.what for line in found][:4] == ["SQL statements", "new rows", "upstream calls", "files from Nginx"]


@pytest.mark.parametrize(
    ("workload", "what", "counted"),
    [
        ("notes-create", "new rows", {"rows": 99}),
        ("notes-create", "new rows", {"rows": 101}),
        ("notes-create", "SQL statements", {"statements": 99}),
        ("notes-create", "SQL statements", {"statements": 200}),  # a SELECT 1 before each
        ("notes-read", "pages of the database", {"pages": 98}),  # from memory, beside a cheap SELECT
        ("query", "ms of the database", {"database_s": 9.89}),
        ("query", "ms of the database", {"database_s": 1.0}),
        ("http", "upstream calls", {"upstream": 1}),
        ("http", "ms asked of the upstream", {"upstream_ms": 1000}),
        ("http-parallel", "ms asked of the upstream", {"upstream_ms": 39_500}),
        ("data", "files from Nginx", {"fixtures": 20}),
        ("data", "bytes from Nginx", {"nginx": Io(0, 2000 * 200, 0, 0)}),  # 304, 200 bytes each
        ("data", "bytes from Nginx", {"nginx": Io(10**9, int(98.9 * FILES), 0, 0)}),
        ("json-small", "bytes read by the stack", {"stack": Io(100 * 150, 10**9, 0, 0)}),
        ("json-small", "bytes read by the stack", {"stack": Io(int(98.9 * SMALL), 0, 0, 0)}),
        ("sleep", "upstream calls", {"upstream": 1}),
    ],
)
def test_what_was_not_done_is_named(workload: str, what: str, counted: dict[str, Any]) -> None:
    assert unbalanced(workload, **HONEST[workload] | counted) == [what]


def test_what_honest_work_may_exceed_is_a_floor() -> None:
    (line,) = (line for line in lines("query", counts(statements=100, database_s=14.2)) if line.at_least)
    assert (line.what, line.implied, line.counted, line.balanced) == ("ms of the database", 9900, 14_200, True)


@pytest.mark.parametrize(("rows", "balanced"), [(99, False), (100, True), (105, True), (106, False)])
def test_a_doubtful_request_may_have_had_its_effects_or_not(rows: int, balanced: bool) -> None:
    found = {line.what: line for line in lines("notes-create", counts(statements=100, rows=rows), doubtful=5)}
    assert found["new rows"].slack == 5
    assert found["new rows"].balanced is balanced


@pytest.mark.parametrize(("seconds", "probes"), [(2.0, 1), (29.9, 1), (30.0, 2), (61.0, 3)])
def test_health_probes_are_allowed_for_and_no_more(seconds: float, probes: int) -> None:
    for more, balanced in ((0, True), (probes, True), (probes + 1, False)):
        after = counts(at=100.0 + seconds, statements=100 + more, rows=100)
        assert lines("notes-create", after)[0].balanced is balanced


def test_only_statements_may_differ_on_purpose() -> None:
    found = lines("notes-create", counts(statements=600, rows=100), equal_work=False)
    assert [line.binding for line in found] == [False, True, True, True]
    assert found[0].balanced is None
    assert all(line.balanced for line in found[1:])


@pytest.mark.parametrize(
    ("workload", "changed"),
    [
        ("query", {"statements": None, "database_s": None}),
        ("notes-read", {"statements": None, "pages": None}),
        ("data", {"nginx": None}),
        ("json-small", {"stack": None}),
    ],
)
def test_a_side_that_cannot_be_asked_holds_nobody_and_stays_visible(workload: str, changed: dict[str, Any]) -> None:
    found = lines(workload, replace(counts(**HONEST[workload]), **changed))
    silent = [line for line in found if line.counted is None]
    assert len(silent) == len(changed)
    assert all(line.balanced is None for line in silent)
