"""`stackmatrix contract`: check stacks against contract/openapi.yaml, print stack × check and every deviation."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from stackmatrix.cli.options import RUNTIME, STACK_OPTION, RuntimeChoice
from stackmatrix.cli.progress import stage
from stackmatrix.cli.shell import console
from stackmatrix.errors import UserError, pick

if TYPE_CHECKING:
    from stackmatrix.catalog.stacks import Variant
    from stackmatrix.contract.exchange import OnStep
    from stackmatrix.contract.suite import Check, Result
    from stackmatrix.runtime.base import Runtime

DIFF_STYLES = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "red", "-": "green"}
LOG_LINES = 10


def check_contract(
    *,
    stack: Annotated[tuple[str, ...], STACK_OPTION] = (),
    only: Annotated[
        tuple[str, ...], Parameter(metavar="CHECK", help="a check that --list names; repeatable (default: all)")
    ] = (),
    quick: Annotated[bool, Parameter(help="leave out faults, overlap, drawn requests and shutdown")] = False,
    list: Annotated[bool, Parameter(help="list the checks, and what each is about")] = False,
    runtime: Annotated[RuntimeChoice, RUNTIME] = "auto",
) -> int:
    """Run the checks; return the exit code, 1 when one does not hold."""
    from stackmatrix.contract.suite import CHECKS
    from stackmatrix.runtime.select import choose

    if list:
        print("\n".join(f"{check.name:<15} {check.about}" for check in CHECKS))
        return 0
    variants, checks, out = wanted_variants(stack), wanted_checks(only, quick), console()
    with choose(runtime, out.print) as running:
        stacks = {variant.stack.name: variant.stack for variant in variants}
        with stage(out, f"bringing up {', '.join(stacks)}"):
            running.up(stacks.values())
        results = go_through(running, variants, checks, out)
        report(results, running, Console(highlight=False))
    return 0 if all(result.ok for result in results) else 1


def wanted_variants(names: Sequence[str]) -> "list[Variant]":
    """The variants of these names, every stack's defaults when there is none; UserError for an unknown one."""
    from stackmatrix.catalog.stacks import load_stacks, parse_variant

    stacks = load_stacks()
    if not stacks:
        raise UserError("stacks/ holds no stack; add one: CONTRIBUTING.md says how")
    wanted = names or [stack.name for stack in stacks.every(console().print)]
    return [parse_variant(name, stacks) for name in dict.fromkeys(wanted)]


def wanted_checks(names: Sequence[str], quick: bool) -> "list[Check]":
    """The checks of these names in their own order, all when there is none; UserError for an unknown one."""
    from stackmatrix.contract.suite import CHECKS

    known = {check.name: check for check in CHECKS}
    for name in names:
        pick("check", name, known)
    checks = [check for check in CHECKS if (not names or check.name in names) and (check.quick or not quick)]
    if not checks:
        raise UserError(f"--quick leaves out {', '.join(names)}; drop one of the two")
    return checks


def go_through(
    runtime: "Runtime", variants: "Sequence[Variant]", checks: "Sequence[Check]", out: Console
) -> "list[Result]":
    """Put every check to every variant, saying each result as it comes; then compare them with each other."""
    from stackmatrix.contract.suite import Visit, same_bytes

    results: list[Result] = []
    transcripts = {}
    columns = TextColumn("{task.description}", markup=False), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("", total=len(variants) * len(checks))
        for variant in variants:
            with Visit(runtime, variant) as visit:
                for check in checks:
                    about = f"{variant.label} · {check.name}"
                    progress.update(task, description=about)
                    results.append(visit.run(check, step_counter(progress, task, about)))
                    progress.console.print(result_line(results[-1]))
                    progress.advance(task)
            transcripts[variant.label] = visit.transcript
    return results + same_bytes(transcripts)


def step_counter(progress: Progress, task: TaskID, about: str) -> "OnStep":
    def show(done: int, of: int) -> None:
        progress.update(task, description=f"{about} {done}/{of}")

    return show


def result_line(result: "Result") -> Text:
    start = Text(f"{result.variant:<22} {result.check:<15} {result.seconds:6.1f} s  ").append(in_a_word(result))
    return start.append(f"  ({result.skipped})") if result.skipped else start


def in_a_word(result: "Result") -> Text:
    if result.skipped:
        return Text("n/a", "dim")
    return Text("ok", "green") if result.ok else Text(f"{len(result.deviations)} wrong", "bold red")


def report(results: "Sequence[Result]", runtime: "Runtime", out: Console) -> None:
    """Print the table of stack × check, every deviation, and the last lines of the log of each stack that failed."""
    from stackmatrix.contract.suite import SAME_BYTES

    by_place = {(result.variant, result.check): result for result in results}
    names = dict.fromkeys(result.variant for result in results)
    table = Table(Column("check", no_wrap=True))
    for name in names:
        table.add_column(escape(re.sub(r"[-=,]|(?=\[)", r"\g<0>\n", name)), overflow="fold")
    for check in dict.fromkeys(result.check for result in results):
        cells = (by_place.get((name, check)) for name in names)
        table.add_row(check, *(in_a_word(cell) if cell else Text("–", "dim") for cell in cells))
    out.print(table)
    for result in results:
        show_deviations(result, out)
    spoiled = [result.variant for result in results if not result.ok and result.check != SAME_BYTES]
    for stack in dict.fromkeys(variant.partition("[")[0] for variant in spoiled):
        if said := runtime.logs(stack, LOG_LINES).strip():
            out.print(Text(f"\nthe last lines of {stack}:\n", "bold") + Text(said, "dim"))


def show_deviations(result: "Result", out: Console) -> None:
    """Every deviation that a check found, as a diff in colours; on a terminal no line is wider than it."""
    for number, deviation in enumerate(result.deviations, 1):
        out.print(Text(f"\n{result.variant}, {result.check}, {number} of {len(result.deviations)}", "bold"))
        out.print(Text(deviation.asked, "bold"), soft_wrap=not out.is_terminal)
        for row in deviation.diff(out.width if out.is_terminal else None):
            style = next((style for sign, style in DIFF_STYLES.items() if row.startswith(sign)), "")
            out.print(Text(row, style), soft_wrap=True)
