"""A table fits every width, keeps what matters most, and never cuts a figure."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType

from stackmatrix.report.fitted import FittedColumn, FittedTable, fold

WIDTHS = (40, 60, 80, 100, 126, 160)
names = st.text("abc-[=],", min_size=1, max_size=40)
figures = st.integers(0, 10**6).map(str)


def printed(what: RenderableType, width: int) -> list[str]:
    """What a terminal of this width shows, line by line."""
    file = io.StringIO()
    Console(file=file, width=width, color_system=None, soft_wrap=True, markup=False, highlight=False).print(what)
    return file.getvalue().splitlines()


def columns_left_out(lines: list[str]) -> list[str]:
    """What the table itself says that it had no room for."""
    found = [line for line in lines if line.startswith("too narrow here for: ")]
    return found[0].removeprefix("too narrow here for: ").rpartition(" (")[0].split("; ") if found else []


@given(names, st.integers(3, 30))
def test_a_folded_name_fits_and_loses_nothing(name: str, width: int) -> None:
    lines = fold(name, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines) == name


def test_a_name_folds_at_its_joints() -> None:
    assert fold("fastapi-async[http_client=aiohttp]", 20) == ["fastapi-async", "[http_client=", "aiohttp]"]
    assert fold("slots (threads)", 10) == ["slots", "(threads)"]
    assert fold("server-cpu", 10) == ["server-cpu"]


@given(st.lists(st.tuples(names, figures, figures, figures), min_size=1, max_size=5), st.integers(24, 120))
def test_no_line_is_too_wide_and_no_figure_is_cut(rows: list[tuple[str, str, str, str]], width: int) -> None:
    columns = (FittedColumn("name", 1, least=12), FittedColumn("a", 2), FittedColumn("b", 4), FittedColumn("c", 3))
    table = FittedTable(columns, "elsewhere")
    table.heading("block")
    for row in rows:
        table.row(row)
    lines = printed(table, width)
    gone = columns_left_out(lines)
    shown = [line for line in lines if not line.startswith("too narrow")]
    assert all(cell_len(line) <= width for line in shown)
    assert shown[0].split() == [column.name for column in columns if column.name not in gone]
    words = " ".join(shown[2:]).split()
    for place, column in enumerate(columns[1:], 1):
        if column.name not in gone:
            assert all(row[place] in words for row in rows)
    assert "a" not in gone


def test_the_most_important_columns_are_kept_and_the_others_named() -> None:
    columns = (FittedColumn("second", 2, meaning="why"), FittedColumn("third", 3), FittedColumn("first", 1))
    table = FittedTable(columns, "the file has them")
    table.row(["1", "2", "3"])
    assert printed(table, 20) == ["second  third  first", "     1      2      3", "second: why"]
    assert printed(table, 19) == [
        "second  first",
        "     1      3",
        "too narrow here for: third (the file has them)",
        "second: why",
    ]
    assert printed(table, 5)[:3] == ["first", "    3", "too narrow here for: second; third (the file has them)"]


@pytest.mark.parametrize("width", WIDTHS)
def test_figures_stand_to_the_right_and_words_to_the_left(width: int) -> None:
    table = FittedTable((FittedColumn("arm", 1, least=10), FittedColumn("rate", 2)), "")
    table.row(["a", "1"])
    table.row(["bb", "1000"])
    assert printed(table, width) == ["arm  rate", "a       1", "bb   1000"]
