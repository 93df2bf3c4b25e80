"""Making the virtual environment: what it says, and what it takes from the lock."""

import sys

import pytest

import _venv  # of scripts/
from stackmatrix.catalog import ROOT


def test_a_step_is_a_plain_line_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    _venv.step("the packages", [sys.executable, "-c", "print('noise')"], "none")
    assert capfd.readouterr() == ("", "  the packages\n")


def test_a_step_that_fails_shows_its_last_words_and_the_remedy() -> None:
    failing = [sys.executable, "-c", "import sys; print(*range(20), sep='\\n', flush=True); sys.exit('no index')"]
    with pytest.raises(SystemExit) as caught:
        _venv.step("the packages", failing, "check that the package index answers")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("error: ")
    assert lines[1:] == [
        *(f"  {number}" for number in range(13, 20)),
        "  no index",
        "check that the package index answers",
    ]


def test_uv_is_taken_from_the_lock_with_its_hashes() -> None:
    first, *hashes = _venv.locked("uv").splitlines()
    assert first.startswith("uv==")
    assert hashes
    assert all(line.strip().startswith("--hash=sha256:") for line in hashes)
    assert _venv.locked("uv") in (ROOT / "requirements.txt").read_text()
