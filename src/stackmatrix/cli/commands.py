"""The one command `stackmatrix`, the doors of the scripts to it, and how a mistake in typing is told."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter, exceptions

from stackmatrix.cli.shell import ending
from stackmatrix.cli.subcommands import PROGRAM, SUBCOMMANDS, Subcommand, usage
from stackmatrix.errors import UserError, nearest
from stackmatrix.formatting import listed


def main() -> NoReturn:
    sys.exit(ending(lambda: run_tokens(sys.argv[1:])))


def door(name: str) -> NoReturn:
    sys.exit(ending(lambda: run_tokens([name, *sys.argv[1:]])))


def run_tokens(tokens: Sequence[str]) -> int:
    """Run what was typed and return its exit code; UserError for what cannot be understood."""
    app = application()
    sub = next((sub for sub in SUBCOMMANDS if list(tokens[:1]) == [sub.name]), None)
    if not tokens or any(token in ("--help", "-h") for token in tokens):
        print_help(app, sub, tokens)
        return 0
    if sub is not None and sub.needs_checkout:
        hand_over(sub, tokens)
    try:
        code = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        raise UserError(in_one_line(error, tokens)) from None
    return int(code or 0)


def application() -> App:
    """Register every subcommand without importing any."""
    app = App(name=PROGRAM, version=installed_version, default_parameter=Parameter(negative=(), show_default=False))
    for sub in SUBCOMMANDS:
        app.command(f"stackmatrix.cli.{sub.function}", name=sub.name, help=sub.summary)
    app.register_install_completion_command(name="--install-completion")
    return app


def print_help(app: App, sub: Subcommand | None, tokens: Sequence[str]) -> None:
    """Print what a subcommand takes, or which there are; UserError for one that does not exist."""
    from stackmatrix.cli.help import details, overview

    if sub is None and tokens and not tokens[0].startswith("-"):
        raise UserError(unknown_command(tokens[0]))
    print(overview() if sub is None else details(sub, app[sub.name], app.default_parameter))


def installed_version() -> str:
    from importlib.metadata import version as installed

    return installed("stack-matrix")


def hand_over(sub: Subcommand, tokens: Sequence[str]) -> None:
    """Run the script of the checkout around the working directory, unless this is one; UserError without any."""
    from stackmatrix.catalog import ROOT

    if is_checkout(ROOT):
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
    return all((place / name).exists() for name in ("stacks", "contract/openapi.yaml", "scripts/_venv.py"))


def in_one_line(error: CycloptsError, tokens: Sequence[str]) -> str:
    match error:
        case exceptions.UnknownOptionError():
            word = (error.token.keyword or error.token.value).partition("=")[0]
            known = [name for argument in error.argument_collection for name in argument.names]
            return f"{word}: there is no such option{did_you_mean(word, known) or '; --help lists them'}"
        case exceptions.UnknownCommandError():
            word = (error.unused_tokens or tokens)[0]
            return unknown_command(word)
        case exceptions.UnusedCliTokensError():
            return f"{(error.unused_tokens or tokens)[0]!r}: one argument too many{usage_of(tokens)}"
        case exceptions.RepeatArgumentError():
            return f"{error.token.keyword}: give it once"
        case exceptions.MissingArgumentError(argument=argument) if argument is not None:
            given = error.keyword or next((token.keyword for token in argument.tokens if token.keyword), None)
            if given:
                return f"{given}: a value must follow it"
            return f"{argument.parameter.metavar or argument.name} is missing{usage_of(tokens)}"
        case exceptions.CoercionError(token=token, argument=argument) if token is not None and argument is not None:
            choices = argument.get_choices(force=True) or ("true", "false")
            remedy = f"choose {listed(choices, 'or')}{did_you_mean(token.value, choices)}"
            return f"{token.keyword or argument.name} {token.value!r}: {remedy}"
    return " ".join(str(error).split())


def usage_of(tokens: Sequence[str]) -> str:
    return next((f"; usage: {usage(sub)}" for sub in SUBCOMMANDS if tokens[:1] == [sub.name]), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {near}?"


def unknown_command(word: str) -> str:
    names = [sub.name for sub in SUBCOMMANDS]
    return f"no command is called {word!r}{did_you_mean(word, names) or '; there are ' + listed(names)}"
