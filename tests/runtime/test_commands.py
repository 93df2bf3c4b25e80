"""What is said of a command that fails, and of a program that ends."""

import sys
import time

import pytest

from stackmatrix.errors import UserError
from stackmatrix.runtime.commands import run_command, wait_until, why_ended

IMPORTING = """\
INFO:     Started parent process [7]
Traceback (most recent call last):
  File "/opt/venv/lib/python3.13/site-packages/uvicorn/importer.py", line 19, in import_from_string
    module = importlib.import_module(module_str)
  File "<frozen importlib._bootstrap>", line 1387, in _gcd_import
  File "/opt/fastapi-sync/app.py", line 12, in <module>
    import settings
  File "/opt/fastapi-sync/settings.py", line 3, in <module>
    from fastapii import FastAPI
  File "/opt/venv/lib/python3.13/site-packages/deeper.py", line 1, in <module>
ModuleNotFoundError: No module named 'fastapii'
"""


def test_an_import_that_fails_is_told_in_one_line_with_its_place() -> None:
    assert why_ended(IMPORTING) == "fastapi-sync/settings.py, line 3: ModuleNotFoundError: No module named 'fastapii'"


def test_what_a_server_says_after_its_last_exception_is_passed_over() -> None:
    parting = "[7] [INFO] Worker exiting (pid: 7)\n[1] [ERROR] Shutting down: Master\n"
    assert why_ended(IMPORTING + parting) == why_ended(IMPORTING)


def test_an_exception_that_lies_long_back_is_not_why_a_program_ended() -> None:
    assert why_ended(IMPORTING + "served\n" * 50 + "THREADS=abc: must be a number\n").endswith(
        "THREADS=abc: must be a number"
    )


def test_without_an_exception_the_last_lines_are_told() -> None:
    assert why_ended("one\ntwo\n  three\nfour\n") == "two / three / four"
    assert why_ended("") == "it said nothing"
    assert why_ended("Traceback (most recent call last):\n  cut off") == "Traceback (most recent call last): / cut off"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_command_gets_its_text_and_gives_its_output() -> None:
    assert run_command(python("print(input() + '!')"), "it failed", text="yes\n") == "yes!"


def test_a_failing_command_is_told_with_its_last_words_and_a_known_remedy() -> None:
    words = python("import sys; sys.exit('one\\nNo Space Left on device\\nthree')")
    with pytest.raises(UserError, match=r"^it failed: one / No Space Left on device / three$"):
        run_command(words, "it failed")
    with pytest.raises(UserError, match=r"^it failed: No Space Left on device \(free some\)$"):
        run_command(words, "it failed", remedies={"no space left": "free some"})
    with pytest.raises(UserError, match=r"^it failed: it said nothing$"):
        run_command(python("raise SystemExit(3)"), "it failed")


def test_what_does_not_come_true_is_waited_for_in_vain() -> None:
    looks = iter([False, False, True])
    assert wait_until(lambda: next(looks), within_s=5, every_s=0)
    began = time.monotonic()
    assert not wait_until(lambda: False, within_s=0.05, every_s=0.01)
    assert 0.05 <= time.monotonic() - began < 2
