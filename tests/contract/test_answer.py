"""What two answers must share, and how their difference is shown."""

from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.contract.answer import SHORT, WINDOW, deviations, essence, folded, problem, readable, success, window
from stackmatrix.contract.client import NoAnswer, Response

PROBLEM_TYPE = ("content-type", "application/problem+json")


def body(detail: str, status: int = 404, title: str = "Not Found") -> bytes:
    return f'{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}"}}'.encode()


def test_only_the_detail_of_a_problem_may_differ() -> None:
    for detail in ("no such path", r"\"x\" is no number, \u00e4", "ä"):
        assert essence(Response(404, (PROBLEM_TYPE,), body(detail))) == problem(404)
    for wrong in (
        body(""),
        body("x", title="NOT FOUND"),
        body("x", status=405),
        body("x").replace(b":", b": "),
        body("x") + b"\n",
        b'{"title":"Not Found","type":"about:blank","status":404,"detail":"x"}',
        b"Not Found",
    ):
        assert deviations("it", problem(404), essence(Response(404, (PROBLEM_TYPE,), wrong)))


def test_parameters_of_the_content_type_and_order_of_allow_do_not_count() -> None:
    plain = Response(200, (("content-type", "application/json; charset=utf-8"), ("server", "x")), b"{}")
    assert essence(plain) == success(b"{}")
    allow = ("allow", "OPTIONS, GET,HEAD, DELETE,put")
    refusal = Response(405, (PROBLEM_TYPE, allow), body("x", 405, "Method Not Allowed"))
    assert essence(refusal) == problem(405, "GET, PUT, DELETE")


def test_what_must_not_be_there_is_seen() -> None:
    for extra in (("content-encoding", "gzip"), ("set-cookie", "a=b"), ("location", "/notes/1"), ("retry-after", "1")):
        answer = Response(200, (("content-type", "application/json"), extra), b"{}")
        assert deviations("it", success(b"{}"), essence(answer))


def test_a_difference_reads_as_a_unified_diff() -> None:
    (found,) = deviations("GET /sleep?ms=1", success(b'{"waited_ms":[1]}'), success(b'{"waited_ms": [1]}'))
    assert str(found).splitlines() == [
        "GET /sleep?ms=1",
        "--- expected",
        "+++ got",
        "@@ -1,4 +1,4 @@",
        " 200",
        " content-type: application/json",
        " ",
        '-{"waited_ms":[1]}',
        '+{"waited_ms": [1]}',
    ]
    (missing,) = deviations("GET /", success(b"{}"), NoAnswer("nothing within 15 s"))
    assert "+no answer: nothing within 15 s" in str(missing)


def test_bytes_are_shown_readably() -> None:
    assert readable("ä🎉\n\0\u2028".encode() + b"\xff") == r"ä🎉\n\x00\u2028\xff"


@given(st.binary(max_size=3 * SHORT), st.binary(max_size=3 * SHORT))
def test_long_bodies_are_cut_to_their_first_difference(one: bytes, other: bytes) -> None:
    shown = window(one, other)
    assert (shown[0] == shown[1]) == (one == other)
    assert max(map(len, shown)) <= SHORT + 2 * WINDOW + 40


def test_the_cut_says_where_it_is() -> None:
    one, other = b"a" * 1000 + b"x", b"a" * 1000 + b"y"
    assert window(one, other)[0].startswith(b"(1001 bytes, from byte 940) ")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=300), st.integers(2, 50))
def test_a_long_line_of_a_diff_is_folded_under_its_sign(text: str, width: int) -> None:
    rows = folded("-", text, width)
    assert all(row.startswith("-") and len(row) <= width for row in rows)
    assert "".join(row[1:] for row in rows) == text
    assert folded("-", text, None) == ["-" + text]
