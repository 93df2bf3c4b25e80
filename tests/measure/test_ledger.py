"""The ledger of a trial: what the answers imply, and what was counted on the other side."""

from dataclasses import replace

from stackmatrix.catalog.workloads import Effects
from stackmatrix.measure.ledger import reconcile
from stackmatrix.meter.upstreams import Counts

EFFECTS = Effects(statements=2, rows=1, upstream=3, fixtures=20)
BEFORE = Counts(statements=100, database_s=1.0, rows=1000, sessions=7, upstream=50, fixtures=4000)
AFTER = Counts(statements=300, database_s=2.0, rows=1100, sessions=9, upstream=350, fixtures=6000)


def test_every_side_is_held_against_what_the_answers_imply() -> None:
    lines = reconcile(EFFECTS, BEFORE, AFTER, right=100, doubtful=0, equal_work=True)
    assert [(line.what, line.implied, line.counted) for line in lines] == [
        ("SQL statements", 200, 200),
        ("new rows", 100, 100),
        ("upstream calls", 300, 300),
        ("files from Nginx", 2000, 2000),
    ]
    assert all(line.balanced for line in lines)
    short = reconcile(EFFECTS, BEFORE, replace(AFTER, rows=1099), right=100, doubtful=0, equal_work=True)
    assert [line.what for line in short if not line.balanced] == ["new rows"]


def test_a_doubtful_request_may_have_had_its_effects_or_not() -> None:
    for rows, balanced in ((1099, False), (1100, True), (1105, True), (1106, False)):
        lines = reconcile(EFFECTS, BEFORE, replace(AFTER, rows=rows), right=100, doubtful=5, equal_work=True)
        assert {line.what: line.slack for line in lines} == {
            "SQL statements": 10,
            "new rows": 5,
            "upstream calls": 15,
            "files from Nginx": 100,
        }
        assert lines[1].balanced is balanced


def test_only_statements_may_differ_on_purpose() -> None:
    lines = reconcile(EFFECTS, BEFORE, AFTER, right=1, doubtful=0, equal_work=False)
    assert [line.binding for line in lines] == [False, True, True, True]
    assert lines[0].balanced is None


def test_a_side_that_cannot_be_asked_holds_nobody() -> None:
    dumb = replace(AFTER, statements=None)
    lines = reconcile(EFFECTS, BEFORE, dumb, right=1, doubtful=0, equal_work=True)
    assert (lines[0].counted, lines[0].balanced) == (None, None)
