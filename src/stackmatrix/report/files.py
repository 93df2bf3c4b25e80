"""Writes every report of a run: `report.html`, `report.md`, `report.csv`, its figures, and the list of all runs."""

from pathlib import Path

from stackmatrix.report import charts, csv, curves, experiment, html, index, markdown
from stackmatrix.report.view import view
from stackmatrix.results.directory import RESULTS, RunDirectory, writing


def write_reports(directory: RunDirectory) -> None:
    """Make a run's reports from what is on disk, and list it in `results/index.html` when it lies there.

    UserError when the run was never judged, or cannot be written.
    """
    found = view(directory)
    matrix = charts.matrix(found)
    files: dict[str, str | bytes] = {
        "report.html": html.run_page(found),
        "report.md": markdown.run_markdown(found),
        "report.csv": csv.run_csv(found),
        "figures/matrix.svg": charts.svg(matrix),
        "figures/matrix-dark.svg": charts.svg(matrix, dark=True),
        "figures/matrix.png": charts.png(matrix),
        **experiment.experiment_pictures(found.run.experiment, "figures/experiment"),
        **curves.curve_pictures(found),
    }
    for name, content in files.items():
        write_file(directory.path / name, content)
    if directory.path.parent.resolve() == RESULTS:
        write_index(RESULTS)


def write_index(base: Path) -> None:
    """Make the list of all runs below a directory."""
    write_file(base / "index.html", index.index_page(base))


def write_file(file: Path, content: str | bytes) -> None:
    """Write one file whole or not at all."""
    with writing(file):
        file.parent.mkdir(exist_ok=True)
        draft = file.with_name(f"{file.name}.part")
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        draft.replace(file)
