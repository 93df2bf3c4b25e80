"""`stackmatrix compare`: is B faster or slower than A? Two stacks or revisions in turn, or two runs on disk."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from stackmatrix.cli import values
from stackmatrix.cli.options import EXECUTION, TO_FILE, WORK, Execution, Work, option
from stackmatrix.cli.shell import STDOUT, try_outputs
from stackmatrix.errors import UserError


def compare_sides(
    a: Annotated[str, Parameter(metavar="A", help="the baseline")],
    b: Annotated[str, Parameter(metavar="B", help="the candidate")],
    /,
    *,
    work: Work = WORK,
    fail_if_worse: Annotated[
        float | None,
        option(values.PERCENTAGE, "5%", "exit with 1 when B is worse by more than this, with 2 when it cannot be told"),
    ] = None,
    markdown: Annotated[
        Path | None, option(Path, "FILE", f"write the comparison as Markdown for a pull request {TO_FILE}")
    ] = None,
    counted: Annotated[
        bool,
        Parameter(
            name="--work",
            negative="",
            help="count instructions (by valgrind) and system calls a request instead of timing: what neighbours do "
            "not move; --fail-if-worse then holds instructions",
        ),
    ] = False,
    execution: Execution = EXECUTION,
) -> int:
    if markdown == execution.json == STDOUT:
        raise UserError("only one of --markdown and --json can go to standard output")
    try_outputs(markdown=markdown, json=execution.json)
    from stackmatrix.catalog.stacks import load_stacks
    from stackmatrix.cli.compare_operands import both_sides

    stacks = load_stacks()
    sides = both_sides(a, b, stacks)
    if counted:
        from stackmatrix.cli.compare_work import compare_work_of

        return compare_work_of(sides, stacks, work, fail_if_worse, execution.json)

    from stackmatrix.cli.comparison import CompareRequest

    return CompareRequest(a, b, work, fail_if_worse, markdown, execution).make(sides, stacks)
