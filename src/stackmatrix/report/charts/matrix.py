"""The matrix as a picture, for places that run no scripts."""

from dataclasses import dataclass
from typing import Final

import altair as alt

from stackmatrix.formatting import percent, quantity
from stackmatrix.report.arms import bound_of, void_kinds
from stackmatrix.report.charts.style import Spec, config, inline
from stackmatrix.report.palette import FONT, STEPS, step, var
from stackmatrix.report.view import MatrixCell, View

NO_NUMBER: Final = "no number"


def matrix_picture(view: View) -> Spec:
    """Draw the matrix: share of the ceiling as colour, goodput, interval and bound as text."""
    drawn = [matrix_tile(view.group_title(group), cell) for group in view.groups for cell in group.cells]
    x = alt.X("stack:N", sort=view.stack_names).title(None)
    x = x.axis(orient="top", labelAngle=0, domain=False, ticks=False, labelFontWeight=600, labelLimit=200)
    order = list(dict.fromkeys(tile.workload for tile in drawn))
    y = alt.Y("workload:N", sort=order).title(None).axis(domain=False, ticks=False, labelLimit=260, labelPadding=10)
    base = alt.Chart(inline(drawn)).encode(x=x, y=y)
    tiles = base.mark_rect(cornerRadius=4, stroke=var("panel"), strokeWidth=3).encode(
        color=alt.Color(
            "share:N",
            scale=alt.Scale(
                domain=[*(label for _, label in STEPS), NO_NUMBER],
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


@dataclass(frozen=True, slots=True)
class MatrixTile:
    stack: str
    workload: str
    leads: bool
    share: str
    goodput: str
    note: str


def matrix_tile(workload: str, cell: MatrixCell) -> MatrixTile:
    arm = cell.arm
    if arm.goodput is None:
        return MatrixTile(cell.name, workload, False, NO_NUMBER, "void", void_kinds(arm))
    share = STEPS[step(arm.ceiling.share if arm.ceiling else 0.0) - 1][1]
    note = " · ".join(part for part in (f"± {percent(arm.goodput.half_width)}", bound_of(arm)) if part)
    return MatrixTile(cell.name, workload, arm.rank == 1, share, quantity(arm.goodput.value), note)
