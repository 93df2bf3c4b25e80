"""Goodput over the runs."""

from functools import cache

import altair as alt

from stackmatrix.report.charts.style import FIGURE, PLAIN_AXIS, ROWS, STACK_COLOUR, STACK_SHAPE, Spec, finished


@cache
def trend() -> Spec:
    """Draw goodput over the runs. Rows: stack, colour, shape, machine, when, run, order, goodput, low, high."""
    x = alt.X("when:O").sort(field="order").title(None).axis(labelAngle=0, labelOverlap=True)
    y = alt.Y("goodput:Q").scale(type="log", nice=False, padding=12).title("goodput, requests/s")
    y = y.axis(tickCount=5, labelExpr=PLAIN_AXIS)
    base = alt.Chart(ROWS).encode(x=x, color=STACK_COLOUR, detail=["stack:N", "machine:N"])
    bars = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q").title("goodput, requests/s"), y2="high:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        y=y,
        shape=STACK_SHAPE,
        tooltip=["stack:N", "run:N", "machine:N", alt.Tooltip("goodput:Q", format=FIGURE)],
    )
    return finished(base.mark_line(strokeWidth=2).encode(y=y) + bars + points)
