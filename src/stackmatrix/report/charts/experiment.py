"""The figure of an experiment: published, predicted and measured, arm by arm."""

from collections.abc import Sequence
from typing import Final

import altair as alt

from stackmatrix.report.charts.pictures import svg
from stackmatrix.report.charts.style import FEWER, PLAIN_AXIS, ROWS, Data, Spec, figure_encoding, finished, inline
from stackmatrix.report.experiment import POINT_SERIES, figure_axis_title, points, wide
from stackmatrix.report.palette import var
from stackmatrix.results.experiment import ExperimentResult

EXPERIMENT_SHAPES: Final = ("diamond", "cross", "circle", "triangle-right")


def experiment_spec(arms: Sequence[str], title: str, log: bool, labels: Sequence[str], rows: Data = ROWS) -> Spec:
    """Published, predicted and measured figures of each arm of an experiment, side by side.

    Rows: arm, series (one of `labels`, in their order), value.
    """
    x = alt.X("value:Q").title(title).axis(tickCount=6, labelExpr=FEWER if log else PLAIN_AXIS)
    x = x.scale(type="log", nice=False, padding=14) if log else x.scale(zero=True, nice=True)
    y = alt.Y("arm:N", sort=arms).title(None)
    y = y.axis(domain=False, ticks=False, labelLimit=320, labelPadding=10, labelColor=var("ink"), grid=True)
    colours = [var("ink"), var("muted"), var("accent"), var("series-2")]
    legend = alt.Legend(columns=len(labels), symbolSize=90)
    points = alt.Chart(rows).mark_point(filled=True, size=110, opacity=0.85)
    return finished(
        points.encode(
            x=x,
            y=y,
            color=alt.Color("series:N", scale=alt.Scale(domain=list(labels), range=colours), legend=legend),
            shape=alt.Shape("series:N", scale=alt.Scale(domain=list(labels), range=list(EXPERIMENT_SHAPES))),
            tooltip=[alt.Tooltip("arm:N"), alt.Tooltip("series:N"), alt.Tooltip("value:Q", **figure_encoding())],
        ),
        height=40 + 30 * len(arms),
    )


def experiment_chart(result: ExperimentResult, data: Data = ROWS) -> Spec:
    """The figure: of the page, which has the rows itself, or of a file with its data."""
    drawn = points(result)
    arms = list(dict.fromkeys(point.arm for point in drawn))
    return experiment_spec(arms, figure_axis_title(result), wide(drawn), POINT_SERIES, data)


def experiment_pictures(result: ExperimentResult | None, stem: str) -> dict[str, str]:
    """The picture files of an experiment, light and dark, by their names; none for any other run."""
    if result is None or not (drawn := points(result)):
        return {}
    spec = experiment_chart(result, inline(drawn))
    return {f"{stem}.svg": svg(spec), f"{stem}-dark.svg": svg(spec, dark=True)}
