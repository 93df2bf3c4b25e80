"""`--slo`: looks for the largest rate at which each arm keeps a service level, and says so as it goes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from stackmatrix.cli.watch import clock
from stackmatrix.errors import UserError
from stackmatrix.levels.level import Level, parse
from stackmatrix.levels.run import ROUNDS, LevelRun
from stackmatrix.levels.verdict import judge
from stackmatrix.plan import Cell, Plan
from stackmatrix.report.levels import OUTCOMES
from stackmatrix.report.numbers import milliseconds, quantity
from stackmatrix.results import Arm, Probe, RunDirectory, ServiceLevel, Timing, Trial
from stackmatrix.run import EndedBy, Measure, Policy
from stackmatrix.trial import Bench, crashed, measure

WINDOW_S = 1.0
"""The least window of a probe; it is longer where the level's metric needs more requests."""


def find(plan: Plan, level: Level, bench: Bench, cells: Sequence[Cell], out: Console) -> EndedBy:
    """Search, and overload, every cell's arm; what ended it."""
    by_arm = {cell.arm.id: cell for cell in cells}

    @contextmanager
    def hold(arm: Arm) -> Iterator[Measure]:
        cell = by_arm[arm.id]

        def time_it(asked: Arm, number: int, attempt: int) -> Trial:
            timing = asked.timing or Timing(plan.warmup_s, plan.window_s)
            try:
                return measure(bench, service, asked, cell.workload, timing, number, attempt)
            except UserError as error:
                bench.runtime.heal()
                return crashed(asked, number, attempt, error)

        with bench.runtime.service(cell.variant) as service, bench.runtime.alone(service):
            yield time_it

    watch = LevelWatch(out, level, plan.rounds or ROUNDS)
    timing, policy = Timing(plan.warmup_s, plan.window_s), Policy(plan.seed, rounds=plan.rounds, budget_s=plan.budget_s)
    out.print(
        f"the largest rate at which each of {len(cells)} arms keeps {level.words}, {plan.rounds or ROUNDS} times; "
        f"kept in {bench.directory.shown}",
        markup=False,
    )
    return LevelRun([cell.arm for cell in cells], level, timing, policy, bench.directory, hold, watch).execute()


def judged(plan: Plan, directory: RunDirectory) -> list[ServiceLevel]:
    """What the probes on disk say; nothing in a run that had no service level."""
    return judge(plan.arms, directory.probes(), parse(plan.slo)) if plan.slo else []


class LevelWatch:
    """A `levels.run.LevelWatcher` on a console: a line for each rate, on a terminal and elsewhere."""

    def __init__(self, console: Console, level: Level, rounds: int) -> None:
        self._console = console
        self._level = level
        self._rounds = rounds

    def capacity(self, trial: Trial) -> None:
        """A closed loop of an arm was timed."""
        reasons = "".join(f"; {reason.kind}: {reason.detail}" for reason in trial.reasons)
        self._say(f"{trial.arm}: {quantity(trial.goodput)}/s{reasons}")

    def probe(self, probe: Probe) -> None:
        """A rate was tried."""
        value = f"{self._level.metric} {milliseconds(probe.value_ms)} ms, {OUTCOMES[probe.outcome]}"
        if probe.overload is not None:
            back = probe.overload.recovery_s
            after = "not recovered" if back is None else f"recovered after {quantity(back)} s"
            value = f"overloaded: {quantity(probe.overload.goodput)}/s answered, {after}"
        self._say(f"{probe.arm} at {quantity(probe.rate)}/s: {value}")

    def searched(self, arm: Arm, round: int, found: float | None, wanted_s: float, left_s: float | None) -> None:
        """One search is over."""
        rate = f"{quantity(found)}/s" if found else "no rate"
        left = f"about {clock(wanted_s)} left"
        if left_s is not None and wanted_s > left_s:
            left = f"the whole would take about {clock(wanted_s)} more, and the budget leaves {clock(left_s)}"
        self._say(f"{arm.id}, search {round + 1} of {self._rounds}: {rate}; {left}")

    def _say(self, words: str) -> None:
        self._console.print(words, markup=False)
