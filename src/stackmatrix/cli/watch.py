"""Shows a run as it goes: a bar with an ETA on a terminal, plain lines elsewhere."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from stackmatrix.formatting import milliseconds, percent, quantity
from stackmatrix.results.plan import Arm
from stackmatrix.results.trial import Trial


class Watch:
    """Shows the rounds on a console."""

    def __init__(self, console: Console, arms: int) -> None:
        self._console = console
        self._arms = arms
        self._began = time.monotonic()
        self._ended = 0
        self._total = arms
        self._bar = Progress(
            TextColumn("{task.fields[round]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[eta]}"),
            TextColumn("{task.description}", style="dim"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=arms, round="round 1", eta="")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the bar at the bottom of the terminal meanwhile; without a terminal there is none."""
        if not self._console.is_terminal:
            yield
            return
        with self._bar:
            yield

    def trial(self, arm: Arm, round: int, attempt: int) -> None:
        """Name the trial that begins."""
        again = f", repeat {attempt}" if attempt else ""
        self._bar.update(self._task, description=arm.id, round=f"round {round + 1}{again}")

    def ended(self, trial: Trial) -> None:
        """Count a trial, and print its figures."""
        self._ended += 1
        self._total = max(self._total, self._ended)
        self._bar.update(self._task, completed=self._ended, total=self._total, eta=f"{self._eta()} left")
        line = (
            f"{trial.arm}: {quantity(trial.client.goodput)}/s, p50 {milliseconds(trial.client.latency_ms.p50)} ms, "
            f"CPU {quantity(trial.stack_cpu_us)} µs"
        )
        words = "".join(f"; {reason.kind}: {reason.detail}" for reason in trial.reasons)
        if words or not self._console.is_terminal:
            self._console.print(f"[{self._ended}/{self._total}, {self._eta()} left] {line}{words}", markup=False)

    def round_ended(self, rounds: int, expected: int, seconds_left: float | None, widest: float | None) -> None:
        """Print how many rounds are left."""
        self._total = max(self._ended, self._ended + (expected - rounds) * self._arms)
        self._bar.update(self._task, total=self._total)
        reached = f"; widest half-width {percent(widest)}" if widest is not None else ""
        left = f", about {clock(seconds_left)} left" if seconds_left else ""
        self._console.print(f"round {rounds} of about {expected} done{left}{reached}", markup=False)

    def repeats(self, arms: Sequence[Arm], bad: Sequence[Trial]) -> None:
        """Print which arms are repeated, and why."""
        self._total += len(arms)
        kinds = Counter(reason.kind for trial in bad for reason in trial.reasons)
        why = ", ".join(f"{kind} ×{count}" if count > 1 else kind for kind, count in kinds.items())
        self._console.print(f"repeating {len(arms)} arms of {arms[0].workload}: {why}", markup=False)

    def _eta(self) -> str:
        """Estimate the time left from the mean of the trials so far."""
        each = (time.monotonic() - self._began) / max(1, self._ended)
        return clock((self._total - self._ended) * each)


def clock(seconds: float) -> str:
    """Write 45 s, 3 min, 1 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
