"""Defines the options that several commands share, and how each is read: a mistake names option, value and remedy."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter, Token

from stackmatrix.cli import values
from stackmatrix.errors import UserError

if TYPE_CHECKING:
    from stackmatrix.results.plan import Load

ToolName = Literal["ab", "h2load", "locust", "wrk"]
RuntimeChoice = Literal["docker", "native", "auto"]
Spacing = Literal["poisson", "constant"]

STACK_FORMS = "NAME, NAME[VARIANT] or NAME[KEY=VALUE,…]"
DEFAULT_BUDGET_S = 600.0


def option(read: Callable[[str], object], metavar: str, help: str) -> Parameter:
    """Make an option whose text `read` turns into a value; its ValueError becomes one line with option and text."""

    def convert(_hint: object, tokens: Sequence[Token]) -> object:
        text = ",".join(token.value for token in tokens)  # a list that is given in parts is one list
        return named(read, tokens[0].keyword or metavar, text)

    return _parameter(convert, metavar, help)


def repeated(read: Callable[[str], object], metavar: str, help: str) -> Parameter:
    def convert(_hint: object, tokens: Sequence[Token]) -> tuple[object, ...]:
        return tuple(named(read, token.keyword or metavar, token.value) for token in tokens)

    return _parameter(convert, metavar, help)


def named(read: Callable[[str], object], name: str, text: str) -> object:
    """Read a text; UserError with the option's name when it cannot be read."""
    try:
        return read(text)
    except ValueError as error:
        raise UserError(f"{name} {text!r}: {error}") from None


def _parameter(convert: Callable[..., Any], metavar: str, help: str) -> Parameter:
    return Parameter(converter=convert, n_tokens=1, allow_leading_hyphen=True, metavar=metavar, help=help)


def names_of(kind: Literal["stack", "workload", "experiment"]) -> Callable[[object], Iterable[str]]:
    def candidates(_context: object) -> Iterable[str]:
        from stackmatrix.catalog import ROOT

        pattern = {"stack": "stacks/*/stack.toml", "workload": "workloads/*.toml", "experiment": "experiments/*.toml"}
        found = sorted(ROOT.glob(pattern[kind]))
        return [file.parent.name if kind == "stack" else file.stem for file in found]

    return candidates


STACK_OPTION = Parameter(
    metavar="NAME[VARIANT]", help=f"{STACK_FORMS}; repeat for more (default: all)", completer=names_of("stack")
)
TO_FILE = "to this file; - for standard output"
SHARDS = option(values.COUNT.within("1", "64", "2"), "K", "generator processes, each on its own core (default 1)")
RUNTIME = Parameter(
    help="docker: containers; native: processes of this machine; auto (the default): docker when an engine answers, "
    "else native",
    show_choices=False,
    metavar="NAME",
)


@Parameter(name="*", group=Group("What is timed"))
@dataclass(frozen=True, kw_only=True)
class Work:
    """Which requests are offered to the stacks, and how."""

    workload: Annotated[
        tuple[str, ...],
        Parameter(
            metavar="NAME",
            help="a workload, or all; repeatable (default: as many as the budget holds)",
            completer=names_of("workload"),
        ),
    ] = ()
    param: Annotated[
        tuple[tuple[str, str], ...],
        repeated(values.key_value, "K=V", "change a parameter of the workloads that have it; repeatable"),
    ] = ()
    users: Annotated[
        tuple[int, ...],
        option(
            values.COUNT.several,
            "N[,N…]",
            "closed loop: users without think time; several make a load curve (default: the workload's own)",
        ),
    ] = ()
    rate: Annotated[
        tuple[float, ...],
        option(
            values.RATE.several,
            "R[,R…]",
            "open loop: arrivals per second, whatever the answers do; beside --users, both are timed",
        ),
    ] = ()
    arrivals: Annotated[Spacing, Parameter(help="how the arrivals of an open loop are spaced (default poisson)")] = (
        "poisson"
    )
    generator: Annotated[
        ToolName | None,
        Parameter(help="offer the load with a well-known tool instead of the project's own generator", metavar="TOOL"),
    ] = None

    @property
    def params(self) -> dict[str, str]:
        return dict(self.param)

    def loads(self) -> list["Load"]:
        """List how requests are offered, closed loops first; UserError for what does not go together."""
        from stackmatrix.results.plan import Load

        if self.generator is not None and self.rate:
            raise UserError(f"--generator {self.generator} offers no rate of arrivals, only users: give --users")
        users = self.users or (() if self.rate else (None,))
        return [
            *(Load("closed", users=number, tool=self.generator) for number in users),
            *(Load("open", rate=rate, arrivals=self.arrivals) for rate in self.rate),
        ]


@Parameter(name="*", group=Group("How it is run"))
@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a run is executed, whatever it times."""

    duration: Annotated[
        float | None, option(values.DURATION, "TIME", "the least window of a trial (default: sized to the budget)")
    ] = None
    warmup: Annotated[
        float, option(values.DURATION.within("0", "1h"), "TIME", "the most that a trial warms up (default 2s)")
    ] = 2.0
    rounds: Annotated[
        int | None,
        option(values.COUNT, "N", "exactly so many rounds (default: until every ratio is known precisely enough)"),
    ] = None
    budget: Annotated[
        float | None,
        option(
            values.DURATION.within("1s", "240h"),
            "TIME",
            "the most that the timing may take, without the servers' start and the checks before it (default 10m)",
        ),
    ] = None
    shards: Annotated[int, SHARDS] = 1
    seed: Annotated[
        int | None, option(values.SEED, "N", "of orders and arrivals (default: a new one, which the run keeps)")
    ] = None
    explain: Annotated[
        bool | None,
        Parameter(
            negative="--no-explain",
            help="after the rounds, see where requests spend their time, in one more trial of each arm (default: for "
            "as many arms as the rounds and a fifth of the budget leave time for)",
        ),
    ] = None
    profile: Annotated[
        bool,
        Parameter(help="after the rounds, draw a flame graph of each arm with py-spy; its time is not in the budget"),
    ] = False
    sustained: Annotated[
        bool,
        Parameter(
            negative="",
            help="after the rounds, load the busiest arm of each stack for 20 s, to see whether its rate lasts; that "
            "time is not in the budget",
        ),
    ] = False
    name: Annotated[
        str | None,
        option(values.run_name, "NAME", "what the run's directory is called after its time (default: the command)"),
    ] = None
    results: Annotated[Path | None, option(Path, "DIR", "where runs are kept (default: results/ of the checkout)")] = (
        None
    )
    json: Annotated[Path | None, option(Path, "FILE", f"write the result as JSON {TO_FILE}")] = None
    runtime: Annotated[RuntimeChoice, RUNTIME] = "auto"

    @property
    def budget_s(self) -> float:
        return DEFAULT_BUDGET_S if self.budget is None else self.budget


EXECUTION = Execution()
WORK = Work()
