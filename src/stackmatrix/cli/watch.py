"""Shows a plan as it is executed: bars with an ETA on a terminal, plain lines elsewhere."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from stackmatrix.analysis.slo.level import Level
from stackmatrix.cli.progress import minutes, stage
from stackmatrix.formatting import listed, milliseconds, percent, quantity, some
from stackmatrix.measure.watcher import Stage, Watcher
from stackmatrix.report.slo import PROBE_WORDS
from stackmatrix.results.explain import Explained, ExtraTrial, Profiled
from stackmatrix.results.plan import Arm
from stackmatrix.results.slo import Probe
from stackmatrix.results.trial import Trial


class ConsoleWatcher(Watcher, AbstractContextManager["ConsoleWatcher"]):
    """Writes to a console; used as a context, so that whatever ends a run, no bar is left on the terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = ExitStack()  # what stands at the bottom of the terminal now
        self._began = 0.0  # when the checks began, later the rounds

    def note(self, words: str) -> None:
        self._console.print(words, markup=False)

    def __exit__(self, *_: object) -> None:
        self._shown.close()

    def _show(self, bar: AbstractContextManager[object]) -> None:
        """Put something at the bottom of the terminal instead of what stands there."""
        self._shown.close()
        self._shown.enter_context(bar)

    def _count(self, title: str, total: int) -> None:
        """Show a bar, on which repeats and further rounds may make more of the `total`."""
        self._ended, self._arms, self._total = 0, total, total
        self._bar = Progress(
            TextColumn("{task.fields[title]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}", style="dim"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, title=title, left="")
        self._show(self._bar)

    def stage(self, name: Stage) -> None:
        self._show(stage(self._console, name))

    def preflight_begins(self, variant: str, number: int, of: int) -> None:
        now = time.monotonic()
        if number == 1:
            self._began = now
        each = (now - self._began) / (number - 1) if number > 1 else 0.0
        left = f", {each * (of - number + 1):.0f} s left" if each else ""
        self._show(stage(self._console, f"checking {variant} against contract and manifest ({number} of {of}{left})"))

    def refused(self, variant: str, words: str) -> None:
        self.note(f"{variant} is not timed: {words}")

    def searches_begin(self, level: Level, arms: int, rounds: int, directory: str) -> None:
        self._show(ExitStack())
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

    def rounds_begin(self, arms: int, window_s: float, directory: str) -> None:
        self.note(f"{arms} arms, windows of {window_s:.1f} s; kept in {directory}")
        self._began = time.monotonic()
        self._count("round 1", arms)

    def trial_begins(self, arm: Arm, number: int, attempt: int) -> None:
        again = f", repeat {attempt}" if attempt else ""
        self._bar.update(self._task, description=arm.id, title=f"round {number + 1}{again}")

    def trial_ended(self, trial: Trial) -> None:
        """Count it; print its figures where there is no bar, and whatever speaks against it."""
        self._ended += 1
        self._total = max(self._total, self._ended)
        left = minutes((self._total - self._ended) * (time.monotonic() - self._began) / self._ended)
        self._bar.update(self._task, completed=self._ended, total=self._total, left=f"{left} left")
        line = (
            f"{trial.arm}: {quantity(trial.client.goodput)}/s, p50 {milliseconds(trial.client.latency_ms.p50)} ms, "
            f"CPU {quantity(trial.stack_cpu_us)} µs"
        )
        words = "".join(f"; {reason.kind}: {reason.detail}" for reason in trial.reasons)
        if words or not self._console.is_terminal:
            self.note(f"[{self._ended}/{self._total}, {left} left] {line}{words}")

    def round_ended(self, rounds: int, expected: int, seconds_left: float | None, widest: float | None) -> None:
        self._total = max(self._ended, self._ended + (expected - rounds) * self._arms)
        self._bar.update(self._task, total=self._total)
        reached = f"; widest half-width {percent(widest)}" if widest is not None else ""
        left = f", about {minutes(seconds_left)} left" if seconds_left else ""
        self.note(f"round {rounds} of about {expected} done{left}{reached}")

    def round_repeated(self, arms: Sequence[Arm], bad: Sequence[Trial]) -> None:
        self._total += len(arms)
        kinds = Counter(reason.kind for trial in bad for reason in trial.reasons)
        why = ", ".join(f"{kind} ×{count}" if count > 1 else kind for kind, count in kinds.items())
        workloads = dict.fromkeys(arm.workload for arm in arms)
        self.note(f"repeating {some(len(arms), 'arm')} of {listed(list(workloads))}: {why}")

    def extras_begin(self, doing: str, arms: int, of: int, all_s: float) -> None:
        self._show(ExitStack())
        if arms < of:
            self.note(
                f"{doing} {arms} of {of} arms: all would take about {minutes(all_s)}, more than the rounds and a fifth "
                "of the budget leave; --explain explains all of them, --no-explain none"
            )
        self._doing = doing
        self._count(doing, arms)

    def extra_ended(self, extra: ExtraTrial, seconds_left: float) -> None:
        """Count it; print what came of it where there is no bar, and what failed."""
        self._ended += 1
        left = minutes(seconds_left)
        self._bar.update(self._task, advance=1, left=f"about {left} left")
        if extra.missing or not self._console.is_terminal:
            place = f"{self._doing} {self._ended}/{self._arms}, {left} left"
            self.note(f"[{place}] {extra.arm}: {extra.missing or outcome_words(extra)}")

    def extras_denied(self, words: str) -> None:
        self.note(f"no flame graphs: {words}")


def outcome_words(extra: ExtraTrial) -> str:
    if isinstance(extra, Explained) and extra.phases is not None:
        ms = [quantity(seconds * 1000) for seconds in (extra.phases.response_s, extra.phases.total_s)]
        return f"{ms[0]} ms, {ms[1]} ms of it in the application"
    if isinstance(extra, Profiled):
        return f"{extra.file}, {extra.samples} samples"
    return f"{quantity(extra.goodput)}/s"
