"""What the templates of a run's page read; a field that a template names and a view lacks is an error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stackmatrix.report.experiment import SeriesLook
from stackmatrix.report.metrics import Metric
from stackmatrix.report.palette import StackLook
from stackmatrix.report.slo import Column
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import Run

Stretch = tuple[float, float]  # left edge and width, in per cent of a scale
Triple = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class BoundView:
    key: str
    name: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Gauge:
    """Measured, predicted and ceiling on one scale, in per cent of its width."""

    width: float
    ci: Stretch | None
    tick: float
    predicted: str
    predicted_band: str
    predicted_ms: str
    band: Stretch | None


@dataclass(frozen=True, slots=True)
class TimePart:
    name: str
    duration: str
    share: str
    width: float


@dataclass(frozen=True, slots=True)
class TimeSplit:
    parts: list[TimePart]
    remarks: list[str]
    cost: str


@dataclass(frozen=True, slots=True)
class FlameView:
    file: str
    samples: str
    cost: str


@dataclass(frozen=True, slots=True)
class LedgerView:
    what: str
    implied: str
    counted: str
    words: str
    style: str


@dataclass(frozen=True, slots=True)
class CellBrief:
    slug: str
    name: str
    group: str
    load: str
    colour: str
    valid: bool
    kinds: str
    goodput: str
    half: str
    width: float
    ci: Stretch | None
    place: str
    first: bool
    step: int
    share: str
    bound: BoundView | None
    show: Mapping[str, str]  # every metric by its key, as tables write it


@dataclass(frozen=True, slots=True)
class CellDetail:
    reasons: list[Reason]
    level: str
    both_loops: bool
    explanation: list[str]
    doubt: str
    utilisation: list[tuple[str, str, float]]
    tiles: list[Triple]
    gauge: Gauge | None
    times: TimeSplit | None
    profile: FlameView | None
    requests: str
    others: bool
    beyond: str
    log: bool
    cpu: list[tuple[str, str]]
    ledger: list[LedgerView]
    identity: list[tuple[str, str]]
    elsewhere: list[CellBrief]
    trials: list[list[str]]
    command: str
    rival: CellBrief | None  # the arm that a reader would compare it with: the best other one


@dataclass(frozen=True, slots=True)
class GroupView:
    slug: str
    title: str
    detail: str
    about: str
    answer: str
    ordered: list[tuple[CellBrief, CellDetail]]


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One row of the matrix; None where a stack has no cell in it."""

    slug: str
    title: str
    detail: str
    cells: list[CellBrief | None]


@dataclass(frozen=True, slots=True)
class SweepView:
    key: str
    title: str
    cells: list[CellBrief]
    peaks: str
    looks: list[StackLook]


@dataclass(frozen=True, slots=True)
class LevelRow:
    brief: CellBrief
    figures: list[str]
    words: str


@dataclass(frozen=True, slots=True)
class LevelGroup:
    slug: str
    title: str
    looks: list[StackLook]
    rows: list[LevelRow]


@dataclass(frozen=True, slots=True)
class VoidReason:
    reason: Reason
    cells: list[CellBrief]


@dataclass(frozen=True, slots=True)
class ExperimentView:
    source: str
    command: str
    scale: str
    claims: list[Triple]
    series: Mapping[str, SeriesLook]  # who has figures; empty where nothing is drawn
    head: list[str]
    lines: list[list[str]]
    differences: list[str]
    exceptions: list[str]


@dataclass(frozen=True, slots=True)
class RunPage:
    title: str
    home: str
    run: Run
    when: str
    machine: str
    headline: str
    notes: list[Triple]
    facts: list[Triple]
    experiment: ExperimentView | None
    groups: list[GroupView]
    columns: list[str]
    rows: list[MatrixRow]
    matrix_metrics: Sequence[tuple[str, str]]
    steps: list[tuple[int, str]]
    bounds: Mapping[str, str]
    voids: list[VoidReason]
    sweeps: list[SweepView]
    levels: list[LevelGroup]
    level: str
    level_columns: Sequence[Column]
    comparable: bool
    trial_columns: Sequence[tuple[str, str]]
    part_colours: Mapping[str, str]
    time_colours: Mapping[str, str]
    limits: list[str]
    unresolved: list[str]
    method: list[str]
    noise: str
    repeats: str
    metrics: Sequence[Metric]
    stacks: Mapping[str, str]
    environment: list[tuple[str, str]]
