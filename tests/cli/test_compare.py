"""What `compare.py` takes, what it refuses and why, and what it says of runs on disk; nothing is started here."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import load_stacks, parse_variant
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.cli import compare_operands
from stackmatrix.cli.compare_operands import Timed
from stackmatrix.cli.report import judge_now
from stackmatrix.errors import CatalogError, UserError
from stackmatrix.formatting import quantity
from stackmatrix.measure import copies as measured_copies
from stackmatrix.measure.copies import Copies, copies
from stackmatrix.results.compare import ComparisonReport
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.plan import PLAN_FILE, Load, Plan, arms_of
from stackmatrix.results.reasons import Reason
from stackmatrix.results.trial import Cpu
from stackmatrix.runtime import revisions

from ..made_trials import made
from .invoke import invoke

STACKS = load_stacks()
STACK = STACKS["fastapi-async"]
WORKLOADS = load_workloads()
ENVIRONMENT: Mapping[str, Any] = {
    "cpu": "made up",
    "cpus": 2,
    "memory_gib": 8.0,
    "kernel": "6",
    "system": "Debian",
    "virtual": False,
    "python": "3.13",
    "runtime": "native",
    "postgres": "17",
    "nginx": "1",
    "delay": "Go",
    "window_s": 1.0,
}


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    return invoke("compare", *arguments)


def git(root: Path, *words: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    done = subprocess.run(["git", "-C", str(root), *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A checkout with one stack in two revisions."""
    root = tmp_path / "checkout"
    place = root / "stacks" / STACK.name
    shutil.copytree(STACK.directory, place, ignore=shutil.ignore_patterns("__pycache__"))
    git(tmp_path, "init", "-q", str(root))
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    (place / "app.py").write_text("# another one\n")
    git(root, "commit", "-qam", "two")
    return root


class TestOperands:
    @pytest.mark.parametrize(
        ("text", "due"),
        [
            ("fastapi-async", Timed("fastapi-async", "fastapi-async", "")),
            ("fastapi-async[httpx]", Timed("fastapi-async[httpx]", "fastapi-async", "[httpx]")),
            ("gone@v1.2", Timed("gone@v1.2", "gone", "", revision="v1.2")),
            ("gone[a=b]@HEAD~1^", Timed("gone[a=b]@HEAD~1^", "gone", "[a=b]", revision="HEAD~1^")),
            ("fastapi-async@feature/x", Timed("fastapi-async@feature/x", "fastapi-async", "", revision="feature/x")),
        ],
    )
    def test_stacks_variants_and_revisions(self, text: str, due: Timed) -> None:
        assert compare_operands.one_side(text, STACKS) == due

    def test_a_directory_that_is_a_stack(self, tmp_path: Path) -> None:
        place = tmp_path / "My Copy"
        shutil.copytree(STACK.directory, place)
        assert compare_operands.one_side(f"{place}/[httpx]", STACKS) == Timed(
            f"{place}/[httpx]", "my-copy", "[httpx]", directory=place.resolve()
        )

    def test_a_directory_of_the_checkout_is_the_stack_itself(self) -> None:
        assert compare_operands.one_side(f"{STACK.directory}/", STACKS) == Timed(f"{STACK.directory}/", STACK.name, "")

    def test_the_same_twice_are_two_servers(self) -> None:
        side = compare_operands.one_side("fastapi-async[httpx]", STACKS)
        assert isinstance(side, Timed)
        with copies() as made:
            one, other = compare_operands.variants([side, side], STACKS, made)
            place = other.stack.directory
            assert one.stack == STACK
            assert (other.stack.name, other.changed) == ("fastapi-async-copy", one.changed)
            assert other.stack.port != one.stack.port
        assert not place.exists()


class TestCopies:
    def test_a_copy_says_its_own_name_and_port_where_a_container_needs_them(self, tmp_path: Path) -> None:
        stack = Copies(tmp_path).of_directory(STACK.directory, "other")
        composed = yaml.safe_load((stack.directory / "compose.yaml").read_text())["services"]
        assert list(composed) == ["other"]
        service = composed["other"]
        original = yaml.safe_load((STACK.directory / "compose.yaml").read_text())["services"][STACK.name]
        assert {key for key in original if service[key] != original[key]} == {
            "profiles",
            "image",
            "build",
            "environment",
            "ports",
            "volumes",
        }
        assert service["build"] == str(stack.directory)
        assert service["image"] == "stack-matrix/other"
        assert service["ports"] == [f"127.0.0.1:{stack.port}:{stack.port}"]
        assert f"PORT={stack.port}" in service["environment"]
        assert any(entry.endswith("?application_name=other") for entry in service["environment"])
        assert service["volumes"] == [f"{ROOT}/fixtures:/fixtures:ro"]
        dockerfile = (stack.directory / "Dockerfile").read_text()
        assert "WORKDIR /opt/other\n" in dockerfile
        assert f"EXPOSE {stack.port}\n" in dockerfile
        assert (stack.settings, stack.capacity) == (STACK.settings, STACK.capacity)

    def test_a_revision_is_as_it_was(self, history: Path, tmp_path: Path) -> None:
        made = Copies(tmp_path / "copies", history)
        before = git(history, "status", "--porcelain"), git(history, "worktree", "list")
        old, new = (revisions.commit_of(name, history) for name in ("HEAD~1", "HEAD"))
        one, other = (made.of_revision(commit, STACK.name, f"at-{commit[:7]}") for commit in (old, new))
        assert (one.directory / "app.py").read_text() == (STACK.directory / "app.py").read_text()
        assert (other.directory / "app.py").read_text() == "# another one\n"
        assert (one.directory / "serve").stat().st_mode & 0o111
        assert (git(history, "status", "--porcelain"), git(history, "worktree", "list")) == before

    def test_a_revision_that_is_not_there(self, history: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"no revision is called 'v9'; git log shows"):
            revisions.commit_of("v9", history)
        with pytest.raises(UserError, match=r"no revision is called '--all'"):
            revisions.commit_of("--all", history)
        commit = revisions.commit_of("HEAD", history)
        with pytest.raises(UserError, match=r"has no stack called 'flask'; it has fastapi-async"):
            Copies(tmp_path / "copies", history).of_revision(commit, "flask", "flask-old")
        with pytest.raises(UserError, match="is no git checkout, so it has no revision 'HEAD'; give a directory"):
            revisions.commit_of("HEAD", tmp_path)

    def test_a_shallow_clone_says_so(self, history: Path, tmp_path: Path) -> None:
        git(tmp_path, "clone", "-q", "--depth", "1", f"file://{history}", str(tmp_path / "shallow"))
        with pytest.raises(UserError, match="this clone is shallow: git fetch --unshallow"):
            revisions.commit_of("HEAD~1", tmp_path / "shallow")

    def test_without_git(self, history: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(UserError, match="git is not installed"):
            revisions.commit_of("HEAD", history)

    def test_uncommitted_changes_are_seen(self, history: Path) -> None:
        assert not revisions.changed(STACK.name, history)
        (history / "stacks" / STACK.name / "new.py").touch()
        assert revisions.changed(STACK.name, history)

    def test_a_manifest_that_is_none_of_today_s_names_its_file(self, history: Path, tmp_path: Path) -> None:
        manifest = history / "stacks" / STACK.name / "stack.toml"
        manifest.write_text(manifest.read_text().replace("summary =", "about ="))
        git(history, "commit", "-qam", "three")
        with pytest.raises(CatalogError, match=r"stack\.toml: about = .*: unknown key"):
            Copies(tmp_path / "copies", history).of_revision(revisions.commit_of("HEAD", history), STACK.name, "three")


def a_run(
    base: Path,
    name: str,
    times: float = 1.0,
    *,
    environment: Mapping[str, Any] = ENVIRONMENT,
    rounds: int = 8,
    reasons: Sequence[Reason] = (),
    ended: bool = True,
    src: str = "1",
) -> str:
    """A run of one stack on disk, without records: goodput 1000/s × `times`, half a per cent of noise."""
    rng = np.random.default_rng(len(name))
    directory = RunDirectory.create(name, base)
    variant = parse_variant("fastapi-async", STACKS)
    arms = arms_of([variant], [WORKLOADS["json-small"]], {}, [Load("closed", users=64)])
    plan = Plan(SCHEMA, name, "", "native", 1, 2.0, 1.0, None, 60.0, arms, {"src": src, "stacks/fastapi-async": name})
    directory.write(PLAN_FILE, plan)
    directory.write("environment.json", environment)
    for place in range(rounds):
        for arm in arms:
            goodput = float(1000 * times * np.exp(rng.normal(0, 0.005)))
            cpu = Cpu(stack=goodput * 2e-4 / times)
            answered = round(goodput)
            directory.append(
                made(arm.id, place, window_s=1.0, goodput=goodput, answered=answered, cpu_s=cpu, reasons=list(reasons))
            )
    if ended:
        judge_now(directory)
    return str(directory.path)


class TestRuns:
    def test_the_answer_stands_first_and_is_typed(self, tmp_path: Path) -> None:
        before, after = a_run(tmp_path, "before"), a_run(tmp_path, "after", 0.8)
        markdown, file = tmp_path / "out.md", tmp_path / "out.json"
        done = ask(before, after, "--fail-if-worse", "5%", "--markdown", str(markdown), "--json", str(file))
        assert done.returncode == 1, done.stderr
        assert done.stdout.splitlines()[2].startswith(
            "fastapi-async under json-small, 64 users: slower: goodput B ÷ A 0.8"
        )
        assert "worse by more than 5.0 %: worse (fastapi-async under json-small, 64 users)" in done.stdout
        assert "The rounds of two runs are no pairs" in done.stdout
        report = msgspec.json.decode(file.read_bytes(), type=ComparisonReport)
        assert (report.outcome, report.interleaved, report.limit) == ("worse", False, 0.05)
        (answer,) = report.answers
        assert answer.goodput.ratio is not None
        assert answer.goodput.ratio.ci95 is not None
        text = markdown.read_text()
        assert text.startswith("## B against A: slower under fastapi-async/json-small\n")
        assert quantity(answer.goodput.ratio.value) in text

    def test_the_other_way_round_and_without_a_limit_it_is_no_failure(self, tmp_path: Path) -> None:
        before, after = a_run(tmp_path, "before"), a_run(tmp_path, "after", 0.8)
        assert ask(after, before, "--fail-if-worse", "5").returncode == 0
        done = ask(before, after, "--markdown", "-")
        assert done.returncode == 0
        assert done.stdout.startswith("## B against A: slower")
        assert "fastapi-async under json-small, 64 users: slower" in done.stderr

    def test_runs_of_two_machines_are_not_compared(self, tmp_path: Path) -> None:
        other = {**ENVIRONMENT, "cpu": "another", "cpus": 64, "runtime": "docker 28"}
        before, after = a_run(tmp_path, "before"), a_run(tmp_path, "after", environment=other, src="2")
        done = ask(before, after, "--fail-if-worse", "5%")
        assert done.returncode == 2
        assert "were not measured in the same way" in done.stderr
        for row in ("processor +made up +another", "cores +2 +64", "runtime +native +docker 28", "src +1 +2"):
            assert re.search(row, done.stderr)
        assert "Traceback" not in done.stderr

    def test_a_run_that_was_killed_is_judged_by_what_it_has(self, tmp_path: Path) -> None:
        before, after = a_run(tmp_path, "before"), a_run(tmp_path, "after", rounds=3, ended=False)
        done = ask(before, after, "--fail-if-worse", "5%")
        assert done.returncode == 2
        assert "can't tell" in done.stdout
        assert "only 3 of the 6 rounds that an interval needs; about 3 more rounds would settle it" in done.stdout
        assert "B was interrupted" in done.stdout

    def test_a_run_that_was_killed_before_it_timed_anything(self, tmp_path: Path) -> None:
        before, after = a_run(tmp_path, "before"), a_run(tmp_path, "after", rounds=0, ended=False)
        done = ask(before, after, "--fail-if-worse", "5%")
        assert done.returncode == 2
        assert "B has no number (untimed: the run ended before its first trial)" in done.stdout

    def test_a_run_with_every_arm_void_says_why(self, tmp_path: Path) -> None:
        before = a_run(tmp_path, "before")
        after = a_run(tmp_path, "after", reasons=[Reason("errors", "9 of 9 requests failed")])
        done = ask(before, after, "--fail-if-worse", "5%")
        assert done.returncode == 2
        assert "can't tell: B has no number (errors: 9 of 9 requests failed)" in done.stdout

    def test_runs_without_a_common_arm(self, tmp_path: Path) -> None:
        done = ask(a_run(tmp_path, "before"), a_run(tmp_path, "after"), "--workload", "query")
        assert done.returncode == 2
        assert "have no arm in common" in done.stderr

    def test_a_run_against_a_stack(self, tmp_path: Path) -> None:
        done = ask(a_run(tmp_path, "before"), "fastapi-async")
        assert done.returncode == 2
        assert "a run on disk and a stack cannot be compared" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fastapi-asink", "fastapi-async"], "nor a run; did you mean fastapi-async?"),
        (["results/none", "fastapi-async"], "'results/none' is neither a stack, nor"),
        (["./docs/", "fastapi-async"], "nor a directory with a stack.toml, nor a run; --help shows each"),
        (["fastapi-async[thread=1]", "fastapi-async"], "no setting of fastapi-async is called 'thread'"),
        (["fastapi-async@no-such-revision", "fastapi-async"], "no revision is called 'no-such-revision'"),
        (["fastapi-async", "fastapi-async", "--workload", "slep"], "no workload is called 'slep'; did you mean sleep?"),
        (
            ["fastapi-async", "fastapi-async", "--fail-if-worse", "much"],
            "--fail-if-worse 'much': write a percentage",
        ),
        (["fastapi-async", "fastapi-async", "--fail-if-worse", "0%"], "--fail-if-worse '0%': write a percentage"),
        (["fastapi-async", "fastapi-async", "--budget", "2s"], "too short for one round of"),
        (["fastapi-async", "fastapi-async", "--json", "-", "--markdown", "-"], "only one of --markdown and --json"),
        (["fastapi-async"], "B is missing; usage: ./scripts/compare.py A B"),
    ],
)
def test_a_user_s_mistake_is_one_message_and_leaves_nothing(
    arguments: Sequence[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    class Noted(TemporaryDirectory[str]):
        def __enter__(self) -> str:
            made.append(Path(super().__enter__()))
            return str(made[-1])

    monkeypatch.setattr(measured_copies, "TemporaryDirectory", Noted)
    done = ask(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not [directory for directory in made if directory.exists()]
