"""`compare.py`: is B faster or slower than A? Two stacks, variants or git revisions in turn, or two runs on disk."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from stackmatrix.analysis import compare as compared
from stackmatrix.analysis.comparability import SETTINGS, Conditions, differences
from stackmatrix.analysis.compare import Measured, Outcome, Report, overall
from stackmatrix.analysis.statistics import PRECISE_RULE
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Variant, load_stacks
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.cli import compare_operands, performance
from stackmatrix.cli.compare_operands import MAY_BE, Timed
from stackmatrix.cli.report import judge_now
from stackmatrix.cli.session import add_options, begin, planned
from stackmatrix.cli.shell import INTERRUPTED, command, console, deliver
from stackmatrix.errors import UserError, pick
from stackmatrix.measure.copies import copies
from stackmatrix.measure.session import Session
from stackmatrix.report import compare as written
from stackmatrix.report.view import read
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.plan import FILE as PLAN_FILE
from stackmatrix.results.plan import Arm, Plan, arms_of, digest
from stackmatrix.results.run import Run

WORKLOADS = ("notes-read", "http", "json-small")
"""One that waits for the database, one for an upstream, one for the CPU."""
FILE = "comparison.json"
STATUS: dict[Outcome, int] = {"no worse": 0, "worse": 1, "undecided": 2}

EPILOG = f"""
{MAY_BE}

exit status under --fail-if-worse: 0 no worse, 1 worse, 2 undecided (or nothing could be compared); without it 0.

examples:
  ./scripts/compare.py fastapi-sync fastapi-async --workload http
  ./scripts/compare.py fastapi-async 'fastapi-async[http_client=httpx]' --budget 3m
  ./scripts/compare.py fastapi-async@origin/main fastapi-async --fail-if-worse 5% --markdown -
  ./scripts/compare.py results/20260102T030405Z-before results/20260102T040506Z-after
"""


def main() -> None:
    """Parse the arguments, compare, print."""
    command(lambda: compare(arguments()))


def arguments() -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(
        prog="compare.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("a", metavar="A", help="what B is held against")
    parser.add_argument("b", metavar="B", help="what is faster, slower, or neither")
    performance.add_work(parser, ", ".join(WORKLOADS))
    parser.add_argument(
        "--fail-if-worse",
        type=share,
        metavar="5%",
        help="exit with 1 when B is worse by more than this, with 2 when that cannot be told",
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write Markdown for a pull request; - for output")
    add_options(parser, "compare", result="the comparison", rule=PRECISE_RULE)
    parser.set_defaults(explain=False, slo=None)
    options = parser.parse_args()
    if options.markdown == options.json == Path("-"):
        parser.error("only one of --markdown and --json can go to standard output")
    return options


def share(text: str) -> float:
    """`5%` or `5` as 0.05."""
    match = re.fullmatch(r"([0-9]{1,2}(?:\.[0-9]+)?)%?", text)
    if not match or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage: write 5% or 2.5%")
    return float(match[1]) / 100


def compare(options: argparse.Namespace) -> int:
    """The whole job; the exit status."""
    stacks = load_stacks()
    match compare_operands.two(options.a, options.b, stacks):
        case (RunDirectory() as a, RunDirectory() as b):
            return show(of_runs(options, a, b), options)
        case (Timed() as a, Timed() as b):
            with copies() as made:
                variants = compare_operands.variants((a, b), stacks, made)
                catalog = Catalog({**stacks, **made.stacks}, load_workloads())
                return timed(options, (a, b), variants, catalog)
    raise AssertionError("two of a kind")


def timed(options: argparse.Namespace, sides: Sequence[Timed], variants: Sequence[Variant], catalog: Catalog) -> int:
    """Time both in turn, and tell."""
    plan = planned(options, arms(options, variants, catalog), fresh=True)
    sources = {f"stacks/{variant.stack.name}": digest(variant.stack.directory) for variant in variants}
    plan = replace(plan, inputs=plan.inputs | sources)
    directory = begin(options, plan)
    out = console()
    run = Session(plan, directory, catalog).execute(out)
    a, b = (variant.label for variant in variants)
    measured = Measured(run, list(directory.trials()), plan.arms)
    answers = compared.interleaved(measured, a, b, options.fail_if_worse)
    report = Report(
        schema=SCHEMA,
        a=options.a,
        b=options.b,
        interleaved=True,
        runs=[directory.shown],
        started=run.started,
        environment=run.environment,
        answers=answers,
        limit=options.fail_if_worse,
        outcome=None if options.fail_if_worse is None else overall(answers),
        remarks=compare_operands.remarks(sides),
    )
    directory.write(FILE, report)
    status = show(report, options)
    out.print(f"ended by {run.ended_by}; kept in {directory.shown}")
    if measured.trials:
        from stackmatrix.report.files import write_reports  # Altair takes most of a second to import

        write_reports(directory)
        out.print(f"open {directory.shown}/report.html")
    return INTERRUPTED if run.ended_by == "interrupted" else status


def arms(options: argparse.Namespace, variants: Sequence[Variant], catalog: Catalog) -> list[Arm]:
    """Both variants under every workload and load, and a second copy of the first under each, to see the noise by."""
    workloads = [pick("workload", name, catalog.workloads) for name in options.workload or WORKLOADS]
    loads = performance.loads(options)
    found = arms_of(variants, workloads, dict(options.param), loads, twice=False)
    twins = [replace(arm, id=f"{arm.id} again", twin_of=arm.id) for arm in found[:: len(variants)]]
    return [*found, *twins]


def of_runs(options: argparse.Namespace, a: RunDirectory, b: RunDirectory) -> Report:
    """Hold two runs against each other; UserError when they were not measured in the same way."""
    plans = [directory.read(PLAN_FILE, Plan) for directory in (a, b)]
    runs = [judged(directory) for directory in (a, b)]
    agree(options, plans, runs)
    one, other = (
        Measured(run, list(directory.trials()), plan.arms)
        for directory, plan, run in zip((a, b), plans, runs, strict=True)
    )
    asked = options.workload
    answers = [
        answer
        for answer in compared.apart(one, other, options.fail_if_worse)
        if asked is None or answer.workload in asked
    ]
    if not answers:
        raise UserError(
            f"{options.a} and {options.b} have no arm in common: compare the same stacks, workloads and loads"
        )
    stopped = [name for name, run in zip("AB", runs, strict=True) if run.ended_by == "interrupted"]
    return Report(
        schema=SCHEMA,
        a=options.a,
        b=options.b,
        interleaved=False,
        runs=[a.shown, b.shown],
        started=runs[0].started,
        environment=runs[0].environment,
        answers=answers,
        limit=options.fail_if_worse,
        outcome=None if options.fail_if_worse is None else overall(answers),
        remarks=[f"{name} was interrupted: what it had measured until then is compared" for name in stopped],
    )


def judged(directory: RunDirectory) -> Run:
    """What a run says, judged now when it was killed before it came to that."""
    if not (directory.path / "run.json").exists():
        judge_now(directory)
    return read(directory)


def agree(options: argparse.Namespace, plans: Sequence[Plan], runs: Sequence[Run]) -> None:
    """UserError with a table of what differs when two runs were measured in different ways."""
    one, other = (
        Conditions(run.environment, {key: getattr(plan, key) for key in SETTINGS}, plan.inputs)
        for plan, run in zip(plans, runs, strict=True)
    )
    found = differences(one, other)
    if not found:
        return
    rows = [("", "A", "B"), *((difference.what, difference.a, difference.b) for difference in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    table = "\n".join(f"  {what:{widths[0]}}  {a:{widths[1]}}  {b}".rstrip() for what, a, b in rows)
    raise UserError(
        f"{options.a} and {options.b} were not measured in the same way, so a difference would not speak of the "
        f"stacks:\n{table}\ntime both now, in turn: ./scripts/compare.py STACK STACK@REVISION"
    )


def show(report: Report, options: argparse.Namespace) -> int:
    """Print the comparison, and write it where that is asked for; the exit status."""
    taken = Path("-") in (options.json, options.markdown)
    console(stderr=taken).print(written.terminal(report))
    contents = {options.json: msgspec.json.format(msgspec.json.encode(report), indent=1).decode() + "\n"}
    contents |= {options.markdown: written.document(report)} if options.markdown else {}
    for path, content in contents.items():
        deliver(content, path)
    return 0 if report.outcome is None else STATUS[report.outcome]
