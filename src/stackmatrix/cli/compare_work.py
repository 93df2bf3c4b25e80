"""`stackmatrix compare --work`: what a request costs both sides, in counts that neighbours do not move."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.table import Table

from stackmatrix.analysis.compare import compare_work
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Stacks, Variant
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.cli import compare_operands
from stackmatrix.cli.compare_operands import Sides
from stackmatrix.cli.comparison import USUAL_WORKLOADS
from stackmatrix.cli.options import Work
from stackmatrix.cli.shell import STDOUT, console, deliver
from stackmatrix.errors import UserError
from stackmatrix.formatting import factor, quantity
from stackmatrix.measure.copies import copies
from stackmatrix.measure.work import count_work
from stackmatrix.results.compare import WorkComparison
from stackmatrix.results.directory import RunDirectory
from stackmatrix.runtime.native.runtime import NativeRuntime


def compare_work_of(sides: Sides, stacks: Stacks, work: Work, limit: float | None, json: Path | None) -> int:
    """Count, print and write; return 1 where B executes more by over the limit. Processes of this machine only."""
    if isinstance(sides[0], RunDirectory):
        raise UserError("--work counts what stacks do now: give two stacks, not runs")
    if work.users or work.rate or work.generator:
        raise UserError("--work sends its requests one by one: leave out --users, --rate and --generator")
    with copies() as made:
        variants = compare_operands.variants(sides, stacks, made)
        found = list(counted(variants, Catalog({**stacks, **made.stacks}, load_workloads()), work, limit))
    console(stderr=json == STDOUT).print(work_table(found))
    deliver(msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n", json)
    return int(any(answer.outcome == "worse" for answer in found))


def counted(variants: Sequence[Variant], catalog: Catalog, work: Work, limit: float | None) -> list[WorkComparison]:
    out = console()
    found: list[WorkComparison] = []
    with NativeRuntime(out.print) as runtime:
        runtime.up({variant.stack.name: variant.stack for variant in variants}.values())
        for named in catalog.chosen(work.workload or USUAL_WORKLOADS):
            workload = named.with_params(work.params)
            a, b = count_work(runtime, variants, workload, out.print)
            found.append(compare_work(workload.name, dict(workload.params), a, b, limit))
    return found


def work_table(answers: Sequence[WorkComparison]) -> Table:
    table = Table(box=None, header_style="bold")
    for place, head in enumerate(("workload", "instructions A", "B", "B ÷ A", "calls A", "B", "")):
        table.add_column(head, justify="left" if place in (0, 6) else "right", overflow="fold")
    for answer in answers:
        counts = (quantity(answer.a.instructions), quantity(answer.b.instructions), factor(answer.ratio))
        calls = (quantity(answer.a.calls), quantity(answer.b.calls))
        table.add_row(answer.workload, *counts, *calls, answer.words)
    return table
