"""Times the two sides of a comparison in turn, or reads two runs, and says of each workload what can be told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from rich.console import Console

from stackmatrix.analysis import compare as compared
from stackmatrix.analysis.comparability import SETTINGS, Conditions, mismatches
from stackmatrix.analysis.compare import Limit, Measured, expectations, overall
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Stacks, Variant
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.cli import compare_operands
from stackmatrix.cli.compare_operands import Sides, Timed
from stackmatrix.cli.execution import make_plan, new_run, write_reports_of
from stackmatrix.cli.options import Execution, Work
from stackmatrix.cli.report import judge_now
from stackmatrix.cli.shell import INTERRUPTED, STDOUT, console, deliver
from stackmatrix.cli.subcommands import as_typed
from stackmatrix.cli.watch import ConsoleWatcher
from stackmatrix.errors import UserError
from stackmatrix.measure.copies import copies
from stackmatrix.measure.session import Session
from stackmatrix.report.compare import compare_markdown, terminal
from stackmatrix.report.view import read_run
from stackmatrix.results.compare import CellComparison, ComparisonReport
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.plan import PLAN_FILE, Arm, Plan, arms_of, digest, twin_of
from stackmatrix.results.run import Run
from stackmatrix.results.trial import Trial

# one that waits for the database, one for an upstream, one for the CPU
USUAL_WORKLOADS = ("notes-read", "http", "json-small")


@dataclass(frozen=True)
class CompareRequest:
    a: str
    b: str
    work: Work
    limit: Limit | None
    markdown: Path | None
    execution: Execution

    def make(self, sides: Sides, stacks: Stacks) -> int:
        match sides:
            case (RunDirectory() as a, RunDirectory() as b):
                return self.show(self.of_runs(a, b))
            case (Timed() as a, Timed() as b):
                with copies() as made:
                    variants = compare_operands.variants((a, b), stacks, made)
                    catalog = Catalog({**stacks, **made.stacks}, load_workloads())
                    return self.timed((a, b), variants, catalog)
        raise AssertionError("two of a kind")

    def timed(self, sides: Sequence[Timed], variants: Sequence[Variant], catalog: Catalog) -> int:
        execution = replace(self.execution, explain=bool(self.execution.explain))
        plan = make_plan(execution, self.arms(variants, catalog), "compare", fresh=True)
        sources = {f"stacks/{variant.stack.name}": digest(variant.stack.directory) for variant in variants}
        plan = replace(plan, inputs=plan.inputs | sources)
        directory = new_run(execution, plan)
        out = console()
        a, b = (variant.label for variant in variants)
        with OutlookWatcher(out, plan.arms, a, b) as watcher:
            run = Session(plan, directory, catalog, watcher).execute()
        measured = Measured(run, list(directory.trials()), plan.arms)
        answers = compared.interleaved(measured, a, b, self.limit)
        report = self.report([directory], run, answers, compare_operands.side_remarks(sides))
        directory.write("comparison.json", report)
        status = self.show(report)
        out.print(f"ended by {run.ended_by}; kept in {directory.shown}")
        if measured.trials:
            write_reports_of(directory)
            out.print(f"open {directory.shown}/report.html")
        return INTERRUPTED if run.ended_by == "interrupted" else status

    def show(self, report: ComparisonReport) -> int:
        json = self.execution.json
        console(stderr=STDOUT in (json, self.markdown)).print(terminal(report))
        deliver(msgspec.json.format(msgspec.json.encode(report), indent=1).decode() + "\n", json)
        if self.markdown is not None:
            deliver(compare_markdown(report), self.markdown)
        return {None: 0, "no worse": 0, "worse": 1, "undecided": 2}[report.outcome]

    def arms(self, variants: Sequence[Variant], catalog: Catalog) -> list[Arm]:
        """Combine both variants with every workload and load, each with a twin of the first, to see the noise by."""
        workloads = catalog.chosen(self.work.workload or USUAL_WORKLOADS)
        found = arms_of(variants, workloads, self.work.params, self.work.loads(), twice=False)
        twins = [twin_of(arm) for arm in found[:: len(variants)]]
        return [*found, *twins]

    def of_runs(self, a: RunDirectory, b: RunDirectory) -> ComparisonReport:
        """Compare two runs; UserError when they were not measured in the same way."""
        plans = [directory.read(PLAN_FILE, Plan) for directory in (a, b)]
        runs = [read_or_judge(directory) for directory in (a, b)]
        self.agree(plans, runs)
        one, other = (
            Measured(run, list(directory.trials()), plan.arms)
            for directory, plan, run in zip((a, b), plans, runs, strict=True)
        )
        asked = self.work.workload
        answers = [
            answer for answer in compared.between_runs(one, other, self.limit) if not asked or answer.workload in asked
        ]
        if not answers:
            raise UserError(
                f"{self.a} and {self.b} have no arm in common: compare the same stacks, workloads and loads"
            )
        stopped = [name for name, run in zip("AB", runs, strict=True) if run.ended_by == "interrupted"]
        remarks = [f"{name} was interrupted: what it had measured until then is compared" for name in stopped]
        return self.report([a, b], runs[0], answers, remarks)

    def report(
        self, directories: Sequence[RunDirectory], first: Run, answers: list[CellComparison], remarks: list[str]
    ) -> ComparisonReport:
        """Put the comparison together; `first` says when and where it was measured."""
        return ComparisonReport(
            schema=SCHEMA,
            a=self.a,
            b=self.b,
            interleaved=len(directories) == 1,
            runs=[directory.shown for directory in directories],
            started=first.started,
            environment=first.environment,
            answers=answers,
            limit=self.limit.share if self.limit else None,
            limit_of=self.limit.of if self.limit else None,
            outcome=None if self.limit is None else overall(answers),
            remarks=remarks,
        )

    def agree(self, plans: Sequence[Plan], runs: Sequence[Run]) -> None:
        """Raise UserError, with a table of what differs, when two runs were measured in different ways."""
        one, other = (
            Conditions(run.environment, {key: getattr(plan, key) for key in SETTINGS}, plan.inputs)
            for plan, run in zip(plans, runs, strict=True)
        )
        found = mismatches(one, other)
        if not found:
            return
        rows = [("", "A", "B"), *((difference.what, difference.a, difference.b) for difference in found)]
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        table = "\n".join(f"  {what:{widths[0]}}  {a:{widths[1]}}  {b}".rstrip() for what, a, b in rows)
        raise UserError(
            f"{self.a} and {self.b} were not measured in the same way, so a difference would not speak of the "
            f"stacks:\n{table}\ntime both now, in turn: {as_typed('compare')} STACK STACK@REVISION"
        )


class OutlookWatcher(ConsoleWatcher):
    """Says after each round what is settled, and how many more rounds the rest is expected to need."""

    def __init__(self, console: Console, arms: Sequence[Arm], a: str, b: str) -> None:
        super().__init__(console)
        self._of = arms, a, b
        self._trials: list[Trial] = []

    def trial_ended(self, trial: Trial) -> None:
        self._trials.append(trial)
        super().trial_ended(trial)

    def round_ended(self, rounds: int, expected: int, seconds_left: float | None, widest: float | None) -> None:
        super().round_ended(rounds, expected, seconds_left, widest)
        arms, a, b = self._of
        for line in expectations(arms, self._trials, a, b):
            self.note(line)


def read_or_judge(directory: RunDirectory) -> Run:
    if not (directory.path / "run.json").exists():
        judge_now(directory)
    return read_run(directory)
