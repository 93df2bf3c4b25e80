"""Rates, durations, percentages, counts and lists as people type them: read as written, or refused in one line."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.cli import values

AMOUNTS: list[values.Amount[float] | values.Amount[int]] = [
    values.DURATION,
    values.RATE,
    values.COUNT,
    values.PERCENTAGE,
]
READERS: list[Callable[[str], object]] = [
    *AMOUNTS,
    *(amount.several for amount in AMOUNTS),
    values.key_value,
    values.run_name,
    values.header,
    values.core_list,
]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("100ms", 0.1), ("5m", 300), ("5min", 300), ("1h", 3600), ("1.5h", 5400), (".5s", 0.5)],
)
def test_a_duration_has_units(text: str, seconds: float) -> None:
    assert values.DURATION(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(("text", "rate"), [("1e3", 1000), ("200", 200), ("0.5", 0.5), ("200/s", 200), ("1e6", 1e6)])
def test_a_rate_is_any_number(text: str, rate: float) -> None:
    assert values.RATE(text) == rate


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("5", 0.05), ("2.5%", 0.025), ("99%", 0.99)])
def test_a_percentage_is_a_share(text: str, share: float) -> None:
    assert values.PERCENTAGE(text) == pytest.approx(share, rel=1e-12)


def test_a_list_keeps_its_order_and_refuses_what_stands_there_twice() -> None:
    assert values.COUNT.several("32, 1,8") == (32, 1, 8)
    with pytest.raises(ValueError, match="8 stands there twice"):
        values.COUNT.several("8,1,8")


@pytest.mark.parametrize("amount", AMOUNTS)
def test_the_bounds_are_read_and_nothing_beyond_them(amount: values.Amount[float]) -> None:
    assert amount(amount.least) == pytest.approx(amount.lowest)
    assert amount(amount.most) == pytest.approx(amount.highest)
    assert all(amount.lowest <= amount(text) <= amount.highest for text in re.split(", | or ", amount.example))
    for beyond in (f"{amount.highest * 1.01:.6f}", f"{amount.lowest * 0.99:.9f}"):
        unit = "%" if amount is values.PERCENTAGE else ""
        value = float(beyond) * (100 if unit else 1)
        with pytest.raises(ValueError, match=re.escape(f"from {amount.least} to {amount.most}")):
            amount(f"{value:.9f}{unit}")


@given(st.floats(0.001, 86_400))
def test_a_duration_is_read_as_it_is_written(seconds: float) -> None:
    assert values.DURATION(f"{seconds!r}s") == seconds
    assert values.DURATION(f"{seconds * 1000!r}ms") == pytest.approx(seconds, rel=1e-9)


@given(st.floats(0.001, 1e6))
def test_a_rate_is_read_as_it_is_written(rate: float) -> None:
    assert values.RATE(repr(rate)) == rate
    assert values.RATE(f"{rate:.15e}") == pytest.approx(rate, rel=1e-12)


@given(st.lists(st.integers(1, 999_999), min_size=1, unique=True))
def test_a_list_of_counts_is_read_as_it_is_written(numbers: list[int]) -> None:
    assert values.COUNT.several(",".join(map(str, numbers))) == tuple(numbers)


@given(st.integers(1, 86_400_000))
def test_what_is_written_is_read_again(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert values.DURATION(values.DURATION.written(seconds)) == pytest.approx(seconds, rel=1e-5)


@pytest.mark.parametrize(("seconds", "text"), [(82_800, "23h"), (90, "90s"), (600, "10min"), (0.25, "250ms")])
def test_a_duration_is_written_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert values.DURATION.written(seconds) == text


@given(
    st.sampled_from(READERS),
    st.text(max_size=20) | st.from_regex(r"-?[0-9.]{1,6}(e[0-9]+)?[a-z%,]{0,3}", fullmatch=True),
)
def test_any_text_is_read_or_refused_in_one_line(read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except ValueError as error:
        assert "\n" not in str(error).replace(text, "")
        assert len(str(error)) < 100 + len(text)


@pytest.mark.parametrize(
    "text", ["", " ", "-5s", "+5", "5x", "5 5", "nan", "inf", "1e999", "٣", "1_000", "0x10", "5s5", "s"]
)
def test_nonsense_is_no_amount(text: str) -> None:
    for amount in AMOUNTS:
        with pytest.raises(ValueError, match="write "):
            amount(text)


@pytest.mark.parametrize("text", ["1.5", "0", "1000000"])
def test_a_count_is_whole_and_within_its_bounds(text: str) -> None:
    with pytest.raises(ValueError, match="a whole number from 1 to 999999"):
        values.COUNT(text)


@pytest.mark.parametrize("text", ["../../x", "a/b", ".", "", "a b", "-x", "x" * 61, "é"])
def test_a_run_s_name_stays_in_its_directory(text: str) -> None:
    with pytest.raises(ValueError, match="letters, digits and hyphens"):
        values.run_name(text)


def test_cores_are_lists_and_ranges() -> None:
    assert values.core_list("1") == {1}
    assert values.core_list("2,4-6") == {2, 4, 5, 6}
    for wrong in ("3-1", "a", "1-", "", "-1"):
        with pytest.raises(ValueError, match="write cores"):
            values.core_list(wrong)


def test_a_header_is_a_name_and_a_value() -> None:
    assert values.header("X-Y:  z: 1") == ("X-Y", "z: 1")
    for wrong in ("X", "X Y: z", "X: z\r\nEvil: 1", ": z"):
        with pytest.raises(ValueError, match="write 'Name: value'"):
            values.header(wrong)
