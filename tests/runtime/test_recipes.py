"""What the native runtime starts programs with, where it keeps things, and whom it lets in."""

import hashlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Stack, Variant, load_stacks
from stackmatrix.cli.serve import joined
from stackmatrix.errors import UserError
from stackmatrix.runtime.native import delay, environments, fixtures, ports
from stackmatrix.runtime.native.runtime import recipe
from stackmatrix.runtime.native.state import State, short_digest

STACK = next(iter(load_stacks().values()))
UPSTREAMS = {"DATABASE_URL": "postgresql://…", "DELAY_URL": "http://127.0.0.1:1"}


def environment(stack: Stack, **changed: int | str | bool) -> dict[str, str]:
    made = recipe(Variant(stack, changed), 12345, Path("/venv"), UPSTREAMS)
    assert made.environment is not None
    return dict(made.environment)


def test_a_stack_sees_its_address_and_its_upstreams() -> None:
    seen = environment(STACK)
    assert seen["HOST"] == "127.0.0.1"
    assert seen["PORT"] == "12345"
    assert seen.items() >= UPSTREAMS.items()


def test_a_stack_finds_its_own_python_first() -> None:
    assert environment(STACK)["PATH"].split(os.pathsep)[0] == "/venv/bin"


def test_a_stack_is_set_by_its_variant_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in STACK.settings:
        monkeypatch.setenv(key.upper(), "from the user's shell")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    plain = environment(STACK)
    assert not plain.keys() & {key.upper() for key in STACK.settings}
    assert "PYTHONPATH" not in plain
    varied = environment(STACK, workers=4, server_timing=True)
    assert (varied["WORKERS"], varied["SERVER_TIMING"]) == ("4", "true")
    assert varied.keys() - plain.keys() == {"WORKERS", "SERVER_TIMING"}


def test_free_ports_are_free_and_out_of_the_way_of_outgoing_connections() -> None:
    chosen = [ports.free_port() for _ in range(50)]
    assert all(ports.is_free(port) for port in chosen)
    lowest, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert max(chosen) < lowest or lowest < ports.CHOICE.start


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_something_listens_on_is_not_free(host: str) -> None:
    with socket.create_server((host, 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_the_nginx_configuration_differs_from_the_containers_in_its_place_only() -> None:
    original = (ROOT / "upstream" / "nginx" / "nginx.conf").read_text(encoding="utf-8").splitlines()
    placed = fixtures.placed("\n".join(original), "127.0.0.1:23456", "/some where/fixtures").splitlines()
    changed = [
        (before.strip(), after.strip()) for before, after in zip(original, placed, strict=True) if before != after
    ]
    assert len(changed) == 2
    assert all("# place" in before for before, _ in changed)
    assert re.match(r"listen 127\.0\.0\.1:23456 backlog=\d+;", changed[0][1])
    assert changed[1][1].startswith('root "/some where/fixtures";')


def test_the_delay_server_is_named_after_its_sources(tmp_path: Path) -> None:
    source = tmp_path / "upstream" / "delay"
    source.mkdir(parents=True)
    (source / "main.go").write_text("package main\n")
    before = delay.executable_path(State(tmp_path))
    (source / "main.go").write_text("package main\n\nfunc main() {}\n")
    assert delay.executable_path(State(tmp_path)) != before


def test_a_go_that_is_too_new_is_told(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module x\n\ngo 99.1\n")
    with pytest.raises(UserError, match=r"needs Go 99\.1 or newer; .*apt-get install"):
        delay.find_go(tmp_path / "go.mod")


def test_digests_tell_contents_apart() -> None:
    assert len({short_digest("ab", "c"), short_digest("a", "bc"), short_digest("abc"), short_digest(b"", "abc")}) == 4


def test_a_stack_without_a_lock_is_told() -> None:
    with pytest.raises(UserError, match=r"requirements\.txt is missing; make it from requirements\.in: make lock"):
        environments.make("x", Path("/no/requirements.txt"), Path("/nowhere"))


def test_a_broken_lock_is_told_without_keeping_the_others_from_being_made(tmp_path: Path) -> None:
    good, bad = (replace(STACK, name=name, directory=tmp_path / name) for name in ("good", "bad"))
    for stack, lock in ((good, ""), (bad, "this is no requirement ==\n")):
        stack.directory.mkdir()
        (stack.directory / "requirements.txt").write_text(lock)
    state = State(tmp_path)
    assert environments.unmade([good, bad], state) == ["good", "bad"]
    made = environments.make_all([good, bad], state)
    assert isinstance(made["good"], Path)
    assert (made["good"] / "bin" / "python").exists()
    assert isinstance(made["bad"], UserError)
    assert str(made["bad"]).startswith("bad: could not install requirements.txt")
    assert environments.unmade([good, bad], state) == ["bad"]


def test_a_package_without_a_wheel_needs_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "nothing"
    package.mkdir()
    (package / "pyproject.toml").write_text('[project]\nname = "nothing"\nversion = "1"\n')
    subprocess.run([str(environments.UV), "build", "--quiet", "--sdist", str(package), "-o", str(tmp_path)], check=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    hashed = hashlib.sha256(sdist.read_bytes()).hexdigest()
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"nothing==1 --hash=sha256:{hashed}\n")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    monkeypatch.setattr(environments, "can_compile", lambda: False)
    with pytest.raises(UserError, match="needs a C compiler; install one: apt-get install"):
        environments.make("nothing", lock, tmp_path / "venvs")


def test_a_checkout_has_room_for_one_harness(tmp_path: Path) -> None:
    first, second = State(tmp_path), State(tmp_path)
    first.lock.acquire()
    with pytest.raises(UserError, match=f"the harness with process id {os.getpid()} runs the matrix"):
        second.lock.acquire()
    first.lock.release()
    second.lock.acquire()
    second.lock.release()


def test_the_lock_of_a_killed_harness_is_waited_for(tmp_path: Path) -> None:
    code = f"""
import subprocess, sys
from pathlib import Path
from stackmatrix.runtime.native.state import State
state = State(Path({str(tmp_path)!r}))
state.lock.acquire()
subprocess.Popen(["sleep", "1"], pass_fds=(state.lock.descriptor,))  # as a supervisor that is still at work
print("held", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.kill()
    state = State(tmp_path)
    state.lock.acquire()
    state.lock.release()


@pytest.mark.parametrize(
    ("stack", "settings", "expected"),
    [
        ("a", [], "a"),
        ("a[equal]", [], "a[equal]"),
        ("a", ["workers=2", "threads=5"], "a[workers=2,threads=5]"),
        ("a[equal]", ["workers=2"], "a[equal,workers=2]"),
        ("a[]", ["workers=2"], "a[workers=2]"),
    ],
)
def test_variants_join(stack: str, settings: list[str], expected: str) -> None:
    assert joined(stack, settings) == expected
