"""Writes what `--help` prints: plain text in the width of the terminal, in half the time that panels take."""

import shutil
import textwrap
from collections.abc import Iterable

from cyclopts import App, Parameter
from cyclopts.argument import Argument

from stackmatrix.cli.subcommands import PROGRAM, SUBCOMMANDS, Subcommand, as_typed, usage

MARGIN, GAP, LONGEST_NAME = "  ", 2, 30
EXIT_CODES = (
    "Exit code: 0 all that was asked was answered, 1 something failed, 2 a mistake in the command or the set-up, "
    "130 interrupted."
)


def overview() -> str:
    flags = [("--help", "say this, or with a command what it takes"), ("--version", "say what is installed"),
             ("--install-completion", "complete names and options in your shell with the tab key")]  # fmt: skip
    return paragraphs(
        f"Usage: {PROGRAM} COMMAND",
        wrapped(
            "Which web stack should serve my workload, and why? Compares stacks that answer the same, byte for byte."
        ),
        help_table("Commands", [(sub.name, sub.summary) for sub in SUBCOMMANDS]),
        help_table("Options", flags),
        wrapped(EXIT_CODES),
    )


def details(sub: Subcommand, app: App, defaults: Parameter | None) -> str:
    shown = app.assemble_argument_collection(default_parameter=defaults).filter_by(show=True)
    positional = [argument for argument in shown if argument.field_info.is_positional]
    tables = [("Arguments", positional)]
    for group in shown.groups:
        title = "Options" if group.name == "Parameters" else group.name
        tables.append((title, [each for each in shown.filter_by(group=group) if each not in positional]))
    return paragraphs(
        f"Usage: {usage(sub)}",
        wrapped(sub.summary),
        *(help_table(title, map(row_of, arguments)) for title, arguments in tables),
        sub.more.replace("$", as_typed(sub.name)) or wrapped(EXIT_CODES),
    )


def row_of(argument: Argument) -> tuple[str, str]:
    metavar = argument.parameter.metavar or ""
    words = argument.parameter.help or ""
    choices = argument.get_choices()
    if choices:
        words += f" [{', '.join(choices)}]"
    if argument.field_info.is_positional:
        return metavar, words
    return f"{', '.join(argument.names)} {metavar}".rstrip(), words


def help_table(title: str, pairs: Iterable[tuple[str, str]]) -> str:
    found = list(pairs)
    if not found:
        return ""
    indent = len(MARGIN) + GAP + max(len(name) for name, _ in found if len(name) <= LONGEST_NAME)
    lines = [f"{title}:"]
    for name, words in found:
        start = f"{MARGIN}{name}"
        if len(start) + GAP > indent:
            lines.append(start)
            start = ""
        lines.append(textwrap.fill(words, width(), initial_indent=start.ljust(indent), subsequent_indent=" " * indent))
    return "\n".join(lines)


def wrapped(words: str) -> str:
    return textwrap.fill(words, width())


def width() -> int:
    return min(shutil.get_terminal_size((100, 24)).columns, 110)


def paragraphs(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))
