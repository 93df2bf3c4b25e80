"""What goes over the wire, and what counts as the right answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.http import Expected, Request

bodies = st.binary(max_size=30)


def test_a_request_goes_out_as_it_was_written() -> None:
    assert Request("POST", "/notes/", b"ab", (("A", "b"),)).encode("h:1") == (
        b"POST /notes/ HTTP/1.1\r\nHost: h:1\r\nA: b\r\nContent-Length: 2\r\n\r\nab"
    )
    assert Request("GET", "/", version="1.0").encode("h") == b"GET / HTTP/1.0\r\nHost: h\r\n\r\n"
    assert Request("POST", "/", b"").encode("h").endswith(b"Content-Length: 0\r\n\r\n")


def test_what_a_header_declares_is_not_declared_again() -> None:
    assert Request("GET", "/", None, (("host", "other"),)).encode("h") == b"GET / HTTP/1.1\r\nhost: other\r\n\r\n"
    sent = Request("POST", "/", b"", (("content-length", "9"),)).encode("h")
    assert sent.lower().count(b"content-length") == 1
    assert b"content-length: 9" in sent


def test_a_chunked_body_ends_with_an_empty_chunk() -> None:
    assert Request("POST", "/", b"ab", chunked=True).encode("h").endswith(b"\r\n\r\n2\r\nab\r\n0\r\n\r\n")
    assert Request("POST", "/", b"", chunked=True).encode("h").endswith(b"\r\n\r\n0\r\n\r\n")
    sizes = [line for line in Request("POST", "/", b"x" * 16_385, chunked=True).encode("h").split(b"\r\n") if line]
    assert [sizes[-5], *sizes[-3::2]] == [b"4000", b"1", b"0"]


def test_a_header_is_found_in_any_case() -> None:
    request = Request("GET", "/", None, (("X-Name", "a"),))
    assert request.header("x-name") == "a"
    assert request.header("x") is None


def test_a_long_target_is_shown_cut() -> None:
    assert str(Request("GET", "/" + "a" * 79)) == "GET /" + "a" * 79
    assert str(Request("GET", "/" + "a" * 80)) == "GET /" + "a" * 78 + "…"


@given(bodies, bodies)
def test_a_body_is_right_when_it_is_the_same(due: bytes, came: bytes) -> None:
    assert Expected(200, due).matches(200, came) == (due == came)
    assert Expected(200, None).matches(200, came)


@given(bodies, bodies, st.integers(0, 10**30))
def test_digits_may_stand_between_prefix_and_suffix(prefix: bytes, suffix: bytes, number: int) -> None:
    expected = Expected(201, prefix, suffix)
    assert expected.matches(201, prefix + b"%d" % number + suffix)
    assert expected.matches(201, expected.example)
    assert not expected.matches(201, prefix + suffix)
    assert not expected.matches(201, prefix + b"-%d" % number + suffix)


@pytest.mark.parametrize(("prefix", "suffix", "body"), [(b"hell", b"llo", b"hello"), (b"1", b"1", b"1")])
def test_prefix_and_suffix_do_not_overlap(prefix: bytes, suffix: bytes, body: bytes) -> None:
    assert not Expected(200, prefix, suffix).matches(200, body)


@pytest.mark.parametrize("body", [b"[7}", b"{7]", b"{x}", b"{7x}", b"{}", b"{7} ", b"{\xb2}"])
def test_prefix_digits_and_suffix_must_all_be_there(body: bytes) -> None:
    assert Expected(200, b"{", b"}").matches(200, b"{7}")
    assert not Expected(200, b"{", b"}").matches(200, body)


@pytest.mark.parametrize(("status", "any_2xx"), [(199, False), (200, True), (204, True), (299, True), (300, False)])
def test_a_status_is_right_when_it_is_the_same_or_any_2xx(status: int, any_2xx: bool) -> None:
    assert Expected().has_status(status) == Expected().matches(status, b"x") == any_2xx
    assert Expected(204).has_status(status) == Expected(204).matches(status, b"") == (status == 204)


def test_a_suffix_needs_a_prefix() -> None:
    with pytest.raises(ValueError, match="needs a prefix"):
        Expected(200, None, b"x")
