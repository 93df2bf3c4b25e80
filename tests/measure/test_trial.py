"""What is kept beside a trial that failed."""

from pathlib import Path
from typing import Any, cast

import pytest

from stackmatrix.errors import UserError
from stackmatrix.measure.trial import KEPT_LINES, Bench
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.reasons import Reason, ReasonKind
from stackmatrix.results.trial import Trial

from ..made_trials import made


class Logs:
    """A runtime whose stacks have written something, or were never up."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.asked: list[tuple[str, int]] = []

    def logs(self, name: str, lines: int) -> str:
        self.asked.append((name, lines))
        if self.text is None:
            raise UserError(f"{name} is not up")
        return self.text


def with_log(base: Path, runtime: Logs, *kinds: ReasonKind) -> Trial:
    trial = made(reasons=[Reason(kind, "seen") for kind in kinds], id="r00-a0-x")
    return Bench(cast(Any, runtime), (0,), RunDirectory(base), seed=1).with_log(trial, "fastapi-sync")


@pytest.mark.parametrize("kind", ["errors", "stuck", "restart", "crash"])
def test_the_end_of_the_log_is_kept_with_a_trial_that_failed(tmp_path: Path, kind: ReasonKind) -> None:
    runtime = Logs("Traceback\nQueuePool limit reached")
    noise, own = with_log(tmp_path, runtime, "neighbour", kind).reasons
    assert (noise.log, own.log) == (None, "logs/r00-a0-x.log")
    assert "read logs/r00-a0-x.log" in own.remedy
    assert (tmp_path / str(own.log)).read_text() == "Traceback\nQueuePool limit reached\n"
    assert runtime.asked == [("fastapi-sync", KEPT_LINES)]


def test_an_empty_log_says_so(tmp_path: Path) -> None:
    (reason,) = with_log(tmp_path, Logs(""), "errors").reasons
    assert (tmp_path / str(reason.log)).read_text() == "nothing was logged\n"


def test_a_stack_that_never_came_up_has_no_log(tmp_path: Path) -> None:
    (reason,) = with_log(tmp_path, Logs(None), "crash").reasons
    assert reason.log is None
    assert "read the stack's log" in reason.remedy


def test_no_log_is_asked_for_where_no_remedy_needs_it(tmp_path: Path) -> None:
    runtime = Logs("words")
    assert [reason.log for reason in with_log(tmp_path, runtime, "steal", "ledger").reasons] == [None, None]
    assert not runtime.asked and not (tmp_path / "logs").exists()


def test_rounds_in_which_the_same_was_seen_have_one_reason() -> None:
    same = [Reason("restart", "1 process went", f"logs/r0{number}.log") for number in range(2)]
    assert list(dict.fromkeys(same)) == same[:1]
