"""What must be repeated agrees: manifest, compose files, locks, and the page of the on-disk format."""

import re
from typing import Any

import pytest
import yaml

import _results_docs as docs  # of scripts/
from stackmatrix.catalog.stacks import Stack, load_stacks
from stackmatrix.runtime import compose_file

STACKS = load_stacks()


def service(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((stack.directory / "compose.yaml").read_text())["services"]
    assert list(found) == [stack.name], "one directory is one stack, and its service is called as the directory is"
    only: dict[str, Any] = found[stack.name]
    return only


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_profile_port_and_settings_agree_with_the_manifest(stack: Stack) -> None:
    composed = service(stack)
    environment = composed["environment"]
    if isinstance(environment, list):
        environment = dict(entry.partition("=")[::2] if "=" in entry else (entry, None) for entry in environment)
    assert sorted(composed["profiles"]) == sorted([stack.name, "all"])
    assert composed["ports"] == [f"127.0.0.1:{stack.port}:{stack.port}"]
    assert str(environment["PORT"]) == str(stack.port)
    passed = {key.lower() for key, value in environment.items() if value is None}
    assert passed == set(stack.settings), "compose.yaml passes exactly the manifest's settings through"


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_a_container_has_no_more_rights_than_it_needs(stack: Stack) -> None:
    composed = service(stack)
    assert composed["read_only"] is True
    assert composed["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in composed["security_opt"]
    assert composed["mem_limit"]
    assert composed["pids_limit"]
    dockerfile = (stack.directory / "Dockerfile").read_text()
    assert re.search(r"^FROM debian:trixie-slim", dockerfile, re.M)
    assert re.search(r"^USER (?!root|0)", dockerfile, re.M)


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_what_is_watched_is_locked_by_hash(stack: Stack) -> None:
    lock = (stack.directory / "requirements.txt").read_text()
    locked = set(re.findall(r"^([a-z0-9._-]+)==", lock, re.M))
    assert set(stack.packages) <= locked
    assert lock.count("--hash=sha256:") >= len(locked)


def test_compose_lists_the_stacks_that_are_there() -> None:
    assert compose_file.sync() is False


def test_variants_called_equal_hold_equally_many_requests() -> None:
    wide = [stack.with_settings(stack.variants["equal"]) for stack in STACKS.values() if "equal" in stack.variants]
    slots = {key: {settings[key] for settings in wide if key in settings} for key in ("threads", "greenlets")}
    assert len(slots["threads"] | slots["greenlets"]) == 1


def test_the_page_of_the_format_says_what_the_format_is() -> None:
    assert docs.PAGE.read_text(encoding="utf-8") == docs.head() + docs.tables(), "run: make docs"
