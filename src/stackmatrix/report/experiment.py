"""A published comparison, reproduced: the tables, the figure and the words that every report has of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from stackmatrix.formatting import MISSING, capital, count, listed, percent, quantity
from stackmatrix.report.palette import var
from stackmatrix.results.experiment import ExperimentResult, ExperimentRow

# those that are published; what else a claim is about stands in its words
FIGURE_NAMES: Final[Mapping[str, str]] = {
    "goodput": "Rate",
    "requests": "Requests counted",
    "mean_ms": "Mean time",
    "p50_ms": "Median time",
    "failed_share": "Share that failed",
    "threads": "Threads",
}
WRITTEN: Final[Mapping[str, Callable[[float | None], str]]] = {
    "failed_share": percent,
    "requests": count,
    "threads": count,
}


@dataclass(frozen=True, slots=True)
class SeriesLook:
    colour: str
    shape: str
    sign: str  # the shape as a character, for legends


# who has figures of an arm
POINT_SERIES: Final[Mapping[str, SeriesLook]] = {
    "published": SeriesLook(var("ink"), "diamond", "◆"),
    "published, by the model": SeriesLook(var("muted"), "cross", "✚"),
    "project's own generator": SeriesLook(var("accent"), "circle", "●"),
    "original tool": SeriesLook(var("series-2"), "triangle-right", "▶"),
}
CLAIM_WORDS: Final = {"holds": "shown", "fails": "not shown", "unknown": "not told"}
TIME_METRICS: Final = ("mean_ms", "p50_ms")


@dataclass(frozen=True, slots=True)
class FigurePoint:
    arm: str
    series: str
    value: float


def experiment_table(result: ExperimentResult) -> tuple[list[str], list[list[str]]]:
    """Write head and lines, one for each figure of each arm; columns that would be empty are left out."""
    tools = dict.fromkeys(row.ids[1].rpartition(" by ")[2] for row in result.rows)
    by = ("measured", "predicted", "÷", "as published")
    head = ["arm", "figure", "published", "by the model"]
    head += [f"{who}, {word}" for who in ("generator", listed(list(tools)) or "tool") for word in by]
    lines: list[list[str]] = []
    before = ""
    for row in result.rows:
        name = f"{row.arm} (void: {row.void})" if row.void else row.arm
        lines.append([name if row.arm != before else "", *figure_cells(row)])
        before = row.arm
    kept = [place for place in range(len(head)) if any(line[place] not in ("", MISSING) for line in lines)]
    return [head[place] for place in kept], [[line[place] for place in kept] for line in lines]


def figure_cells(row: ExperimentRow) -> list[str]:
    unit = f", {row.unit}" if row.unit and row.metric in ("goodput", *TIME_METRICS) else ""
    shown = [
        f"{FIGURE_NAMES.get(row.metric, row.metric)}{unit}",
        figure_text(row, row.published),
        figure_text(row, row.explained),
    ]
    for side in (row.own, row.tool):
        scaled = figure_text(row, side.at_scale) if side.at_scale != side.measured else ""
        shown += [figure_text(row, side.measured), figure_text(row, side.predicted), percent(side.share), scaled]
    return shown


def figure_text(row: ExperimentRow, value: float | None) -> str:
    return WRITTEN.get(row.metric, quantity)(value)


def scale(result: ExperimentResult) -> str:
    if result.waits == result.windows == 1:
        return "For as long as it was published."
    parts = [f"waits and time-outs {count(round(1 / result.waits, 1))} times shorter"] if result.waits != 1 else []
    if result.windows != 1:
        parts.append(f"windows and ramps {count(round(1 / result.windows, 1))} times shorter")
    then = (
        " “As published” is what was measured at the published waits: rates that much lower, times that much longer."
        if result.waits != 1
        else ""
    )
    return f"Shortened: {listed(parts)} than published; the users are the same.{then} --full takes the published times."


def exceptions(result: ExperimentResult) -> list[str]:
    return result.exceptions or ["None: every arm that load or slots bind was measured within ±10 % of its prediction."]


def as_sentence(text: str) -> str:
    return f"{capital(text)}." if text else ""


def charted(result: ExperimentResult) -> str:
    published = [row.metric for row in result.rows if row.published is not None]
    return max(dict.fromkeys(published), key=published.count, default="goodput")


def figure_axis_title(result: ExperimentResult) -> str:
    metric = charted(result)
    unit = next(row.unit for row in result.rows if row.metric == metric)
    return f"{FIGURE_NAMES.get(metric, metric).lower()}, {unit}, at the published scale"


def points(result: ExperimentResult) -> list[FigurePoint]:
    metric = charted(result)
    return [
        FigurePoint(row.arm, series, value)
        for row in result.rows
        if row.metric == metric
        for series, value in zip(
            POINT_SERIES, (row.published, row.explained, row.own.at_scale, row.tool.at_scale), strict=True
        )
        if value
    ]
