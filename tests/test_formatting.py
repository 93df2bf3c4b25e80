"""One way to write a number: what is there is never written as nothing, and more is never written as less."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from stackmatrix.cli.shell import console
from stackmatrix.formatting import (
    MISSING,
    count,
    duration,
    each_text,
    factor,
    mib,
    percent,
    printable,
    quantity,
    rate,
    some,
)

shares = st.floats(0, 100)
figures = st.floats(1e-6, 1e12)


def value(text: str) -> float:
    """The number in a text of this module."""
    return float(text.removesuffix("%").strip().removeprefix("<").replace("\u202f", ""))


@pytest.mark.parametrize(
    ("share", "written"),
    [
        (None, MISSING),
        (0.0, "0 %"),
        (0.0001, "<0.1 %"),
        (0.0005, "0.1 %"),
        (0.003, "0.3 %"),
        (0.02, "2.0 %"),
        (0.0994, "9.9 %"),
        (0.0995, "10 %"),
        (0.97, "97 %"),
        (-0.034, "-3.4 %"),
        (12.5, "1\u202f250 %"),
    ],
)
def test_a_share(share: float | None, written: str) -> None:
    assert percent(share) == written


@given(shares)
def test_a_share_that_is_there_is_never_none(share: float) -> None:
    assert (percent(share) == "0 %") == (share == 0)


@given(shares, shares)
def test_a_larger_share_is_never_written_smaller(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert value(percent(low)) <= value(percent(high))


@pytest.mark.parametrize(
    ("figure", "written"),
    [
        (None, MISSING),
        (0.0, "0"),
        (0.003, "0.003"),
        (0.000123, "0.000123"),
        (0.512, "0.512"),
        (2.51, "2.51"),
        (9.996, "10.0"),
        (39.84, "39.8"),
        (99.96, "100"),
        (1230.4, "1\u202f230"),
        (12345.0, "12\u202f300"),
        (-2.5, "-2.50"),
    ],
)
def test_a_figure(figure: float | None, written: str) -> None:
    assert quantity(figure) == written


@given(figures)
def test_a_figure_keeps_three_digits(figure: float) -> None:
    assert value(quantity(figure)) == pytest.approx(figure, rel=0.0051)


@given(figures, figures)
def test_a_larger_figure_is_never_written_smaller(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert value(quantity(low)) <= value(quantity(high))


@given(figures, figures)
def test_a_larger_ratio_is_never_written_smaller(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert value(factor(low)) <= value(factor(high))


@pytest.mark.parametrize(
    ("figure", "written"),
    [
        (0.9994, "0.999"),
        (0.9996, "1.000"),
        (1.0042, "1.004"),
        (1.0994, "1.099"),
        (1.0996, "1.10"),
        (0.98, "0.980"),
        (0.0312, "0.0312"),
    ],
)
def test_a_ratio_near_one_has_a_fourth_digit(figure: float, written: str) -> None:
    assert factor(figure) == written


def test_things_and_units() -> None:
    assert (count(40), count(1.5), count(1234)) == ("40", "1.50", "1\u202f234")
    assert (some(1, "thread"), some(40, "thread")) == ("1 thread", "40 threads")
    assert (rate(39.84), rate(None)) == ("39.8/s", MISSING)
    assert (duration(2.507), duration(0.1), duration(0.00041)) == ("2.51 s", "100 ms", "410 µs")
    assert (duration(0), duration(0.0000004), duration(0.00006)) == ("0 s", "0.4 µs", "60 µs")
    assert (mib(203.4), mib(0.31), mib(0), mib(None)) == ("203", "0.31", "0", MISSING)


@given(st.text(alphabet=st.characters()))
def test_no_text_is_left_that_a_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(char) == "Cc" for char in shown if char not in "\t\n")
    assert shown.encode().decode() == printable(shown) == shown


def test_the_console_shows_control_characters_instead_of_sending_them(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(Text("said \x1b]0;title\x07 and \x9b2J"))
    assert capsys.readouterr().err == "said \\x1b]0;title and \\x9b2J\n"  # Rich drops BEL itself


@given(st.recursive(st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner)))
def test_a_changed_copy_has_every_text_changed_and_the_same_shape(value: object) -> None:
    changed = each_text(value, lambda text: f"{text}!")
    assert each_text(changed, lambda text: text.removesuffix("!") if text.endswith("!") else "lost") == value
