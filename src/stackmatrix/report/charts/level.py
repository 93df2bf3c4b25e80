"""Every rate that a search for a service level tried."""

from dataclasses import dataclass
from functools import cache

import altair as alt

from stackmatrix.report.charts.style import FEWER, FIGURE, ROWS, STACK_SHAPE, Spec, finished
from stackmatrix.report.palette import var
from stackmatrix.report.slo import PROBE_WORDS, by_arm
from stackmatrix.report.view import Group, View


@cache
def level(metric: str) -> Spec:
    """Draw every probe of a service level: a filled point where it was kept, a hollow one where it was not.

    Rows: stack, colour, shape, rate, ms, kept, words; limit; and found, low, high of each stack.
    """
    title, offered = f"{metric}, ms", "requests offered per second"
    x = alt.X("rate:Q").scale(type="log", nice=False, padding=14).title(offered)
    x = x.axis(labelExpr=FEWER, grid=False)
    y = alt.Y("ms:Q").scale(type="log", nice=False, padding=14).title(title).axis(tickCount=6, labelExpr=FEWER)
    rows = alt.Chart(ROWS)
    fill, stroke = (channel("colour:N", scale=None, legend=None) for channel in (alt.Fill, alt.Stroke))
    limit = rows.transform_aggregate(limit="max(limit)").mark_rule(color=var("bad"), strokeDash=[6, 4])
    found = rows.transform_filter("isValid(datum.found)")
    band = found.transform_filter("isValid(datum.low)").mark_rect(opacity=0.18)
    points = rows.transform_filter("isValid(datum.ms)").mark_point(size=60, strokeWidth=1.6, opacity=0.9)
    tooltip = [
        alt.Tooltip("stack:N"),
        alt.Tooltip("rate:Q", title="offered/s", format=FIGURE),
        alt.Tooltip("ms:Q", title=title, format=FIGURE),
        alt.Tooltip("words:N", title="level"),
    ]
    return finished(
        alt.layer(
            band.encode(x=alt.X("low:Q").title(offered), x2="high:Q", fill=fill),
            found.mark_rule(strokeWidth=1.5).encode(x=alt.X("found:Q").title(offered), stroke=stroke),
            limit.encode(y=alt.Y("limit:Q").title(title)),
            points.encode(
                x=x,
                y=y,
                shape=STACK_SHAPE,
                stroke=stroke,
                fill=alt.condition("datum.kept", fill, alt.value("transparent")),
                tooltip=tooltip,
            ),
        ),
        height=280,
    )


@dataclass(frozen=True, slots=True)
class FoundRate:
    stack: str
    found: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ProbePoint:
    stack: str
    rate: float
    ms: float
    kept: bool
    words: str
    limit: float


def probe_points(group: Group, view: View) -> list[FoundRate | ProbePoint]:
    results = by_arm(view.run.levels)
    found: list[FoundRate | ProbePoint] = []
    for cell in group.cells:
        level = results.get(cell.arm.id)
        if level is None:
            continue
        if level.rate is not None:
            found.append(FoundRate(cell.name, level.rate.value, *(level.rate.ci95 or (None, None))))
        for probe in view.probes:
            if probe.arm == cell.arm.id and probe.purpose == "search" and probe.value_ms is not None:
                kept, words = probe.outcome == "kept", PROBE_WORDS[probe.outcome]
                found.append(ProbePoint(cell.name, probe.rate, probe.value_ms, kept, words, level.limit_ms))
    return found
