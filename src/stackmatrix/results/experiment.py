"""What an experiment asked, and what became of its claims."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PlannedExperiment:
    """Which experiment a run carries out, how much shorter than published, and the run's arms by its arms' names."""

    name: str
    waits: float
    windows: float  # what the published waits and windows are multiplied by
    arms: dict[str, tuple[str, str]]  # by the project's own generator, and by the original tool


@dataclass(frozen=True, slots=True)
class SideFigure:
    """A figure of one arm of an experiment, as the project's own generator or the original tool has it."""

    predicted: float | None = None  # what the model expects in this very window
    measured: float | None = None
    ci95: tuple[float, float] | None = None
    at_scale: float | None = None  # as it would be with the published waits

    @property
    def share(self) -> float | None:
        return self.measured / self.predicted if self.measured is not None and self.predicted else None


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    """One figure of one arm: published, predicted, measured."""

    arm: str  # as the experiment names it
    ids: tuple[str, str]  # of the run's arms: by the project's own generator, by the tool
    metric: str
    unit: str
    published: float | None
    explained: float | None  # what the model makes of the published command
    own: SideFigure
    tool: SideFigure
    void: str = ""  # why it is void for comparison; empty when it is not


ClaimOutcome = Literal["holds", "fails", "unknown"]


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """What became of one claim."""

    outcome: ClaimOutcome
    words: str
    metric: str
    value: float | None
    least: float | None
    most: float | None
    arms: list[str]


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """A question, and what the run's own measurements say to it."""

    name: str
    question: str
    source: str
    command: str  # as it was published
    waits: float
    windows: float
    rows: list[ExperimentRow]
    claims: list[ClaimResult]
    answer: list[str]
    differences: list[str]  # where the tool and the project's own generator differ, and why
    exceptions: list[str]  # arms bound by load or slots that are not as predicted, and why
