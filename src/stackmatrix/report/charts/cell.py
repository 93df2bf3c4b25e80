"""Charts of one cell, and of two against each other."""

from functools import cache
from typing import Final

import altair as alt

from stackmatrix.report.charts.style import FEWER, FIGURE, PLAIN_AXIS, ROWS, STACK_COLOUR, Spec, finished
from stackmatrix.report.palette import SHAPES, var

# who spends CPU, and in which colour
CHART_PARTS: Final = {
    "stack": var("accent"),
    "database": var("series-2"),
    "files": var("series-5"),
    "upstream": var("series-4"),
    "generator": var("muted"),
}
PERCENTILES: Final = (
    "datum.value == 2 ? 'p50' : datum.value == 10 ? 'p90' : datum.value == 100 ? 'p99' : datum.value == 1000 ? "
    "'p99.9' : datum.value == 10000 ? 'p99.99' : 'p99.999'"
)


@cache
def spectrum() -> Spec:
    """Draw latency over percentiles, the group's other stacks in thin lines. Rows: stack, mine, percent, ms, colour."""
    x = alt.X("tail:Q").scale(type="log", nice=False).title("percentile")
    x = x.axis(values=[2, 10, 100, 1000, 10000, 100000], labelExpr=PERCENTILES)
    y = alt.Y("ms:Q").scale(type="log", nice=False, padding=8).title("latency, ms").axis(tickCount=6, labelExpr=FEWER)
    base = alt.Chart(ROWS).transform_calculate(tail="1 / (1 - datum.percent / 100)").encode(x=x, y=y)
    near = alt.selection_point(fields=["percent", "stack"], on="pointerover", nearest=True, empty=False)
    tooltip = [
        alt.Tooltip("stack:N"),
        alt.Tooltip("percent:Q", title="percentile", format=".5~g"),
        alt.Tooltip("ms:Q", format=FIGURE),
    ]
    lines = base.mark_line(strokeJoin="round", interpolate="monotone").encode(
        color=STACK_COLOUR,
        detail="stack:N",
        size=alt.condition("datum.mine", alt.value(2.5), alt.value(1.2)),
        opacity=alt.condition("datum.mine", alt.value(1), alt.value(0.55)),
        strokeDash=alt.condition("datum.mine", alt.value([1, 0]), alt.value([5, 3])),
    )
    points = base.mark_point(filled=True, size=60).encode(
        color=STACK_COLOUR, opacity=alt.condition(near, alt.value(1), alt.value(0)), tooltip=tooltip
    )
    return finished(lines + points.add_params(near))


@cache
def histogram(log: bool) -> Spec:
    """Draw how often each latency was seen. Rows: low, high (ms), count."""
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=False, nice=False)
    x = alt.X("low:Q", bin="binned").scale(scale).title("latency, ms").axis(labelExpr=PLAIN_AXIS, tickCount=6)
    bars = alt.Chart(ROWS).mark_rect(color=var("accent"), opacity=0.85, stroke=var("panel"), strokeWidth=0.6)
    return finished(
        bars.encode(
            x=x,
            x2="high:Q",
            y=alt.Y("count:Q").title("requests").axis(tickCount=4, labelExpr=PLAIN_AXIS),
            y2=alt.datum(0),
            tooltip=[
                alt.Tooltip("low:Q", title="from, ms", format=FIGURE),
                alt.Tooltip("high:Q", title="to, ms", format=FIGURE),
                alt.Tooltip("count:Q", title="requests", format=","),
            ],
        )
    )


@cache
def goodput_rounds() -> Spec:
    """Draw goodput over the rounds, the estimate with its interval behind it.

    Rows: kind (slice, round, estimate), round, at (1 is the middle of round 1), value; an estimate has low and high.
    """
    title = "goodput, requests/s"
    y = alt.Y("value:Q").title(title).axis(tickCount=5, labelExpr=PLAIN_AXIS).scale(zero=False)
    estimate = alt.Chart(ROWS).transform_filter("datum.kind == 'estimate'")
    band = estimate.transform_filter("isValid(datum.low)").mark_rect(color=var("accent"), opacity=0.14)
    centre = estimate.mark_rule(color=var("accent"), strokeWidth=1.2).encode(y=y)
    course, rounds = over_rounds(y, title)
    return finished(alt.layer(band.encode(y=alt.Y("low:Q").title(title), y2="high:Q"), centre, course, rounds))


@cache
def latency_rounds() -> Spec:
    """Draw p50 and p99 over the rounds. Rows: kind (slice, round), series, round, at, value in ms."""
    title = "latency, ms"
    y = alt.Y("value:Q").title(title).axis(tickCount=5, labelExpr=PLAIN_AXIS).scale(type="log", nice=False, padding=10)
    course, rounds = over_rounds(y, title)
    shape = alt.Shape("series:N", scale=alt.Scale(range=list(SHAPES)), legend=alt.Legend())
    return finished(course + rounds.encode(shape=shape))


def over_rounds(y: alt.Y, title: str) -> tuple[alt.Chart, alt.Chart]:
    """Draw a thin line for the course within each window, and a point for each round."""
    x = alt.X("at:Q").title("round").scale(nice=False, padding=14).axis(tickMinStep=1, format="d", grid=False)
    base = alt.Chart(ROWS).encode(x=x, y=y)
    course = base.transform_filter("datum.kind == 'slice'").mark_line(strokeWidth=1, color=var("muted"), opacity=0.55)
    rounds = base.transform_filter("datum.kind == 'round'").mark_point(
        filled=True, size=70, opacity=1, color=var("accent"), stroke=var("panel"), strokeWidth=1
    )
    tooltip = [
        alt.Tooltip("round:Q"),
        alt.Tooltip("series:N", title="what"),
        alt.Tooltip("value:Q", title=title, format=FIGURE),
    ]
    return course.encode(detail=["round:N", "series:N"]), rounds.encode(tooltip=tooltip)


@cache
def cpu() -> Spec:
    """Draw CPU-µs per request by who spent it. Rows: part, order, us."""
    bars = alt.Chart(ROWS).mark_bar(stroke=var("panel"), strokeWidth=1)
    return finished(
        bars.encode(
            x=alt.X("us:Q").title("CPU-µs per request").axis(tickCount=5, labelExpr=PLAIN_AXIS),
            color=alt.Color(
                "part:N", scale=alt.Scale(domain=list(CHART_PARTS), range=list(CHART_PARTS.values())), legend=None
            ),
            order=alt.Order("order:Q"),
            tooltip=[alt.Tooltip("part:N", title="spent by"), alt.Tooltip("us:Q", title="µs", format=FIGURE)],
        ),
        height=44,
    )


@cache
def pair() -> Spec:
    """Draw the ratio of two arms by round. Rows: round, ratio, low, high, value (of the estimate), floor."""
    x = alt.X("round:Q").title("round").axis(tickMinStep=1, format="d", grid=False)
    x = x.scale(padding=14, nice=False, zero=False)
    y = alt.Y("ratio:Q").scale(type="log", nice=False, padding=12).title("ratio")
    y = y.axis(tickCount=6, labelExpr=PLAIN_AXIS)
    base = alt.Chart(ROWS)
    floor = base.transform_aggregate(floor="max(floor)").transform_calculate(
        floor_low="1 / (1 + datum.floor)", floor_high="1 + datum.floor"
    )
    noise = floor.mark_rect(color=var("muted"), opacity=0.16).encode(
        y=alt.Y("floor_low:Q").title("ratio"), y2="floor_high:Q"
    )
    one = floor.mark_rule(color=var("muted"), strokeDash=[4, 3]).encode(y=alt.datum(1))
    interval = base.transform_filter("isValid(datum.low)").transform_aggregate(low="min(low)", high="max(high)")
    band = interval.mark_rect(color=var("accent"), opacity=0.18).encode(y=alt.Y("low:Q").title("ratio"), y2="high:Q")
    centre = base.transform_aggregate(value="max(value)").mark_rule(color=var("accent"), strokeWidth=1.5)
    centre = centre.encode(y=alt.Y("value:Q").title("ratio"))
    points = base.mark_point(filled=True, size=80, color=var("accent"), opacity=1, stroke=var("panel")).encode(
        x=x,
        y=y,
        tooltip=[alt.Tooltip("round:Q"), alt.Tooltip("ratio:Q", format=FIGURE)],
    )
    return finished(noise + one + band + centre + points)
