"""Writes every report of a run: `report.html`, `report.md`, `report.csv`, its figures, and the list of all runs."""

from pathlib import Path

from stackmatrix.formatting import each_text, printable
from stackmatrix.report import csv, html, markdown
from stackmatrix.report.charts.experiment import experiment_pictures
from stackmatrix.report.charts.matrix import matrix_picture
from stackmatrix.report.charts.pictures import png, svg
from stackmatrix.report.charts.sweep import curve_pictures
from stackmatrix.report.view import View, view
from stackmatrix.results.directory import RESULTS, RunDirectory, write_file


def write_reports(directory: RunDirectory) -> None:
    """Make a run's reports, and list it in `results/index.html`; UserError when it was never judged."""
    found: View = each_text(view(directory), printable)
    matrix = matrix_picture(found)
    files: dict[str, str | bytes] = {
        "report.html": html.run_html(found),
        "report.md": markdown.run_markdown(found),
        "report.csv": csv.run_csv(found),
        "figures/matrix.svg": svg(matrix),
        "figures/matrix-dark.svg": svg(matrix, dark=True),
        "figures/matrix.png": png(matrix),
        **experiment_pictures(found.run.experiment, "figures/experiment"),
        **curve_pictures(found),
    }
    for name, content in files.items():
        write_file(directory.path / name, content)
    if directory.path.parent.resolve() == RESULTS:
        write_index(RESULTS)


def write_index(base: Path) -> None:
    write_file(base / "index.html", html.index_html(base))
