"""The page of one run."""

from datetime import datetime
from typing import Final

from stackmatrix.formatting import count
from stackmatrix.report import curves, experiment, headline, method, phases, slo
from stackmatrix.report.arms import BOUND_MEANINGS
from stackmatrix.report.charts.cell import CHART_PARTS
from stackmatrix.report.html.cells import TRIAL_COLUMNS, Cells
from stackmatrix.report.html.data import page_data
from stackmatrix.report.html.site import render
from stackmatrix.report.metrics import METRICS
from stackmatrix.report.palette import STEPS, stack_looks
from stackmatrix.report.view import View

MATRIX_METRICS: Final = (("goodput", "Goodput"), ("p99", "p99"), ("cpu", "CPU"), ("memory", "Memory"))


def run_html(view: View) -> str:
    looks = stack_looks(view.stack_names)
    when = moment(view.run.started)
    return render(
        "report.html",
        ("report.js",),
        page_data(view, looks),
        title=f"{view.run.name}, {when} · Stack Matrix",
        home="../index.html",
        view=view,
        run=view.run,
        experiment=view.run.experiment,
        cells=Cells(view, looks),
        looks=looks,
        when=when,
        headline=headline,
        method=method,
        published=experiment,
        curves=curves,
        slo=slo,
        phases=phases,
        matrix_metrics=MATRIX_METRICS,
        steps=[(number, label) for number, (_, label) in enumerate(STEPS, 1)],
        bounds=BOUND_MEANINGS,
        trial_columns=TRIAL_COLUMNS,
        part_colours=CHART_PARTS,
        metrics=METRICS,
        count=count,
    )


def moment(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%-d %B %Y, %H:%M UTC")
