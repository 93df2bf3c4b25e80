"""`--slo`: shows the search for each arm's largest rate, a line for each rate, on a terminal and elsewhere."""

from rich.console import Console

from stackmatrix.analysis.slo.level import Level
from stackmatrix.cli.progress import minutes
from stackmatrix.formatting import milliseconds, quantity
from stackmatrix.measure.watcher import Watcher
from stackmatrix.report.slo import PROBE_WORDS
from stackmatrix.results.plan import Arm
from stackmatrix.results.slo import Probe
from stackmatrix.results.trial import Trial


class SearchLines(Watcher):
    def __init__(self, console: Console) -> None:
        self._console = console
        self._metric = ""
        self._searches = 0

    def note(self, words: str) -> None:
        self._console.print(words, markup=False)

    def searches_begin(self, level: Level, arms: int, rounds: int, directory: str) -> None:
        self._metric, self._searches = level.metric, rounds
        what = f"the largest rate at which each of {arms} arms keeps {level.words}, {rounds} times"
        self.note(f"searching for {what}; kept in {directory}")

    def capacity(self, trial: Trial) -> None:
        reasons = "".join(f"; {reason.kind}: {reason.detail}" for reason in trial.reasons)
        self.note(f"{trial.arm}: {quantity(trial.client.goodput)}/s{reasons}")

    def probed(self, probe: Probe) -> None:
        value = f"{self._metric} {milliseconds(probe.value_ms)} ms, {PROBE_WORDS[probe.outcome]}"
        if probe.overload is not None:
            back = probe.overload.recovery_s
            after = "not recovered" if back is None else f"recovered after {quantity(back)} s"
            value = f"overloaded: {quantity(probe.overload.goodput)}/s answered, {after}"
        self.note(f"{probe.arm} at {quantity(probe.rate)}/s: {value}")

    def searched(self, arm: Arm, number: int, found: float | None, wanted_s: float, left_s: float | None) -> None:
        rate = f"{quantity(found)}/s" if found else "no rate"
        left = f"about {minutes(wanted_s)} left"
        if left_s is not None and wanted_s > left_s:
            left = f"the whole would take about {minutes(wanted_s)} more, and the budget leaves {minutes(left_s)}"
        self.note(f"{arm.id}, search {number + 1} of {self._searches}: {rate}; {left}")
