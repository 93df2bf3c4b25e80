"""Defines what is told, event by event, while a plan is executed; the command line shows it."""

from collections.abc import Sequence
from typing import Literal

from stackmatrix.analysis.slo.level import Level
from stackmatrix.results.explain import ExtraTrial
from stackmatrix.results.plan import Arm
from stackmatrix.results.slo import Probe
from stackmatrix.results.trial import Trial

# what takes seconds and has no steps to count
Stage = Literal["starting servers", "calibrating the load generator", "stopping servers", "computing the results"]


class Watcher:
    """Is told what happens, and shows nothing; a class that derives from this one shows what it cares for."""

    def note(self, words: str) -> None: ...  # one line about the servers, the runtime that was chosen for instance
    def stage(self, name: Stage) -> None: ...  # it begins, and what went on before has ended

    # a variant, the `number`-th from 1, is checked against contract and manifest; or not timed, for a reason
    def preflight_begins(self, variant: str, number: int, of: int) -> None: ...
    def refused(self, variant: str, words: str) -> None: ...

    # arms are timed, in rounds from 0; a trial that has ended is kept
    def rounds_begin(self, arms: int, window_s: float, directory: str) -> None: ...
    def trial_begins(self, arm: Arm, number: int, attempt: int) -> None: ...
    def trial_ended(self, trial: Trial) -> None: ...

    # a whole round is done; `widest` is the largest relative half-width of a headline ratio so far
    def round_ended(self, rounds: int, expected: int, seconds_left: float | None, widest: float | None) -> None: ...

    # these arms' round is repeated because of these trials
    def round_repeated(self, arms: Sequence[Arm], bad: Sequence[Trial]) -> None: ...

    # after the rounds, extra trials of as many of the arms as the budget holds; all would take `all_s`
    def extras_begin(self, doing: str, arms: int, of: int, all_s: float) -> None: ...
    def extra_ended(self, extra: ExtraTrial, seconds_left: float) -> None: ...
    def extras_denied(self, words: str) -> None: ...  # there are no flame graphs, for this reason

    # the largest rate of each arm that keeps a service level is searched for, so many times
    def searches_begin(self, level: Level, arms: int, rounds: int, directory: str) -> None: ...
    def capacity(self, trial: Trial) -> None: ...  # of a closed loop, which says where to begin
    def probed(self, probe: Probe) -> None: ...  # a rate was tried, and kept on disk

    # one search is over: what it found, about how long everything still takes, and what the budget leaves
    def searched(self, arm: Arm, number: int, found: float | None, wanted_s: float, left_s: float | None) -> None: ...
