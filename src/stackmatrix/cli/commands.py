"""The one command `stackmatrix`: its subcommands, what `--help` says of each, and how a mistake in typing is told."""

import difflib
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import (
    CoercionError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from stackmatrix.cli.shell import ending
from stackmatrix.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

PROGRAM = "stackmatrix"
DISTRIBUTION = "stack-matrix"


@dataclass(frozen=True)
class Subcommand:
    """One subcommand, its function imported only when it runs or when its own help is asked for."""

    name: str
    function: str
    summary: str
    takes: str
    """What follows its name."""
    script: str
    """Its door in scripts/, for a checkout without an active environment."""
    more: str = ""
    """What its help says below the options; `$` stands for the command as it was typed."""
    needs_checkout: bool = True


SUBCOMMANDS = (
    Subcommand(
        "run",
        "run:time_matrix",
        "Time stacks under workloads, all in the same way, and print the matrix.",
        "[OPTIONS]",
        "check-performance.py",
        """Examples:
  $                                      the whole matrix: ten minutes of timing
  $ --stack fastapi-sync --stack 'fastapi-sync[threads=100]' --workload http
  $ --workload http --param ms=1000 --users 500 --duration 10 --rounds 1
  $ --workload json-small --users 1,8,32,128
  $ --workload notes-read --users 64 --rate 500 --arrivals poisson
  $ --workload http --slo 'p99<200ms' --budget 20m
  $ --experiment workers-threads         a published comparison; --list names them all""",
    ),
    Subcommand(
        "compare",
        "compare:compare_sides",
        "Say whether B is faster or slower than A, or neither, or that it cannot be told.",
        "A B [OPTIONS]",
        "compare.py",
        """Each of A and B is one of
  fastapi-async                            a stack, as it is in the working tree
  'fastapi-async[http_client=httpx]'       a variant of it
  fastapi-async@HEAD~1                     a stack, or a variant, of a git revision
  ./my-copy/                               a directory that is a stack: it has a stack.toml
  results/20260102T030405Z-name            a run on disk, against another run

Without --workload: notes-read, http and json-small. Nothing is explained unless --explain asks for it.
Exit code with --fail-if-worse: 0 no worse, 1 worse, 2 undecided or nothing to compare.

Examples:
  $ fastapi-sync fastapi-async --workload http
  $ fastapi-async 'fastapi-async[http_client=httpx]' --budget 3m
  $ fastapi-async@origin/main fastapi-async --fail-if-worse 5% --markdown -
  $ results/20260102T030405Z-before results/20260102T040506Z-after""",
    ),
    Subcommand(
        "contract",
        "contract:check_contract",
        "Check that stacks are the same service: every answer against contract/openapi.yaml.",
        "[OPTIONS]",
        "check-contract.py",
    ),
    Subcommand(
        "load",
        "load:offer_load",
        "Offer load to any HTTP/1.1 URL and print what came of it.",
        "URL (--users N | --rate R) [OPTIONS]",
        "load.py",
        """Latency counts from the instant at which a request was due. An answer is right when it is a 2xx,
complete, with the body of --expect if that is given. A percentile is shown when at least ten
requests lie beyond it.

Examples:
  $ http://127.0.0.1:8102/notes/1 --users 16
  $ 'http://127.0.0.1:8102/query?ms=10' --rate 200 --duration 40 --json result.json
  $ http://127.0.0.1:8102/notes/ --users 16 --body @note.json --header 'Content-Type: application/json'
  $ http://127.0.0.1:8102/notes/1 --users 10 --generator ab --requests 1000 --warmup 0""",
        needs_checkout=False,
    ),
    Subcommand(
        "serve",
        "serve:serve_stack",
        "Keep one stack and its upstreams up until Ctrl-C: to try it with curl, and to work on it.",
        "STACK [OPTIONS]",
        "serve.py",
    ),
    Subcommand(
        "up", "up:bring_up", "Bring up stacks and upstreams in containers, and leave them up.", "[STACK …]", "up.py"
    ),
    Subcommand(
        "report",
        "report:write_again",
        "Make the reports of runs on disk again.",
        "RUN …",
        "report.py",
    ),
    Subcommand(
        "experiment",
        "experiment:reproduce",
        "Reproduce and explain a published comparison; without a name, list them.",
        "[NAME] [OPTIONS]",
        "check-performance.py --experiment",
    ),
    Subcommand(
        "findings",
        "findings:write_down",
        "Run every experiment, and write docs/findings.md.",
        "[RUN …] [--out FILE] [-- OPTIONS OF EACH RUN]",
        "findings.py",
        """Examples:
  $                          every experiment, shortened: a quarter of an hour
  $ -- --rounds 8            likewise, with intervals
  $ results/*-findings       write them down again from runs that are there""",
    ),
)


def main() -> NoReturn:
    """Run `stackmatrix`."""
    sys.exit(ending(lambda: run_tokens(sys.argv[1:])))


def door(name: str) -> NoReturn:
    """Run one subcommand for a script of its own."""
    sys.exit(ending(lambda: run_tokens([name, *sys.argv[1:]])))


def run_tokens(tokens: Sequence[str]) -> int:
    """Do what was typed; the exit code. Raises UserError for what cannot be understood."""
    asks_help = any(token in ("--help", "-h") for token in tokens)
    if not asks_help:
        hand_over(tokens)
    try:
        code = application(asks_help)(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        raise UserError(in_one_line(error, tokens)) from None
    return int(code or 0)


def application(asks_help: bool = False) -> App:
    """Every subcommand, none of them imported yet."""
    app = App(
        name=PROGRAM,
        help="Which web stack should serve my workload, and why? Compares stacks that answer the same, byte for byte.",
        help_format="plaintext",
        help_epilogue="Exit code: 0 all that was asked was answered, 1 something failed, 2 a mistake in the command or "
        "the set-up, 130 interrupted.",
        default_parameter=Parameter(negative=(), show_default=False),
        version=version,
    )
    for place, sub in enumerate(SUBCOMMANDS):
        app.command(
            f"stackmatrix.cli.{sub.function}",
            name=sub.name,
            help=sub.summary,
            sort_key=place,
            usage=f"Usage: {usage(sub)}",
            help_epilogue=sub.more.replace("$", typed(sub.name)) or None,
        )
    app.register_install_completion_command(name="--install-completion")
    if asks_help:
        app.console = help_console()
    return app


def version() -> str:
    """What is installed."""
    from importlib.metadata import version as installed

    return installed(DISTRIBUTION)


def help_console() -> "Console":
    """A console that takes brackets for brackets, and no more columns than are read well."""
    from rich.console import Console

    out = Console(highlight=False, markup=False)
    out.width = min(out.width, 120) if out.is_terminal else 100
    return out


def by_script() -> bool:
    """Whether a script of scripts/ was typed, and not `stackmatrix`."""
    return any(sub.script.split()[0] == Path(sys.argv[0]).name for sub in SUBCOMMANDS)


def typed(name: str) -> str:
    """How a subcommand is typed here."""
    script = next(sub.script for sub in SUBCOMMANDS if sub.name == name)
    return f"./scripts/{script}" if by_script() else f"{PROGRAM} {name}"


def usage(sub: Subcommand) -> str:
    """The command line of a subcommand."""
    return f"{typed(sub.name)} {sub.takes}"


def typed_line() -> str:
    """The whole command line, as it was typed."""
    program = f"./scripts/{Path(sys.argv[0]).name}" if by_script() else PROGRAM
    return shlex.join([program, *sys.argv[1:]])


def hand_over(tokens: Sequence[str]) -> None:
    """Let the checkout around the working directory do what an installed command cannot; UserError without one."""
    from stackmatrix.catalog import ROOT

    sub = next((sub for sub in SUBCOMMANDS if tokens[:1] == [sub.name] and sub.needs_checkout), None)
    if sub is None or is_checkout(ROOT):
        return
    here = Path.cwd()
    checkout = next((place for place in (here, *here.parents) if is_checkout(place)), None)
    if checkout is None:
        raise UserError(
            f"{PROGRAM} {sub.name} needs the stacks: run it in a checkout of Stack Matrix; only `{PROGRAM} load` runs "
            "anywhere"
        )
    script, *words = sub.script.split()
    if sub.name == "experiment" and len(tokens) == 1:
        words = ["--list"]
    os.execv(checkout / "scripts" / script, [script, *words, *tokens[1:]])


def is_checkout(place: Path) -> bool:
    """Whether a directory holds stacks, contract and scripts."""
    return all((place / name).exists() for name in ("stacks", "contract/openapi.yaml", "scripts/_venv.py"))


def in_one_line(error: CycloptsError, tokens: Sequence[str]) -> str:
    """What is wrong with the command line, where, and the remedy."""
    match error:
        case UnknownOptionError():
            word = (error.token.keyword or error.token.value).partition("=")[0]
            known = [name for argument in error.argument_collection for name in argument.names]
            return f"{word}: there is no such option{near(word, known) or '; --help lists them'}"
        case UnknownCommandError():
            word = (error.unused_tokens or tokens)[0]
            names = [sub.name for sub in SUBCOMMANDS]
            return f"no command is called {word!r}{near(word, names) or '; there are ' + listed(names, 'and')}"
        case UnusedCliTokensError():
            return f"{(error.unused_tokens or tokens)[0]!r}: one argument too many{usage_of(tokens)}"
        case RepeatArgumentError():
            return f"{error.token.keyword}: give it once"
        case MissingArgumentError(argument=argument) if argument is not None:
            given = error.keyword or next((token.keyword for token in argument.tokens if token.keyword), None)
            if given:
                return f"{given}: a value must follow it"
            return f"{argument.parameter.metavar or argument.name} is missing{usage_of(tokens)}"
        case CoercionError(token=token, argument=argument) if token is not None and argument is not None:
            choices = argument.get_choices(force=True) or ()
            remedy = f"choose {listed(choices, 'or')}{near(token.value, choices)}" if choices else "is no such value"
            return f"{token.keyword or argument.name} {token.value!r}: {remedy}"
    return " ".join(str(error).split())


def usage_of(tokens: Sequence[str]) -> str:
    """The usage line of the subcommand that was typed, to stand behind a mistake."""
    return next((f"; usage: {usage(sub)}" for sub in SUBCOMMANDS if tokens[:1] == [sub.name]), "")


def near(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?` where something similar exists."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def listed(words: Sequence[str], last: str) -> str:
    """`a, b or c`."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
