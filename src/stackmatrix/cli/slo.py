"""`--slo`: looks for the largest rate at which each arm keeps a service level, and says so as it goes."""

from rich.console import Console

from stackmatrix.analysis.slo.level import Level
from stackmatrix.cli.watch import clock
from stackmatrix.formatting import milliseconds, quantity
from stackmatrix.report.slo import PROBE_WORDS
from stackmatrix.results.plan import Arm
from stackmatrix.results.slo import Probe
from stackmatrix.results.trial import Trial


class LevelWatch:
    """Shows a search on a console: a line for each rate, on a terminal and elsewhere."""

    def __init__(self, console: Console, level: Level, rounds: int) -> None:
        self._console = console
        self._level = level
        self._rounds = rounds

    def capacity(self, trial: Trial) -> None:
        """Print the goodput that a search begins near."""
        reasons = "".join(f"; {reason.kind}: {reason.detail}" for reason in trial.reasons)
        self._say(f"{trial.arm}: {quantity(trial.client.goodput)}/s{reasons}")

    def probe(self, probe: Probe) -> None:
        """Print what came of one rate."""
        value = f"{self._level.metric} {milliseconds(probe.value_ms)} ms, {PROBE_WORDS[probe.outcome]}"
        if probe.overload is not None:
            back = probe.overload.recovery_s
            after = "not recovered" if back is None else f"recovered after {quantity(back)} s"
            value = f"overloaded: {quantity(probe.overload.goodput)}/s answered, {after}"
        self._say(f"{probe.arm} at {quantity(probe.rate)}/s: {value}")

    def searched(self, arm: Arm, round: int, found: float | None, wanted_s: float, left_s: float | None) -> None:
        """Print what a search found, and about how long the rest takes."""
        rate = f"{quantity(found)}/s" if found else "no rate"
        left = f"about {clock(wanted_s)} left"
        if left_s is not None and wanted_s > left_s:
            left = f"the whole would take about {clock(wanted_s)} more, and the budget leaves {clock(left_s)}"
        self._say(f"{arm.id}, search {round + 1} of {self._rounds}: {rate}; {left}")

    def _say(self, words: str) -> None:
        self._console.print(words, markup=False)
