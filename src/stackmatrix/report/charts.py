"""Charts as Vega-Lite specifications, made with Altair: drawn in the page, and by vl-convert in picture files.

Colours are CSS variables (`palette.var`). Charts of the page name their data and get it there; each docstring says
what the rows hold.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal

import altair as alt
import vl_convert

from stackmatrix.formatting import percent, quantity
from stackmatrix.report.arms import void_kinds
from stackmatrix.report.palette import DARK, FONT, LIGHT, STEPS, coloured, series, step, var
from stackmatrix.report.view import Group, MatrixCell, View

Spec = dict[str, Any]
Row = dict[str, Any]
Curve = Literal["goodput", "latency"]
Layers = alt.LayerChart | alt.FacetChart

Data = alt.NamedData | alt.InlineData
ROWS: Final = alt.NamedData("rows")
HEIGHT: Final = 220
PLAIN_AXIS: Final = "replace(format(datum.value, ',.6~r'), /,/g, '\u202f')"
"""Numbers of axes, as the tables write them."""
FEWER: Final = (
    "test(/^[125]/, format(datum.value, '.0e')) || "
    f"toNumber(format(datum.value, '.0e')) != datum.value ? {PLAIN_AXIS} : ''"
)
"""The same for logarithmic axes, where only 1, 2 and 5 of each decade are labelled."""
SHAPES: Final = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "triangle-left",
)
EXPERIMENT_SHAPES: Final = ("diamond", "cross", "circle", "triangle-right")
CHART_PARTS: Final = {
    "stack": var("accent"),
    "database": var("series-2"),
    "files": var("series-5"),
    "upstream": var("series-4"),
    "generator": var("muted"),
}
"""Who spends CPU, and in which colour."""
PERCENTILES: Final = (
    "datum.value == 2 ? 'p50' : datum.value == 10 ? 'p90' : datum.value == 100 ? 'p99' : datum.value == 1000 ? "
    "'p99.9' : datum.value == 10000 ? 'p99.99' : 'p99.999'"
)


def config() -> alt.Config:
    """The look of every chart."""
    text: dict[str, Any] = {"font": FONT, "fontSize": 12}
    return alt.Config(
        aria=False,  # each figure has a description in words and its numbers in tables
        background="transparent",
        font=FONT,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelFont=FONT,
            titleFont=FONT,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelColor=var("muted"),
            titleColor=var("muted"),
            gridColor=var("grid"),
            domainColor=var("line"),
            tickColor=var("line"),
            labelPadding=5,
            titlePadding=8,
        ),
        legend=alt.LegendConfig(
            labelColor=var("ink"), labelFont=FONT, labelFontSize=12, labelLimit=320, title=None, orient="top", columns=3
        ),
        text=alt.MarkConfig(**text, color=var("ink")),
        title=alt.TitleConfig(font=FONT, fontSize=15, fontWeight=600, color=var("ink"), anchor="start", offset=14),
    )


def finished(chart: alt.Chart | alt.LayerChart | alt.FacetChart, height: int = HEIGHT) -> Spec:
    """The specification, as wide as its place in the page."""
    spec: Spec = chart.properties(width="container", height=height).configure(**config().to_dict()).to_dict()
    return spec


def stack_colour() -> alt.Color:
    """One colour per stack, the same in every chart: the rows name it."""
    return alt.Color("colour:N", scale=None, legend=None)


def figure_encoding(format: str = ",.4~g") -> dict[str, Any]:
    """How tooltips write numbers."""
    return {"format": format}


@cache
def spectrum() -> Spec:
    """Latency over percentiles; the other stacks of the group in thin lines. Rows: stack, mine, percent, ms, colour."""
    x = alt.X("tail:Q").scale(type="log", nice=False).title("percentile")
    x = x.axis(values=[2, 10, 100, 1000, 10000, 100000], labelExpr=PERCENTILES)
    y = alt.Y("ms:Q").scale(type="log", nice=False, padding=8).title("latency, ms").axis(tickCount=6, labelExpr=FEWER)
    base = alt.Chart(ROWS).transform_calculate(tail="1 / (1 - datum.percent / 100)").encode(x=x, y=y)
    near = alt.selection_point(fields=["percent", "stack"], on="pointerover", nearest=True, empty=False)
    tooltip = [
        alt.Tooltip("stack:N"),
        alt.Tooltip("percent:Q", title="percentile", format=".5~g"),
        alt.Tooltip("ms:Q", **figure_encoding()),
    ]
    lines = base.mark_line(strokeJoin="round", interpolate="monotone").encode(
        color=stack_colour(),
        detail="stack:N",
        size=alt.condition("datum.mine", alt.value(2.5), alt.value(1.2)),
        opacity=alt.condition("datum.mine", alt.value(1), alt.value(0.55)),
        strokeDash=alt.condition("datum.mine", alt.value([1, 0]), alt.value([5, 3])),
    )
    points = base.mark_point(filled=True, size=60).encode(
        color=stack_colour(), opacity=alt.condition(near, alt.value(1), alt.value(0)), tooltip=tooltip
    )
    return finished(lines + points.add_params(near))


@cache
def histogram(log: bool) -> Spec:
    """How often each latency was seen. Rows: low, high (ms), count."""
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
                alt.Tooltip("low:Q", title="from, ms", **figure_encoding()),
                alt.Tooltip("high:Q", title="to, ms", **figure_encoding()),
                alt.Tooltip("count:Q", title="requests", format=","),
            ],
        )
    )


@cache
def goodput_rounds() -> Spec:
    """Goodput over the rounds, the estimate with its interval behind it.

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
    """p50 and p99 over the rounds. Rows: kind (slice, round), series, round, at, value in ms."""
    title = "latency, ms"
    y = alt.Y("value:Q").title(title).axis(tickCount=5, labelExpr=PLAIN_AXIS).scale(type="log", nice=False, padding=10)
    course, rounds = over_rounds(y, title)
    shape = alt.Shape("series:N", scale=alt.Scale(range=list(SHAPES)), legend=alt.Legend())
    return finished(course + rounds.encode(shape=shape))


def over_rounds(y: alt.Y, title: str) -> tuple[alt.Chart, alt.Chart]:
    """A thin line for the course within each window, and a point for each round."""
    x = alt.X("at:Q").title("round").scale(nice=False, padding=14).axis(tickMinStep=1, format="d", grid=False)
    base = alt.Chart(ROWS).encode(x=x, y=y)
    course = base.transform_filter("datum.kind == 'slice'").mark_line(strokeWidth=1, color=var("muted"), opacity=0.55)
    rounds = base.transform_filter("datum.kind == 'round'").mark_point(
        filled=True, size=70, opacity=1, color=var("accent"), stroke=var("panel"), strokeWidth=1
    )
    tooltip = [
        alt.Tooltip("round:Q"),
        alt.Tooltip("series:N", title="what"),
        alt.Tooltip("value:Q", title=title, **figure_encoding()),
    ]
    return course.encode(detail=["round:N", "series:N"]), rounds.encode(tooltip=tooltip)


@cache
def cpu() -> Spec:
    """CPU-µs per request by who spent it. Rows: part, order, us."""
    bars = alt.Chart(ROWS).mark_bar(stroke=var("panel"), strokeWidth=1)
    return finished(
        bars.encode(
            x=alt.X("us:Q").title("CPU-µs per request").axis(tickCount=5, labelExpr=PLAIN_AXIS),
            color=alt.Color(
                "part:N", scale=alt.Scale(domain=list(CHART_PARTS), range=list(CHART_PARTS.values())), legend=None
            ),
            order=alt.Order("order:Q"),
            tooltip=[alt.Tooltip("part:N", title="spent by"), alt.Tooltip("us:Q", title="µs", **figure_encoding())],
        ),
        height=44,
    )


@cache
def pair() -> Spec:
    """The ratio of two arms by round. Rows: round, ratio, low, high, value (of the estimate), floor."""
    y = (
        alt.Y("ratio:Q")
        .scale(type="log", nice=False, padding=12)
        .title("ratio")
        .axis(tickCount=6, labelExpr=PLAIN_AXIS)
    )
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
    centre = (
        base.transform_aggregate(value="max(value)")
        .mark_rule(color=var("accent"), strokeWidth=1.5)
        .encode(y=alt.Y("value:Q").title("ratio"))
    )
    points = base.mark_point(filled=True, size=80, color=var("accent"), opacity=1, stroke=var("panel")).encode(
        x=alt.X("round:Q")
        .title("round")
        .axis(tickMinStep=1, format="d", grid=False)
        .scale(padding=14, nice=False, zero=False),
        y=y,
        tooltip=[alt.Tooltip("round:Q"), alt.Tooltip("ratio:Q", **figure_encoding())],
    )
    return finished(noise + one + band + centre + points)


@cache
def curves(what: Curve, load: str, loads: tuple[float, ...]) -> Spec:
    """Goodput with its interval and ceiling, or latency, against the loads of a sweep.

    Rows: stack, colour, shape, load, goodput, low, high, ceiling, p50, p99.
    """
    base = alt.Chart(ROWS).encode(x=load_axis(load, loads), color=stack_colour(), detail="stack:N")
    return finished(CURVES[what](base, load))


def load_axis(load: str, loads: tuple[float, ...]) -> alt.X:
    """The loads that were offered, on a logarithmic scale."""
    axis = alt.Axis(values=list(loads), labelExpr=PLAIN_AXIS, labelOverlap=True, grid=False)
    return alt.X("load:Q").scale(type="log", nice=False, padding=14).title(load).axis(axis)


def goodput_curve(base: alt.Chart, load: str) -> Layers:
    """A line per stack with its intervals; dashed, the ceiling."""
    title = "goodput, requests/s"
    y = alt.Y("goodput:Q").title(title).axis(tickCount=5, labelExpr=PLAIN_AXIS)
    interval = alt.Y("low:Q").title(title)
    ceiling = base.mark_line(strokeDash=[3, 4], strokeWidth=1.4, opacity=0.8, clip=True)
    return alt.layer(
        ceiling.encode(y=alt.Y("ceiling:Q").title(title)),
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_rule(strokeWidth=1.5).encode(y=interval, y2="high:Q"),
        curve_points(base, y, load, "goodput", "low", "high", "ceiling"),
    )


def latency_curve(base: alt.Chart, load: str) -> Layers:
    """p99 as far as the samples support it; dashed, p50."""
    title = "latency, ms"
    p50, p99 = (alt.Y(f"{name}:Q").scale(type="log", nice=False, padding=14).title(title) for name in ("p50", "p99"))
    axis = alt.Axis(tickCount=6, labelExpr=FEWER)
    return alt.layer(
        base.mark_line(strokeDash=[3, 4], strokeWidth=1.4, opacity=0.8).encode(y=p50.axis(axis)),
        base.mark_point(size=26, opacity=0.8).encode(y=p50.axis(axis), tooltip=curve_tooltip(load, "p50", "p99")),
        base.mark_line(strokeWidth=2).encode(y=p99.axis(axis)),
        curve_points(base, p99.axis(axis), load, "p50", "p99"),
    )


def curve_points(base: alt.Chart, y: alt.Y, load: str, *metrics: str) -> alt.Chart:
    """The stacks' own shapes, which tell their figures."""
    shape = alt.Shape("shape:N", scale=None, legend=None)
    points: alt.Chart = base.mark_point(filled=True, size=70, opacity=1)
    return points.encode(y=y, shape=shape, tooltip=curve_tooltip(load, *metrics))


def curve_tooltip(load: str, *metrics: str) -> list[alt.Tooltip]:
    """Stack, load and these figures."""
    figures = (alt.Tooltip(f"{name}:Q", title=METRIC_TITLES[name], **figure_encoding()) for name in metrics)
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


def curves_picture(rows: Sequence[Row], load: str, title: str) -> Spec:
    """Both curves of a sweep side by side, with a legend, for places that run no scripts."""
    looks = {row["stack"]: row["colour"] for row in rows}
    colour = alt.Color(
        "stack:N",
        scale=alt.Scale(domain=list(looks), range=list(looks.values())),
        legend=alt.Legend(orient="bottom", columns=2, symbolType="circle"),
    )
    loads = tuple(sorted({row["load"] for row in rows}))
    base = alt.Chart(alt.InlineData(list(rows))).encode(x=load_axis(load, loads), color=colour, detail="stack:N")
    both = [draw(base, load).properties(width=380, height=HEIGHT) for draw in CURVES.values()]
    spec: Spec = alt.hconcat(*both, title=title).configure(**config().to_dict()).to_dict()
    return spec


@cache
def level(metric: str) -> Spec:
    """Every probe of a service level: a filled point where it was kept, a hollow one where it was not.

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
    """The colour of the row's stack, on this channel."""
    return channel("colour:N", scale=None, legend=None)


@cache
def trend() -> Spec:
    """Goodput of one workload over the runs.

    Rows: stack, colour, shape, machine, when, run, order, goodput, low, high.
    """
    x = alt.X("when:O").sort(field="order").title(None).axis(labelAngle=0, labelOverlap=True)
    y = (
        alt.Y("goodput:Q")
        .scale(type="log", nice=False, padding=12)
        .title("goodput, requests/s")
        .axis(tickCount=5, labelExpr=PLAIN_AXIS)
    )
    base = alt.Chart(ROWS).encode(x=x, color=stack_colour(), detail=["stack:N", "machine:N"])
    bars = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q").title("goodput, requests/s"), y2="high:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        y=y,
        shape=alt.Shape("shape:N", scale=None, legend=None),
        tooltip=["stack:N", "run:N", "machine:N", alt.Tooltip("goodput:Q", **figure_encoding())],
    )
    return finished(base.mark_line(strokeWidth=2).encode(y=y) + bars + points)


def experiment(arms: Sequence[str], title: str, log: bool, labels: Sequence[str], rows: Data = ROWS) -> Spec:
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


def matrix(view: View) -> Spec:
    """The matrix as a picture: share of the ceiling as colour, goodput, interval and bound as text."""
    rows = [matrix_row(group, cell, view.several_loads) for group in view.groups for cell in group.cells]
    x = alt.X("stack:N", sort=view.stack_names).title(None)
    x = x.axis(orient="top", labelAngle=0, domain=False, ticks=False, labelFontWeight=600, labelLimit=200)
    order = list(dict.fromkeys(row["workload"] for row in rows))
    y = alt.Y("workload:N", sort=order).title(None).axis(domain=False, ticks=False, labelLimit=260, labelPadding=10)
    base = alt.Chart(alt.InlineData(rows)).encode(x=x, y=y)
    tiles = base.mark_rect(cornerRadius=4, stroke=var("panel"), strokeWidth=3).encode(
        color=alt.Color(
            "share:N",
            scale=alt.Scale(
                domain=[*(label for _, label in STEPS), "no number"],
                range=[*(var(f"share-{number}") for number in range(1, len(STEPS) + 1)), var("bad-soft")],
            ),
            legend=alt.Legend(title="share of the ceiling", orient="bottom", columns=6, titleColor=var("muted")),
        )
    )
    number = base.encode(text="goodput:N")
    first = number.transform_filter("datum.leads").mark_text(dy=-7, fontSize=15, fontWeight=700)
    others = number.transform_filter("!datum.leads").mark_text(dy=-7, fontSize=15, fontWeight=400)
    second = base.mark_text(dy=11, fontSize=11).encode(text="note:N")
    title = alt.TitleParams(
        "Goodput, requests per second",
        subtitle="bold: leads its row or shares the lead · ± of the 95 % interval · what binds it",
        subtitleColor=var("muted"),
        subtitleFont=FONT,
    )
    chart = (tiles + first + others + second).properties(width=alt.Step(150), height=alt.Step(48), title=title)
    spec: Spec = chart.configure(**config().to_dict()).to_dict()
    return spec


def matrix_row(group: Group, cell: MatrixCell, with_load: bool) -> Row:
    """One tile."""
    arm = cell.arm
    workload = f"{group.workload} · {group.load.label}" if with_load else group.workload
    row = {"stack": cell.name, "workload": workload, "leads": arm.rank == 1}
    if arm.goodput is None:
        return {**row, "share": "no number", "goodput": "void", "note": void_kinds(arm)}
    share = STEPS[step(arm.ceiling.share if arm.ceiling else 0.0) - 1][1]
    sign = f" · {cell.bound}" if cell.bound else ""
    return {
        **row,
        "share": share,
        "goodput": quantity(arm.goodput.value),
        "note": f"± {percent(arm.goodput.half_width)}{sign}",
    }


def stack_looks(names: Sequence[str]) -> Mapping[str, Row]:
    """Colour and shape of every stack, the same in all charts of a page."""
    return {
        name: {"stack": name, "colour": series(index), "shape": SHAPES[index % len(SHAPES)]}
        for index, name in enumerate(names)
    }


def svg(spec: Spec, *, dark: bool = False) -> str:
    """A chart as a picture file."""
    return vl_convert.vegalite_to_svg(coloured(framed(spec), DARK if dark else LIGHT))


def png(spec: Spec, *, scale: float = 2) -> bytes:
    """A chart as a bitmap, for places that show no SVG."""
    return vl_convert.vegalite_to_png(coloured(framed(spec), LIGHT), scale=scale)


def framed(spec: Spec) -> Spec:
    """With the ground and the margin that a picture needs by itself, and a width where the page would give one."""
    width = 720 if spec.get("width") == "container" else spec.get("width")
    config = {**spec["config"], "background": var("panel"), "padding": 16}
    return {**spec, "config": config, **({"width": width} if width else {})}


@cache
def library() -> str:
    """Vega, Vega-Lite and vega-embed as one script, from the installed package: nothing is fetched."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script")
