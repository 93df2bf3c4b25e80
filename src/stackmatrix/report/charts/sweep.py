"""Load curves: goodput and latency against more and more load."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, Literal

import altair as alt

from stackmatrix.report.charts import style
from stackmatrix.report.charts.pictures import svg
from stackmatrix.report.curves import SweepPoint, figure, load_axis_title, sweep_points, sweep_title
from stackmatrix.report.palette import StackLook, stack_looks
from stackmatrix.report.view import View

Curve = Literal["goodput", "latency"]
Layers = alt.LayerChart | alt.FacetChart


@cache
def curves(what: Curve, load: str, loads: tuple[float, ...]) -> style.Spec:
    """Draw a sweep's curves. Rows: stack, colour, shape, load, goodput, low, high, ceiling, p50, p99."""
    base = alt.Chart(style.ROWS).encode(x=load_axis(load, loads), color=style.STACK_COLOUR, detail="stack:N")
    return style.finished(CURVES[what](base, load))


def load_axis(load: str, loads: tuple[float, ...]) -> alt.X:
    axis = alt.Axis(values=list(loads), labelExpr=style.PLAIN_AXIS, labelOverlap=True, grid=False)
    return alt.X("load:Q").scale(type="log", nice=False, padding=14).title(load).axis(axis)


def goodput_curve(base: alt.Chart, load: str) -> Layers:
    """Draw a line per stack with its intervals; dashed, the ceiling."""
    title = "goodput, requests/s"
    y = alt.Y("goodput:Q").title(title).axis(tickCount=5, labelExpr=style.PLAIN_AXIS)
    interval = alt.Y("low:Q").title(title)
    ceiling = base.mark_line(strokeDash=[3, 4], strokeWidth=1.4, opacity=0.8, clip=True)
    return alt.layer(
        ceiling.encode(y=alt.Y("ceiling:Q").title(title)),
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_rule(strokeWidth=1.5).encode(y=interval, y2="high:Q"),
        curve_points(base, y, load, "goodput", "low", "high", "ceiling"),
    )


def latency_curve(base: alt.Chart, load: str) -> Layers:
    """Draw p99 as far as the samples support it; dashed, p50."""
    title = "latency, ms"
    p50, p99 = (alt.Y(f"{name}:Q").scale(type="log", nice=False, padding=14).title(title) for name in ("p50", "p99"))
    axis = alt.Axis(tickCount=6, labelExpr=style.FEWER)
    return alt.layer(
        base.mark_line(strokeDash=[3, 4], strokeWidth=1.4, opacity=0.8).encode(y=p50.axis(axis)),
        base.mark_point(size=26, opacity=0.8).encode(y=p50.axis(axis), tooltip=curve_tooltip(load, "p50", "p99")),
        base.mark_line(strokeWidth=2).encode(y=p99.axis(axis)),
        curve_points(base, p99.axis(axis), load, "p50", "p99"),
    )


def curve_points(base: alt.Chart, y: alt.Y, load: str, *metrics: str) -> alt.Chart:
    """Draw each stack's own shape, which tells its figures."""
    points: alt.Chart = base.mark_point(filled=True, size=70, opacity=1)
    return points.encode(y=y, shape=style.STACK_SHAPE, tooltip=curve_tooltip(load, *metrics))


def curve_tooltip(load: str, *metrics: str) -> list[alt.Tooltip]:
    figures = (alt.Tooltip(f"{name}:Q", title=METRIC_TITLES[name], format=style.FIGURE) for name in metrics)
    return [alt.Tooltip("stack:N"), alt.Tooltip("load:Q", title=load), *figures]


CURVES: Final = {"goodput": goodput_curve, "latency": latency_curve}
METRIC_TITLES: Final = {
    "goodput": "goodput/s",
    "low": "from",
    "high": "to",
    "ceiling": "ceiling/s",
    "p50": "p50, ms",
    "p99": "p99, ms",
}


def curves_picture(points: Sequence[SweepPoint], looks: Mapping[str, StackLook], load: str, title: str) -> style.Spec:
    drawn = {point.stack: looks[point.stack].colour for point in points}
    colour = alt.Color(
        "stack:N",
        scale=alt.Scale(domain=list(drawn), range=list(drawn.values())),
        legend=alt.Legend(orient="bottom", columns=2, symbolType="circle"),
    )
    loads = tuple(sorted({point.load for point in points}))
    shapes = "{" + ", ".join(f"'{name}': '{looks[name].shape}'" for name in drawn) + "}"
    base = alt.Chart(style.inline(points)).transform_calculate(shape=f"{shapes}[datum.stack]")
    base = base.encode(x=load_axis(load, loads), color=colour, detail="stack:N")
    both = [draw(base, load).properties(width=380, height=style.HEIGHT) for draw in CURVES.values()]
    spec: style.Spec = alt.hconcat(*both, title=title).configure(**style.config().to_dict()).to_dict()
    return spec


def curve_pictures(view: View) -> dict[str, str | bytes]:
    looks = stack_looks(view.stack_names)
    found: dict[str, str | bytes] = {}
    for groups in view.sweeps():
        if drawn := sweep_points(groups):
            spec = curves_picture(drawn, looks, load_axis_title(groups), sweep_title(groups))
            found[f"{figure(groups)}.svg"] = svg(spec)
            found[f"{figure(groups)}-dark.svg"] = svg(spec, dark=True)
    return found
