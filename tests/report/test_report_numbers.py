"""The same numbers everywhere: HTML, Markdown, CSV and run.json say one thing."""

import csv
import html
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackmatrix.formatting import percent, quantity
from stackmatrix.report import slo
from stackmatrix.report.metrics import METRICS
from stackmatrix.report.view import view
from stackmatrix.results.run import Run

from .sample import SAMPLES, Runs

NAMES = list(SAMPLES)


def judged(runs: Runs, name: str) -> Run:
    return runs[name].read("run.json", Run)


def read(runs: Runs, name: str, file: str) -> str:
    return (runs[name].path / file).read_text()


def words(fragment: str) -> str:
    """The text of some HTML, blanks as one."""
    return single(html.unescape(re.sub(r"<[^>]*>", " ", fragment.replace("<wbr>", ""))))


def single(text: str) -> str:
    """Every blank, thin ones too, as one space."""
    return " ".join(text.split())


def cells(page: str) -> dict[str, str]:
    """What the row of every cell says, by its address."""
    found = re.findall(r'<details class="cell" id="([^"]+)">\s*<summary>(.*?)</summary>', page, re.S)
    return {slug: words(summary) for slug, summary in found}


def matrix(page: str) -> dict[str, str]:
    """What the matrix says of every cell, by its address."""
    table = page[page.index('<table class="matrix') : page.index("</table>")]
    return {slug: words(text) for slug, text in re.findall(r'<a href="#(cell-[^"]+)">(.*?)</a>', table, re.S)}


def tables(document: str) -> Iterator[tuple[str, list[str]]]:
    """Every row of the tables of workloads in Markdown: the heading above it, and its cells."""
    heading = ""
    for line in document.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        if line.startswith("| ") and not line.startswith("| ---"):
            yield heading, [word.strip() for word in line.strip("|").split("|")]


@pytest.mark.parametrize("name", NAMES)
def test_csv_has_every_number_of_run_json_in_full(runs: Runs, name: str) -> None:
    rows = {row["arm"]: row for row in csv.DictReader(io.StringIO(read(runs, name, "report.csv")))}
    arms = judged(runs, name).arms
    assert list(rows) == [arm.id for arm in arms]
    for arm in arms:
        row = rows[arm.id]
        for metric in METRICS:
            value = metric.value(arm)
            assert (float(row[metric.key]) if row[metric.key] else None) == value
        if arm.goodput and arm.goodput.ci95:
            assert (float(row["goodput_low"]), float(row["goodput_high"])) == arm.goodput.ci95
        assert row["valid"] == str(arm.valid).lower()
        assert row["rank"] == ("" if arm.rank is None else str(arm.rank))
        assert all(reason.detail in row["reasons"] for reason in arm.reasons)


@pytest.mark.parametrize("name", NAMES)
def test_html_and_markdown_say_what_run_json_says(runs: Runs, name: str) -> None:
    seen = view(runs[name])
    page = read(runs, name, "report.html")
    by_row, by_cell = cells(page), matrix(page)
    lines: dict[tuple[str, str], list[str]] = {}
    for title, row in tables(read(runs, name, "report.md")):
        lines.setdefault((title, row[1].strip("*")), row)  # the first table of a heading has the numbers
    assert by_row.keys() == by_cell.keys() == {cell.slug for cell in seen.cells}
    titles = {cell.slug: seen.group_title(group) for group in seen.groups for cell in group.cells}
    for cell in seen.cells:
        arm = cell.arm
        line = lines[titles[cell.slug], cell.name]
        if arm.goodput is None:
            assert "void" in by_row[cell.slug] and "void" in by_cell[cell.slug] and line[2].startswith("void")
            assert all(kind in text for kind in {r.kind for r in arm.reasons} for text in (by_row[cell.slug], line[2]))
            continue
        goodput, half = quantity(arm.goodput.value), percent(arm.goodput.half_width)
        shown = {metric.key: metric.show(arm) for metric in METRICS}
        width = f" ± {half}" if arm.goodput.ci95 else ""
        assert f"{cell.name} {single(goodput)}{width} p50" in by_row[cell.slug]
        for key, label in (
            ("p50_ms", "p50 ms"),
            ("p99_ms", "p99 ms"),
            ("cpu_us_stack", "CPU µs"),
            ("memory_mib", "MiB"),
        ):
            assert f"{label} {single(shown[key])}" in by_row[cell.slug]
        assert by_cell[cell.slug].startswith(f"{single(goodput)} requests per second{width}")
        assert line[2:4] == [goodput, half]
        assert line[4:6] == [shown["p50_ms"], shown["p99_ms"]]
        assert line[7:11] == [shown[key] for key in ("cpu_us_stack", "memory_mib", "threads", "share")]


@pytest.mark.parametrize("name", ["matrix", "void"])
def test_every_reason_stands_with_its_remedy(runs: Runs, name: str) -> None:
    page, document = words(read(runs, name, "report.html")), read(runs, name, "report.md")
    for arm in judged(runs, name).arms:
        for reason in arm.reasons:
            assert reason.detail in page and reason.remedy in page
            assert reason.detail in document and reason.remedy in document


def test_the_whole_matrix_is_under_eight_mib(runs: Runs) -> None:
    assert len(view(runs["matrix"]).cells) == 48
    assert (runs["matrix"].path / "report.html").stat().st_size < 8 * 2**20


def test_figures_hold_every_number_and_concrete_colours(runs: Runs) -> None:
    folder: Path = runs["matrix"].path / "figures"
    for name in ("matrix.svg", "matrix-dark.svg"):
        picture = (folder / name).read_text()
        assert "var(" not in picture
        for arm in judged(runs, "matrix").arms:
            assert (quantity(arm.goodput.value) if arm.goodput else "void") in picture
    assert (folder / "matrix.png").read_bytes().startswith(b"\x89PNG")


def test_service_levels_say_the_same_everywhere(runs: Runs) -> None:
    run, seen = judged(runs, "levels"), view(runs["levels"])
    page, document = words(read(runs, "levels", "report.html")), read(runs, "levels", "report.md")
    rows = {row["arm"]: row for row in csv.DictReader(io.StringIO(read(runs, "levels", "report.csv")))}
    names = {cell.arm.id: cell.name for cell in seen.cells}
    assert {level.arm for level in run.levels} == set(names)
    for level in run.levels:
        row, figures = rows[level.arm], slo.level_cells(level)
        assert single(level.words) in page and level.words in document
        assert f"| {' | '.join([names[level.arm], *figures])} |" in document
        assert single(" ".join([names[level.arm], *figures])) in page
        assert row["level"] == level.level
        assert row["level_words"] == level.words
        if level.rate is None:
            assert row["level_rate"] == row["level_low"] == ""
        else:
            assert level.rate.ci95 is not None
            assert float(row["level_rate"]) == level.rate.value
            assert (float(row["level_low"]), float(row["level_high"])) == level.rate.ci95
        if level.overload is not None:
            assert float(row["overload_goodput"]) == level.overload.goodput.value


def test_a_run_without_a_service_level_says_nothing_of_one(runs: Runs) -> None:
    assert "Service level" not in read(runs, "matrix", "report.html") + read(runs, "matrix", "report.md")


def test_every_sweep_has_its_picture(runs: Runs) -> None:
    document = read(runs, "sweep", "report.md")
    pictures = re.findall(r'(?:src|srcset)="(figures/curves-[^"]+)"', document)
    assert len(pictures) == 4
    for name in pictures:
        picture = read(runs, "sweep", name)
        assert "var(" not in picture
        assert "fastapi-sync[threads=100]" in picture
