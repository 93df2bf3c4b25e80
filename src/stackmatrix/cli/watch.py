"""Shows a plan as it is executed: bars with an ETA on a terminal, plain lines elsewhere."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from stackmatrix.analysis.slo.level import Level
from stackmatrix.cli.progress import minutes, stage
from stackmatrix.cli.slo import SearchLines
from stackmatrix.formatting import milliseconds, percent, quantity
from stackmatrix.measure.watcher import Stage
from stackmatrix.results.explain import Explained, ExtraTrial, Profiled
from stackmatrix.results.plan import Arm
from stackmatrix.results.trial import Trial


class ConsoleWatcher(SearchLines):
    """Writes to a console; used as a context, so that whatever ends a run, no bar is left on the terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._shown = ExitStack()
        """What stands at the bottom of the terminal now."""
        self._rounds: RoundsBar | None = None
        self._extras: ExtrasBar | None = None
        self._checks_began = 0.0

    def __enter__(self) -> "ConsoleWatcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shown.close()

    def stage(self, name: Stage) -> None:
        """Show it until the next begins."""
        self._show(stage(self._console, name))

    def preflight_begins(self, variant: str, number: int, of: int) -> None:
        """Say which it is, and about how long the others take."""
        now = time.monotonic()
        if number == 1:
            self._checks_began = now
        each = (now - self._checks_began) / (number - 1) if number > 1 else 0.0
        left = f", {each * (of - number + 1):.0f} s left" if each else ""
        self._show(stage(self._console, f"checking {variant} against contract and manifest ({number} of {of}{left})"))

    def refused(self, variant: str, words: str) -> None:
        """Say why."""
        self.note(f"{variant} is not timed: {words}")

    def searches_begin(self, level: Level, arms: int, rounds: int, directory: str) -> None:
        """Say what is searched for, and show no bar: every rate is a line."""
        self._show(ExitStack())
        super().searches_begin(level, arms, rounds, directory)

    def rounds_begin(self, arms: int, window_s: float, directory: str) -> None:
        """Say how much is timed and where it is kept."""
        self.note(f"{arms} arms, windows of {window_s:.1f} s; kept in {directory}")
        self._rounds = RoundsBar(self._console, arms)
        self._show(self._rounds.bar)

    def trial_begins(self, arm: Arm, number: int, attempt: int) -> None:
        """Name the trial."""
        if self._rounds:
            self._rounds.trial_begins(arm, number, attempt)

    def trial_ended(self, trial: Trial) -> None:
        """Count it, and print its figures."""
        if self._rounds:
            self._rounds.trial_ended(trial)

    def round_ended(self, rounds: int, expected: int, seconds_left: float | None, widest: float | None) -> None:
        """Print how many rounds are left."""
        if self._rounds:
            self._rounds.expect(expected - rounds)
        reached = f"; widest half-width {percent(widest)}" if widest is not None else ""
        left = f", about {minutes(seconds_left)} left" if seconds_left else ""
        self.note(f"round {rounds} of about {expected} done{left}{reached}")

    def round_repeated(self, arms: Sequence[Arm], bad: Sequence[Trial]) -> None:
        """Print which arms are repeated, and why."""
        if self._rounds:
            self._rounds.more(len(arms))
        kinds = Counter(reason.kind for trial in bad for reason in trial.reasons)
        why = ", ".join(f"{kind} ×{count}" if count > 1 else kind for kind, count in kinds.items())
        self.note(f"repeating {len(arms)} arms of {arms[0].workload}: {why}")

    def extras_begin(self, doing: str, arms: int, of: int, all_s: float) -> None:
        """Say how many arms are left out."""
        self._show(ExitStack())
        if arms < of:
            self.note(
                f"{doing} {arms} of {of} arms: all would take about {minutes(all_s)}, more than the rounds and a fifth "
                "of the budget leave; --explain explains all of them, --no-explain none"
            )
        self._extras = ExtrasBar(self._console, doing, arms)
        self._show(self._extras.bar)

    def extra_ended(self, extra: ExtraTrial, seconds_left: float) -> None:
        """Count it; print what came of it where there is no bar, and what failed."""
        if self._extras:
            self._extras.extra_ended(extra, seconds_left)

    def extras_denied(self, words: str) -> None:
        """Say why there are no flame graphs."""
        self.note(f"no flame graphs: {words}")

    def _show(self, bar: Any) -> None:
        """Put something at the bottom of the terminal instead of what stands there."""
        self._shown.close()
        self._shown.enter_context(bar)


class RoundsBar:
    """Counts trials, of which repeats and further rounds make more."""

    def __init__(self, console: Console, arms: int) -> None:
        self._console = console
        self._arms = arms
        self._began = time.monotonic()
        self._ended = 0
        self._total = arms
        self.bar = Progress(
            TextColumn("{task.fields[round]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[eta]}"),
            TextColumn("{task.description}", style="dim"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self.bar.add_task("", total=arms, round="round 1", eta="")

    def trial_begins(self, arm: Arm, number: int, attempt: int) -> None:
        """Name the trial."""
        again = f", repeat {attempt}" if attempt else ""
        self.bar.update(self._task, description=arm.id, round=f"round {number + 1}{again}")

    def trial_ended(self, trial: Trial) -> None:
        """Count it; print its figures where there is no bar, and whatever speaks against it."""
        self._ended += 1
        self._total = max(self._total, self._ended)
        self.bar.update(self._task, completed=self._ended, total=self._total, eta=f"{self._eta()} left")
        line = (
            f"{trial.arm}: {quantity(trial.client.goodput)}/s, p50 {milliseconds(trial.client.latency_ms.p50)} ms, "
            f"CPU {quantity(trial.stack_cpu_us)} µs"
        )
        words = "".join(f"; {reason.kind}: {reason.detail}" for reason in trial.reasons)
        if words or not self._console.is_terminal:
            self._console.print(f"[{self._ended}/{self._total}, {self._eta()} left] {line}{words}", markup=False)

    def expect(self, rounds: int) -> None:
        """Count on so many rounds more."""
        self._total = max(self._ended, self._ended + rounds * self._arms)
        self.bar.update(self._task, total=self._total)

    def more(self, trials: int) -> None:
        """Count on so many trials more."""
        self._total += trials

    def _eta(self) -> str:
        """Estimate the time left from the mean of the trials so far."""
        each = (time.monotonic() - self._began) / max(1, self._ended)
        return minutes((self._total - self._ended) * each)


class ExtrasBar:
    """Counts the extra trials of one kind."""

    def __init__(self, console: Console, doing: str, arms: int) -> None:
        self._console = console
        self._doing = doing
        self._arms = arms
        self._ended = 0
        self.bar = Progress(
            TextColumn(doing),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.description}", style="dim"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self.bar.add_task("", total=arms)

    def extra_ended(self, extra: ExtraTrial, seconds_left: float) -> None:
        """Count it; print what came of it where there is no bar, and what failed."""
        self._ended += 1
        self.bar.update(self._task, advance=1, description=f"about {minutes(seconds_left)} left")
        if extra.missing or not self._console.is_terminal:
            place = f"{self._doing} {self._ended}/{self._arms}, {minutes(seconds_left)} left"
            self._console.print(f"[{place}] {extra.arm}: {extra.missing or outcome_words(extra)}", markup=False)


def outcome_words(extra: ExtraTrial) -> str:
    """Say what came of one arm, in a line."""
    if isinstance(extra, Explained) and extra.phases is not None:
        ms = [quantity(seconds * 1000) for seconds in (extra.phases.response_s, extra.phases.total_s)]
        return f"{ms[0]} ms, {ms[1]} ms of it in the application"
    if isinstance(extra, Profiled):
        return f"{extra.file}, {extra.samples} samples"
    return f"{quantity(extra.goodput)}/s"
