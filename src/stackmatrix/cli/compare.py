"""`stackmatrix compare`: is B faster or slower than A? Two stacks or revisions in turn, or two runs on disk."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from stackmatrix.cli import values
from stackmatrix.cli.options import EXECUTION, TO_FILE, WORK, Execution, Work, option
from stackmatrix.cli.shell import STDOUT, try_outputs
from stackmatrix.errors import UserError
from stackmatrix.results.limit import LimitOf


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
    of: Annotated[
        LimitOf | None,
        Parameter(
            help="hold --fail-if-worse to this alone (default: goodput, and CPU as well where goodput cannot tell); "
            "instructions are counted as by --work",
        ),
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
    if of is not None and fail_if_worse is None:
        raise UserError(f"--of {of} says what --fail-if-worse holds: give --fail-if-worse as well")
    try_outputs(markdown=markdown, json=execution.json)
    from stackmatrix.catalog.stacks import load_stacks
    from stackmatrix.cli.compare_operands import both_sides

    stacks = load_stacks()
    sides = both_sides(a, b, stacks)
    if counted or of == "instructions":
        if of not in (None, "instructions"):
            raise UserError(f"--of {of}: --work counts instructions and times nothing; leave one of them out")
        from stackmatrix.cli.compare_work import compare_work_of

        return compare_work_of(sides, stacks, work, fail_if_worse, execution.json)

    from stackmatrix.analysis.compare import Limit
    from stackmatrix.cli.comparison import CompareRequest

    limit = None if fail_if_worse is None else Limit(fail_if_worse, of)
    return CompareRequest(a, b, work, limit, markdown, execution).make(sides, stacks)
