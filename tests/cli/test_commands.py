"""`stackmatrix` as a whole: what `--help` says and costs, how a mistake is told, and that its doors lead to it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest

from stackmatrix.catalog import ROOT
from stackmatrix.cli import options, subcommands
from stackmatrix.cli.commands import run_tokens
from stackmatrix.cli.shell import ending
from stackmatrix.cli.subcommands import SUBCOMMANDS
from stackmatrix.errors import UserError

HEAVY = {"altair", "numpy", "locust", "schemathesis", "jinja2", "vl_convert", "docker", "psutil", "msgspec", "yaml"}
NAMES = [sub.name for sub in SUBCOMMANDS]


@pytest.fixture(autouse=True)
def as_stackmatrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if `stackmatrix` had been typed."""
    monkeypatch.setattr(sys, "argv", ["stackmatrix"])


def program(*words: str, **changed: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "stackmatrix", *words], capture_output=True, check=False, env={**os.environ, **changed}
    )


@pytest.mark.parametrize("tokens", [["--help"], *([name, "--help"] for name in NAMES)], ids=" ".join)
def test_help_says_what_there_is(tokens: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tokens(tokens) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: stackmatrix {tokens[0] if len(tokens) > 1 else 'COMMAND'}")
    for sub in SUBCOMMANDS if len(tokens) == 1 else ():
        assert f"\n  {sub.name} " in said
    assert all(len(line) <= 110 for line in said.splitlines())


def test_help_and_mistakes_load_nothing_heavy() -> None:
    """Start-up stays short: what charts, servers and generators need is imported where it is used."""
    code = f"""
import sys
from stackmatrix.cli.commands import run_tokens
from stackmatrix.errors import UserError
for words in [[], *([name] for name in {NAMES!r})]:
    run_tokens([*words, "--help"])
    try:
        run_tokens([*words, "--no-such-option"])
    except UserError:
        continue
    raise AssertionError(words)
print(*sys.modules, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stderr.split()) == set()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("rnu", "no command is called 'rnu'; did you mean run?"),
        ("frobnicate", "no command is called 'frobnicate'; there are run, compare, "),
        ("run --bugdet 3", "--bugdet: there is no such option; did you mean --budget?"),
        ("run --qqq", "--qqq: there is no such option; --help lists them"),
        ("run --bugdet=3", "--bugdet: there is no such option; did you mean --budget?"),
        ("run --budget", "--budget: a value must follow it"),
        ("run --budget 1s --budget 2s", "--budget: give it once"),
        ("run --budget -5s", "--budget '-5s': write a duration from 1s to 240h, such as 500ms, 90s or 10m"),
        ("run --runtime nativ", "--runtime 'nativ': choose docker, native or auto; did you mean native?"),
        ("run --profile=maybe", "--profile 'maybe': "),
        ("run x", "'x': one argument too many; usage: stackmatrix run [OPTIONS]"),
        ("run --users 8,8", "--users '8,8': 8 stands there twice; write each once"),
        ("run --users 8 --users 8", "--users '8,8': 8 stands there twice; write each once"),
        ("run --rate 0", "--rate '0': write arrivals per second from 0.001 to 1e6, such as 200, 0.5 or 1e3"),
        ("run --duration 99h", "--duration '99h': write a duration from 1ms to 24h"),
        ("run --duration 23h --budget 20s", "--duration 23h does not fit --budget 20s: a budget must hold at least"),
        ("run --name ../../x", "--name '../../x': write 1 to 60 letters, digits and hyphens"),
        ("run --param ms", "--param 'ms': write KEY=VALUE"),
        ("run --seed -1", "--seed '-1': write a whole number from 0 to 2147483647"),
        ("run --stack fastapi-asink", "no stack is called 'fastapi-asink'; did you mean fastapi-async?"),
        ("run --workload slep", "no workload is called 'slep'; did you mean sleep?"),
        ("run --json /none/x", "--json /none/x: cannot write there: No such file or directory"),
        ("run --json .", "--json .: cannot write there: Is a directory"),
        ("run --rate 9 --generator wrk", "--generator wrk offers no rate of arrivals, only users: give --users"),
        ("run --slo p99", "--slo 'p99': no service level"),
        ("run --slo p99<1s --rate 3", "--slo finds the rate itself"),
        ("run --slo p99<1s --profile", "--slo has no rounds after which"),
        ("run --full", "--full goes with --experiment NAME"),
        ("run --experiment http-call --warmup 1 --arrivals constant", "leave out --arrivals, --warmup"),
        ("experiment htp-call", "no experiment is called 'htp-call'; did you mean http-call?"),
        ("experiment http-call --duration 3", "--duration: an experiment says itself how long each arm is timed"),
        ("compare a", "B is missing; usage: stackmatrix compare A B [OPTIONS]"),
        ("compare a b --json - --markdown -", "only one of --markdown and --json can go to standard output"),
        ("compare a b --markdown /none/x", "--markdown /none/x: cannot write there"),
        ("load", "URL is missing; usage: stackmatrix load URL"),
        ("load http://x/ --users 1 --cpus 3-1", "--cpus '3-1': write cores"),
        ("contract --only answerz", "no check is called 'answerz'; did you mean answers?"),
        ("contract --only faults --quick", "no check is called 'faults'"),
        ("serve fastapi-sync --port 0", "--port '0': write a whole number from 1 to 65535"),
        ("serve fastapi-sync --variant x", "--variant 'x': write KEY=VALUE"),
        ("report", "RUN is missing"),
        ("report results/none", "results/none: no run is there"),
        ("findings --out /none/x", "--out /none/x: cannot write there"),
        ("up fastapi-asink", "no stack is called 'fastapi-asink'; did you mean fastapi-async?"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(typed: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(lambda: run_tokens(typed.split())) == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert said.startswith("error: ")
    assert words in said
    assert said.count("\n") == 1


def test_an_output_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("kept")
    for file in (old, new):
        with pytest.raises(UserError, match="slep"):
            run_tokens(["run", "--workload", "slep", "--json", str(file)])
    assert old.read_text() == "kept"
    assert not new.exists()


def test_choices_are_what_there_is() -> None:
    from stackmatrix.load.tools.run import OTHER_GENERATORS

    assert set(get_args(options.ToolName)) == OTHER_GENERATORS.keys()


def test_the_shell_completes_names_of_this_checkout(capsys: pytest.CaptureFixture[str]) -> None:
    for words, due in (
        (["run", "--stack", ""], "fastapi-sync"),
        (["experiment", ""], "http-call"),
        (["up", "f"], "flask"),
    ):
        assert run_tokens(["__complete", *words]) == 0
        assert due in capsys.readouterr().out


class TestAscii:
    """A terminal that knows ASCII only gets ASCII, and no traceback."""

    @pytest.mark.parametrize("words", [("--help",), ("run", "--help"), ("experiment",), ("run", "--stack", "µ–…")])
    def test_every_output_can_be_printed(self, words: Sequence[str]) -> None:
        done = program(*words, LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
        assert b"Traceback" not in done.stderr
        assert (done.stdout + done.stderr).isascii()
        assert done.stdout or done.returncode == 2

    def test_what_ascii_lacks_is_written_with_what_it_has(self) -> None:
        said = "2 µs – 3 ms…, ±5 %, ≤ 1 000, é, 漢"
        assert said.encode("ascii", "in_ascii") == b"2 us - 3 ms..., +/-5 %, <= 1 000, e, ?"


class TestDoors:
    @pytest.mark.parametrize("sub", SUBCOMMANDS, ids=lambda sub: sub.name)
    def test_a_script_is_one_line_and_names_itself(
        self, sub: subcommands.Subcommand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = sub.script.split()[0]
        script = ROOT / "scripts" / name
        assert script.stat().st_mode & 0o111
        due = "run" if sub.name == "experiment" else sub.name
        assert re.findall(r'door\("(\w+)"\)', script.read_text()) == [due]
        monkeypatch.setattr(sys, "argv", [f"/somewhere/scripts/{name}", "--x y"])
        assert subcommands.as_typed(sub.name) == f"./scripts/{sub.script}"
        assert subcommands.typed_line() == f"./scripts/{name} '--x y'"

    def test_the_command_names_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["/venv/bin/stackmatrix", "run", "a b"])
        assert subcommands.as_typed("run") == "stackmatrix run"
        assert subcommands.typed_line() == "stackmatrix run 'a b'"


class TestWithoutACheckout:
    """An installed command, whose stacks are nowhere."""

    @pytest.fixture(autouse=True)
    def elsewhere(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
        monkeypatch.setattr("stackmatrix.catalog.ROOT", tmp_path)
        monkeypatch.chdir(tmp_path)
        yield

    @pytest.mark.parametrize("name", [name for name in NAMES if name != "load"])
    def test_what_needs_one_says_so(self, name: str) -> None:
        with pytest.raises(UserError, match=f"stackmatrix {name} needs the stacks: run it in a checkout"):
            run_tokens([name, "x"])
        assert run_tokens([name, "--help"]) == 0

    def test_load_needs_none(self) -> None:
        with pytest.raises(UserError, match="no connection"):
            run_tokens(["load", "http://127.0.0.1:1/", "--users", "1"])

    @pytest.mark.parametrize(
        ("tokens", "due"),
        [
            (["run", "--users", "1"], ["check-performance.py", "--users", "1"]),
            (["experiment", "x", "--full"], ["check-performance.py", "--experiment", "x", "--full"]),
            (["experiment"], ["check-performance.py", "--list"]),
        ],
    )
    def test_in_one_its_own_script_takes_over(
        self, tokens: list[str], due: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(ROOT / "docs")
        called: list[list[str]] = []

        def execv(path: Path, words: list[str]) -> None:
            called.append([str(path), *words])
            raise SystemExit

        monkeypatch.setattr(os, "execv", execv)
        with pytest.raises(SystemExit):
            run_tokens(tokens)
        assert called == [[str(ROOT / "scripts" / due[0]), *due]]
