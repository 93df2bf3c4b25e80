"""What `stackmatrix contract` prints of its results."""

import io
from typing import Any

import pytest
from rich.console import Console

from stackmatrix.cli.contract import report
from stackmatrix.contract.answer import Deviation
from stackmatrix.contract.suite import SAME_BYTES, Result

LONG = Deviation("GET /data?n=100", "200\n" + "a" * 200, "200\n" + "b" * 200)
WRONG = tuple(Deviation(f"GET /sleep?ms={ms}", f"[{ms}]", "[9]") for ms in range(3))


class Logs:
    """A runtime that has nothing but the logs of its stacks."""

    def logs(self, stack: str, lines: int) -> str:
        """Say whose they are."""
        return f"{lines} lines of {stack} in its log"


def printed(*results: Result, width: int | None = None) -> str:
    """What is printed, on a terminal of this width or into a file."""
    file = io.StringIO()
    runtime: Any = Logs()
    report(results, runtime, Console(file=file, width=width, force_terminal=bool(width), color_system=None))
    return file.getvalue()


def test_every_deviation_is_shown_as_a_diff() -> None:
    text = printed(Result("a", "answers", 1.0, WRONG), Result("b[workers=2]", "modes", 1.0, (LONG,)))
    for number, deviation in enumerate(WRONG, 1):
        assert f"a, answers, {number} of 3" in text
        assert f"{deviation.asked}\n--- expected\n+++ got\n" in text
        assert f"\n-[{number - 1}]\n+[9]\n" in text
    assert "b[workers=2], modes, 1 of 1" in text
    assert f"\n-{'a' * 200}\n+{'b' * 200}\n" in text
    assert text.count("lines of a in its log") == text.count("lines of b in its log") == 1


@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = printed(Result("a", "answers", 1.0, (LONG,)), width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert "".join(line[1:] for line in lines if line.startswith("-a")) == "a" * 200
    assert "".join(line[1:] for line in lines if line.startswith("+b")) == "b" * 200


def test_stacks_that_differ_from_each_other_have_no_log_to_show() -> None:
    assert "in its log" not in printed(Result("a", "answers", 1.0), Result("b", SAME_BYTES, 0.0, WRONG))


def test_a_check_that_holds_or_does_not_apply_is_only_in_the_table() -> None:
    text = printed(Result("a", "answers", 1.0), Result("a", "overlap", 1.0, skipped="two workers"))
    assert "ok" in text
    assert "n/a" in text
    assert "in its log" not in text
