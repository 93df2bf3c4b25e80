"""The figure of an experiment: published, predicted and measured, arm by arm."""

from typing import Final

import altair as alt

from stackmatrix.report.charts.pictures import svg
from stackmatrix.report.charts.style import FEWER, FIGURE, PLAIN_AXIS, ROWS, Data, Spec, finished, inline
from stackmatrix.report.experiment import POINT_SERIES, figure_axis_title, points
from stackmatrix.report.palette import var
from stackmatrix.results.experiment import ExperimentResult

WIDE: Final = 12  # figures that spread over more than this factor are drawn on a logarithmic scale


def experiment_chart(result: ExperimentResult, rows: Data = ROWS) -> Spec:
    """Draw published, predicted and measured figures of each arm side by side: in a page, or in a file with its rows.

    Rows: arm, series, value. A page has its own legend, which a phone can wrap.
    """
    drawn = points(result)
    arms = list(dict.fromkeys(point.arm for point in drawn))
    values, labels = [point.value for point in drawn], list(POINT_SERIES)
    log = bool(values) and max(values) > WIDE * min(values)
    x = alt.X("value:Q").title(figure_axis_title(result))
    x = x.axis(tickCount=6, labelExpr=FEWER if log else PLAIN_AXIS, labelOverlap=True)
    x = x.scale(type="log", nice=False, padding=14) if log else x.scale(zero=True, nice=True)
    y = alt.Y("arm:N", sort=arms).title(None)
    y = y.axis(domain=False, ticks=False, labelLimit=320, labelPadding=10, labelColor=var("ink"), grid=True)
    legend = None if rows is ROWS else alt.Legend(columns=len(labels), symbolSize=90)
    colours = alt.Scale(domain=labels, range=[look.colour for look in POINT_SERIES.values()])
    shapes = alt.Scale(domain=labels, range=[look.shape for look in POINT_SERIES.values()])
    marks = alt.Chart(rows).mark_point(filled=True, size=110, opacity=0.85)
    return finished(
        marks.encode(
            x=x,
            y=y,
            color=alt.Color("series:N", scale=colours, legend=legend),
            shape=alt.Shape("series:N", scale=shapes, legend=legend),
            tooltip=[alt.Tooltip("arm:N"), alt.Tooltip("series:N"), alt.Tooltip("value:Q", format=FIGURE)],
        ),
        height=40 + 30 * len(arms),
    )


def experiment_pictures(result: ExperimentResult | None, stem: str) -> dict[str, str]:
    """Draw an experiment's picture files, light and dark, by their names; none for any other run."""
    if result is None or not (drawn := points(result)):
        return {}
    spec = experiment_chart(result, inline(drawn))
    return {f"{stem}.svg": svg(spec), f"{stem}-dark.svg": svg(spec, dark=True)}
