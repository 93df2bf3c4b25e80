"""A table leaves columns out where they do not fit, and never cuts a number."""

import io

import pytest
from rich.console import Console

from stackmatrix.formatting import quantity
from stackmatrix.report.fitted import FittedColumn, FittedTable
from stackmatrix.report.terminal import run_table
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.run import Run

from .sample import Runs

COLUMNS = (FittedColumn("stack", None, "left"), FittedColumn("goodput/s", 2), FittedColumn("memory", 1))


def drawn(what: object, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(what)
    return out.getvalue()


def sample() -> FittedTable:
    table = FittedTable(COLUMNS, "see elsewhere")
    table.add_row("fastapi-sync", "12 345", "67 890")
    return table


def test_what_matters_most_stays() -> None:
    wide, narrow, least = (drawn(sample(), width) for width in (60, 32, 16))
    assert "67 890" in wide and "see elsewhere" not in wide
    assert "12 345" in narrow and "67 890" not in narrow
    assert "Too narrow for memory: see elsewhere" in " ".join(narrow.split())
    assert "fastapi-sync" in least and "12 345" not in least


def test_a_name_wraps_where_even_the_names_do_not_fit() -> None:
    assert "".join(drawn(sample(), 9).split()).startswith("stackfastapi-sync")


@pytest.mark.parametrize("width", range(40, 164, 8))
def test_no_number_of_the_matrix_is_cut(runs: Runs, width: int) -> None:
    directory: RunDirectory = runs["matrix"]
    run = directory.read("run.json", Run)
    text = drawn(run_table(run), width)
    assert "…" not in text
    for arm in run.arms:
        if arm.goodput is not None and width >= 56:
            assert f" {quantity(arm.goodput.value)} " in text
    assert all(len(line) <= width for line in text.splitlines())
