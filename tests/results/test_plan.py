"""A plan: what a number depends on, what is compared with what, and what a run that goes on refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

from stackmatrix.errors import UserError
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.experiment import PlannedExperiment
from stackmatrix.results.plan import PLAN_FILE, Arm, Load, Plan, Timing, digests, resume

LOAD = Load("closed", users=64)
ARM = Arm(
    "fastapi-sync[threads=8]/http[ms=5]/64 users", "fastapi-sync", {"threads": 8}, "http", {"ms": 5, "n": 1}, LOAD
)


def plan(arms: list[Arm]) -> Plan:
    return Plan(SCHEMA, "x", "", "native", 1, 2.0, 0.5, None, 60.0, arms, digests(arms))


@pytest.mark.parametrize(
    "changed",
    [
        "src/stackmatrix/load/wire.py",
        "stacks/fastapi-sync/app.py",
        "workloads/http.toml",
        "experiments/e.toml",
        "upstream/postgres/seed.sql",
        "upstream/nginx/nginx.conf",
        "upstream/delay/main.go",
        "fixtures/0.json",
        "docker-compose.yml",
    ],
)
def test_a_number_depends_on(changed: str, tmp_path: Path) -> None:
    file = tmp_path / changed
    file.parent.mkdir(parents=True, exist_ok=True)
    experiment = PlannedExperiment("e", 1.0, 1.0, {})
    file.write_text("one")
    before = digests([ARM], experiment, tmp_path)
    assert digests([ARM], experiment, tmp_path) == before
    file.write_text("other")
    after = digests([ARM], experiment, tmp_path)
    (name,) = (name for name in before if before[name] != after[name])
    assert changed.startswith(name)


@pytest.mark.parametrize(
    "other", ["src/__pycache__/x.pyc", "stacks/flask/app.py", "workloads/query.toml", "stacks/fastapi-sync/.venv/x"]
)
def test_a_number_does_not_depend_on(other: str, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    before = digests([ARM], root=tmp_path)
    file = tmp_path / other
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("new")
    assert digests([ARM], root=tmp_path) == before


def test_a_run_goes_on_only_with_the_code_that_it_began_with(tmp_path: Path) -> None:
    directory, begun = RunDirectory(tmp_path), plan([ARM])
    directory.write(PLAN_FILE, begun)
    assert resume(directory) == begun
    directory.write(PLAN_FILE, replace(begun, inputs=begun.inputs | {"src": "another"}))
    with pytest.raises(UserError, match="cannot go on: src changed since it began"):
        resume(directory)


def test_a_run_of_an_older_schema_does_not_go_on(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.write(PLAN_FILE, replace(plan([ARM]), schema=1))
    with pytest.raises(UserError, match=f"schema 1 is not this harness's {SCHEMA}; start a new run"):
        resume(directory)


def test_what_is_compared_has_workload_parameters_and_load_in_common() -> None:
    alike = replace(ARM, id="x", stack="flask", variant={}, params={"n": 1, "ms": 5})
    assert alike.comparison_key == ARM.comparison_key
    for other in (
        replace(ARM, workload="query"),
        replace(ARM, params={"ms": 6, "n": 1}),
        replace(ARM, load=replace(LOAD, users=65)),
        replace(ARM, load=replace(LOAD, think_s=0.1)),
    ):
        assert other.comparison_key != ARM.comparison_key


def test_the_label_of_a_comparison_is_the_id_without_the_variant() -> None:
    assert ARM.comparison_label == "http[ms=5]/64 users"
    nested = replace(
        ARM, id="s[python=/usr/bin/python3]/http/64 users", stack="s", variant={"python": "/usr/bin/python3"}
    )
    assert nested.comparison_label == "http/64 users"


def test_an_arm_is_timed_as_it_says_or_else_as_the_plan_does() -> None:
    assert plan([ARM]).timing(ARM) == Timing(2.0, 0.5)
    assert plan([ARM]).timing(replace(ARM, timing=Timing(1.0, 9.0))) == Timing(1.0, 9.0)


def test_an_id_becomes_a_file_s_name() -> None:
    assert ARM.file_name == "fastapi-sync_threads=8_http_ms=5_64_users"


def test_numbers_depend_on_the_harness_and_all_that_answers_them() -> None:
    assert list(digests([ARM])) == [
        "docker-compose.yml",
        "fixtures",
        "src",
        f"stacks/{ARM.stack}",
        "upstream/delay",
        "upstream/nginx",
        "upstream/postgres",
        f"workloads/{ARM.workload}.toml",
    ]
