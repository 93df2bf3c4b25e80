"""After the rounds: the explaining pass of each arm, and with `--profile` its flame graph."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from stackmatrix.analysis.judge import last_attempts
from stackmatrix.analysis.statistics import LEAST_ROUNDS, middle
from stackmatrix.catalog.stacks import Variant
from stackmatrix.cli.watch import clock
from stackmatrix.errors import UserError
from stackmatrix.formatting import quantity
from stackmatrix.measure.explain import SETTING, explain, timed
from stackmatrix.measure.profile import LEAST_WINDOW_S, Denied, profile
from stackmatrix.measure.trial import Bench, utc_now
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.explain import Explained, Extra, Profiled
from stackmatrix.results.plan import Cell, Plan, Timing
from stackmatrix.results.reasons import NOISE
from stackmatrix.results.trial import Trial

E = TypeVar("E", bound=Extra)


SHARE = 0.2
"""Of the budget, that the explaining pass may take unless it was asked for."""


OVERHEAD_S = 1.2
"""Of a trial besides its window: warm-up, drain, counting, switching stacks; measured on two cores."""


ROUND_S = 1.7
"""Of an arm in a round besides its window, slow ones and repeats among them; measured on two cores."""


RESTART_S = 4.0
"""A stack's restart with other settings, in a container; measured on two cores."""


MARGIN = 1.25


LONGEST_S = 20.0
"""The most to which a window is lengthened to hold a whole response time."""


USUAL_S = 5.0
"""The most that a window lasts otherwise, whatever a headline trial takes."""


@dataclass(frozen=True)
class Look:
    """One arm that is to be looked at."""

    cell: Cell
    variant: Variant
    timing: Timing
    seconds: float
    """What it will take, its restart not counted."""


def reserve(plan: Plan, cells: Sequence[Cell]) -> float:
    """Seconds of the budget that the rounds leave to the explaining pass: first come the rounds that intervals need."""
    if plan.explain is False or plan.budget_s is None:
        return 0.0
    variants = {cell.variant.label for cell in cells}
    wanted = len(cells) * (min(plan.window_s, USUAL_S) + OVERHEAD_S) + len(variants) * RESTART_S
    rounds = LEAST_ROUNDS * len(cells) * (plan.window_s + ROUND_S)
    return max(0.0, min(wanted, plan.budget_s * SHARE, plan.budget_s - rounds))


class AfterRounds:
    """Both passes over the arms that have a number; each arm is on disk as soon as it ends."""

    def __init__(
        self, plan: Plan, directory: RunDirectory, bench: Bench, cells: Sequence[Cell], ends: float, out: Console
    ) -> None:
        """`ends` is the instant at which the budget is spent; inf without one."""
        self._plan = plan
        self._ends = ends
        self._directory = directory
        self._bench = bench
        self._out = out
        by_arm: dict[str, list[Trial]] = {cell.arm.id: [] for cell in cells if cell.arm.twin_of is None}
        for trial in directory.trials():
            if trial.arm in by_arm:
                by_arm[trial.arm].append(trial)
        self._good = {arm: good for arm, trials in by_arm.items() if (good := sound(trials))}
        self._cells = [cell for cell in cells if cell.arm.id in self._good and cell.arm.load.tool is None]

    def run(self) -> None:
        """Explain, then profile."""
        if self._plan.explain is not False:
            self._explain()
        if self._plan.profile:
            self._profile()

    def _explain(self) -> None:
        done = found(self._directory.passes().explained.values())
        able = [cell for cell in self._cells if SETTING in cell.variant.settings and cell.arm.id not in done]
        looks = [self._look(cell, timed(cell.variant), 0.0) for cell in able]
        share = inf
        if self._plan.budget_s and self._plan.explain is None:
            share = max(0.0, min(self._plan.budget_s * SHARE, self._ends - monotonic()))
        chosen = fitting(looks, share)
        if len(chosen) < len(looks):
            self._out.print(
                f"explaining {len(chosen)} of {len(looks)} arms: all would take about {clock(total(looks))}, more than "
                "the rounds and a fifth of the budget leave; --explain explains all of them, --no-explain none",
                markup=False,
            )
        self._carry_out("explaining", chosen, explain, Explained, self._directory.append_explained)

    def _profile(self) -> None:
        done = found(self._directory.passes().profiled.values())
        looks = [self._look(cell, cell.variant, LEAST_WINDOW_S) for cell in self._cells if cell.arm.id not in done]
        try:
            self._carry_out("profiling", looks, profile, Profiled, self._directory.append_profiled)
        except Denied as error:
            self._out.print(f"no flame graphs: {error}", markup=False)

    def _look(self, cell: Cell, variant: Variant, least_s: float) -> Look:
        """How one arm is looked at: in a window that holds a whole response time, if that is not too long."""
        response_s = (middle(trial.client.latency_ms.mean for trial in self._good[cell.arm.id]) or 0.0) / 1000
        own = cell.arm.timing or Timing(self._plan.warmup_s, self._plan.window_s)
        window_s = max(least_s, min(own.window_s, USUAL_S), min(MARGIN * response_s, LONGEST_S))
        warmup_s = min(own.warmup_s, USUAL_S)
        return Look(cell, variant, Timing(warmup_s, window_s), window_s + OVERHEAD_S + min(response_s, warmup_s))

    def _carry_out(
        self, doing: str, looks: Sequence[Look], at: Callable[..., E], kind: type[E], keep: Callable[[E], None]
    ) -> None:
        """Look at one arm after the other, those of one variant together, which spares restarts."""
        left = sorted(looks, key=lambda look: look.variant.label)
        with self._bar(doing, len(left)) as advance:
            while left:
                look, *left = left
                cell = look.cell
                try:
                    with self._bench.alone(look.variant) as service:
                        seen = at(self._bench, service, cell.arm, cell.workload, look.timing)
                except Denied:
                    raise
                except UserError as error:
                    seen = kind(arm=cell.arm.id, started=utc_now(), missing=str(error).splitlines()[0])
                keep(seen)
                advance(seen, total(left))

    @contextmanager
    def _bar(self, doing: str, arms: int) -> Iterator[Callable[[Extra, float], None]]:
        """A bar with an ETA on a terminal, a line for each arm elsewhere, and for each that failed."""
        bar = Progress(
            TextColumn(doing),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}", style="dim"),
            console=self._out,
            transient=True,
            disable=not self._out.is_terminal,
        )
        task = bar.add_task("", total=arms)
        ended = 0

        def advance(seen: Extra, seconds_left: float) -> None:
            nonlocal ended
            ended += 1
            bar.update(task, advance=1, description=f"about {clock(seconds_left)} left")
            if seen.missing or not self._out.is_terminal:
                place = f"{doing} {ended}/{arms}, {clock(seconds_left)} left"
                self._out.print(f"[{place}] {seen.arm}: {seen.missing or said(seen)}", markup=False)

        with bar:
            yield advance


def found(lines: Iterable[Extra]) -> set[str]:
    """The arms of which there is what was looked for; the others are looked at again."""
    return {line.arm for line in lines if line.missing is None}


def sound(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that make an arm's number; none when it has no number, as far as its own trials say."""
    standing = last_attempts(trials)
    failed = any(reason.kind not in NOISE for trial in standing for reason in trial.reasons)
    return [] if failed else [trial for trial in standing if not trial.reasons]


def total(looks: Sequence[Look]) -> float:
    """Seconds that they take together, each variant started once."""
    return sum(look.seconds for look in looks) + RESTART_S * len({look.variant.label for look in looks})


def fitting(looks: Sequence[Look], seconds: float) -> list[Look]:
    """As many of them as fit, the quickest first."""
    chosen: list[Look] = []
    for look in sorted(looks, key=lambda look: look.seconds):
        if total([*chosen, look]) <= seconds:
            chosen.append(look)
    return chosen


def said(seen: Extra) -> str:
    """What came of one arm, in a line."""
    if isinstance(seen, Explained) and seen.phases is not None:
        ms = [quantity(seconds * 1000) for seconds in (seen.phases.response_s, seen.phases.total_s)]
        return f"{ms[0]} ms, {ms[1]} ms of it in the application"
    if isinstance(seen, Profiled):
        return f"{seen.file}, {seen.samples} samples"
    return f"{quantity(seen.goodput)}/s"
