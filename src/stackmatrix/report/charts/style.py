"""How every chart looks: its configuration, axes, colours and tooltips."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt
import msgspec

from stackmatrix.report.palette import FONT, var

Spec = dict[str, Any]  # a chart in Vega-Lite's JSON
Data = alt.NamedData | alt.InlineData
ROWS: Final = alt.NamedData("rows")
FIGURE: Final = ",.4~g"  # how tooltips write numbers
HEIGHT: Final = 220
STACK_COLOUR: Final = alt.Color("colour:N", scale=None, legend=None)  # the rows name colour and shape of their stack
STACK_SHAPE: Final = alt.Shape("shape:N", scale=None, legend=None)
PLAIN_AXIS: Final = "replace(format(datum.value, ',.6~r'), /,/g, '\u202f')"  # numbers of axes, as the tables write them
# the same for logarithmic axes, where only 1, 2 and 5 of each decade are labelled
FEWER: Final = (
    "test(/^[125]/, format(datum.value, '.0e')) || "
    f"toNumber(format(datum.value, '.0e')) != datum.value ? {PLAIN_AXIS} : ''"
)


def config() -> alt.Config:
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


def inline(rows: Sequence[object]) -> alt.InlineData:
    return alt.InlineData([msgspec.to_builtins(row) for row in rows])


def finished(chart: alt.Chart | alt.LayerChart | alt.FacetChart, height: int = HEIGHT) -> Spec:
    spec: Spec = chart.properties(width="container", height=height).configure(**config().to_dict()).to_dict()
    return spec
