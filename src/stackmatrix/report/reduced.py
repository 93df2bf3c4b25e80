"""Records reduced to what a chart draws, and kept in the run as `shapes.json` for when the records are gone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from stackmatrix.analysis.latency import right_answers
from stackmatrix.errors import UserError
from stackmatrix.load.latency import BEYOND, supported
from stackmatrix.load.records import Floats, Records, read_records
from stackmatrix.load.summary import percentile
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.trial import Trial

REDUCED_FILE: Final = "shapes.json"
BINS: Final = 60
WIDE: Final = 6.0  # latencies that spread over more than this factor are drawn on a logarithmic scale
SLICE_S: Final = 0.25
LEAST_SLICES: Final = 4
MOST_SLICES: Final = 20
NAMED: Final = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many latencies lie between two edges in ms; `beyond` are those over the last one."""

    edges: list[float]
    counts: list[int]
    beyond: int
    log: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """A short span of one window: where its middle lies in the window (0 to 1), and what was seen in it."""

    at: float
    goodput: float
    p50: float | None


@dataclass(frozen=True, slots=True)
class Shape:
    """The right answers of one arm, pooled over its rounds."""

    trials: list[str]
    requests: int
    spectrum: list[tuple[float, float]]  # (per cent, ms), as far as the sample supports it
    histogram: Histogram | None
    slices: dict[int, list[Slice]]  # by round


@dataclass(frozen=True, slots=True)
class Shapes:
    """`shapes.json`: what is drawn of every arm, by its id."""

    arms: dict[str, Shape] = field(default_factory=dict)


def shapes(directory: RunDirectory, standing: dict[str, list[Trial]]) -> dict[str, Shape]:
    """Reduce every arm's records, or take what was kept where they are gone; then keep the result."""
    kept = read_reduced(directory)
    found: dict[str, Shape] = {}
    for arm, trials in standing.items():
        before = kept.arms.get(arm)
        if before is not None and before.trials == [trial.id for trial in trials]:
            found[arm] = before
        elif trials and all(
            trial.client.records and (directory.path / trial.client.records).exists() for trial in trials
        ):
            found[arm] = shape(directory, trials)
    if found and found != kept.arms:
        directory.write(REDUCED_FILE, Shapes(found))
    return found


def read_reduced(directory: RunDirectory) -> Shapes:
    try:
        return directory.read(REDUCED_FILE, Shapes)
    except UserError:
        return Shapes()


def shape(directory: RunDirectory, trials: Sequence[Trial]) -> Shape:
    slices: dict[int, list[Slice]] = {}
    pooled: list[Floats] = []
    for trial in trials:
        window = (trial.client.window_start, trial.client.window_end)
        records = right_answers(read_records(directory.path / str(trial.client.records)), *window)
        slices[trial.round] = slice_up(records, trial.client.window_start, trial.client.window_s)
        pooled.append((records["end"] - records["scheduled"]) * 1e3)
    ordered = np.sort(np.concatenate(pooled))
    return Shape(
        [trial.id for trial in trials], len(ordered), latency_spectrum(ordered), latency_histogram(ordered), slices
    )


def latency_spectrum(ordered: Floats) -> list[tuple[float, float]]:
    """Return percentiles, evenly spaced on the scale 1/(1 − p), ten to the decade and the usual ones."""
    most = math.log10(max(len(ordered), 1) / BEYOND)
    grid = [100 * (1 - 10 ** -(step / 10)) for step in range(1, int(most * 10) + 1)]
    wanted = sorted({round(percent, 6) for percent in (*grid, *NAMED) if supported(len(ordered), percent)})
    points = ((percent, percentile(ordered, percent)) for percent in wanted)
    return [(percent, short(ms)) for percent, ms in points if ms is not None]


def latency_histogram(ordered: Floats) -> Histogram | None:
    """Count latencies in bins up to the highest percentile that the sample supports; None without a latency."""
    if not len(ordered):
        return None
    low = float(ordered[0])
    high = float(ordered[max(len(ordered) - BEYOND, math.ceil(len(ordered) * 0.9)) - 1])
    high = max(high, low * 1.001 + 1e-6)
    log = low > 0 and high / low > WIDE
    edges = np.geomspace(low, high, BINS + 1) if log else np.linspace(low, high, BINS + 1)
    edges[0], edges[-1] = low, high
    counts, _ = np.histogram(ordered, edges)
    return Histogram([short(edge) for edge in edges], counts.tolist(), int((ordered > high).sum()), log)


def slice_up(records: Records, start: float, seconds: float) -> list[Slice]:
    """Return goodput and median latency along one window; nothing for one that is too short."""
    count = min(MOST_SLICES, round(seconds / SLICE_S))
    if count < LEAST_SLICES:
        return []
    places = np.clip(((records["end"] - start) / seconds * count).astype(int), 0, count - 1)
    ms = (records["end"] - records["scheduled"]) * 1e3
    return [
        Slice(
            at=round((place + 0.5) / count, 4),
            goodput=short(int((mine := places == place).sum()) * count / seconds),
            p50=None if (median := percentile(np.sort(ms[mine]), 50)) is None else short(median),
        )
        for place in range(count)
    ]


def short(value: float) -> float:
    return float(f"{value:.5g}")
