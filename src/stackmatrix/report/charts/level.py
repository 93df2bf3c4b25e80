"""Every rate that a search for a service level tried."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt

from stackmatrix.report.charts.style import FEWER, ROWS, Spec, figure_encoding, finished
from stackmatrix.report.palette import var
from stackmatrix.report.slo import PROBE_WORDS, by_arm
from stackmatrix.report.view import Group, View


@cache
def level(metric: str) -> Spec:
    """Draw every probe of a service level: a filled point where it was kept, a hollow one where it was not.

    Rows: stack, colour, shape, rate, ms, kept, words; limit; and found, low, high of each stack.
    """
    title = f"{metric}, ms"
    x = alt.X("rate:Q").scale(type="log", nice=False, padding=14).title("requests offered per second")
    x = x.axis(labelExpr=FEWER, grid=False)
    y = alt.Y("ms:Q").scale(type="log", nice=False, padding=14).title(title).axis(tickCount=6, labelExpr=FEWER)
    rows, own, shape = alt.Chart(ROWS), own_colour, alt.Shape("shape:N", scale=None, legend=None)
    limit = rows.transform_aggregate(limit="max(limit)").mark_rule(color=var("bad"), strokeDash=[6, 4])
    found = rows.transform_filter("isValid(datum.found)")
    band = found.transform_filter("isValid(datum.low)").mark_rect(opacity=0.18)
    offered = "requests offered per second"
    points = rows.transform_filter("isValid(datum.ms)").mark_point(size=60, strokeWidth=1.6, opacity=0.9)
    tooltip = [
        alt.Tooltip("stack:N"),
        alt.Tooltip("rate:Q", title="offered/s", **figure_encoding()),
        alt.Tooltip("ms:Q", title=title, **figure_encoding()),
        alt.Tooltip("words:N", title="level"),
    ]
    return finished(
        alt.layer(
            band.encode(x=alt.X("low:Q").title(offered), x2="high:Q", fill=own(alt.Fill)),
            found.mark_rule(strokeWidth=1.5).encode(x=alt.X("found:Q").title(offered), stroke=own(alt.Stroke)),
            limit.encode(y=alt.Y("limit:Q").title(title)),
            points.encode(
                x=x,
                y=y,
                shape=shape,
                stroke=own(alt.Stroke),
                fill=alt.condition("datum.kept", own(alt.Fill), alt.value("transparent")),
                tooltip=tooltip,
            ),
        ),
        height=280,
    )


def own_colour(channel: type[alt.Fill] | type[alt.Stroke]) -> Any:
    """Give a channel the colour of the row's stack."""
    return channel("colour:N", scale=None, legend=None)


@dataclass(frozen=True, slots=True)
class FoundRate:
    """The rate that was found for a stack."""

    stack: str
    found: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ProbePoint:
    """One window of a search."""

    stack: str
    rate: float
    ms: float
    kept: bool
    words: str
    limit: float


def probe_points(group: Group, view: View) -> list[FoundRate | ProbePoint]:
    """Return what the chart of one workload draws: every probe of the searches, and what was found."""
    results = by_arm(view.run.levels)
    found: list[FoundRate | ProbePoint] = []
    for cell in group.cells:
        level = results.get(cell.arm.id)
        if level is None:
            continue
        if level.rate is not None:
            found.append(FoundRate(cell.name, level.rate.value, *(level.rate.ci95 or (None, None))))
        found += [
            ProbePoint(
                cell.name,
                probe.rate,
                probe.value_ms,
                probe.outcome == "kept",
                PROBE_WORDS[probe.outcome],
                level.limit_ms,
            )
            for probe in view.probes
            if probe.arm == cell.arm.id and probe.purpose == "search" and probe.value_ms is not None
        ]
    return found
