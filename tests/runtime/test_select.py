"""Which runtime is chosen, and that it is said why."""

import os
import socket
from pathlib import Path

import pytest

from stackmatrix.errors import UserError
from stackmatrix.runtime.docker import engine_version
from stackmatrix.runtime.native.ports import free_port
from stackmatrix.runtime.select import choose


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Docker engine answers: the client is told to ask at a socket that is not there."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")


def engine_answers() -> bool:
    try:
        engine_version()
    except UserError:
        return False
    return True


@pytest.mark.usefixtures("no_engine")
def test_auto_takes_native_without_an_engine_and_says_why() -> None:
    said: list[str] = []
    runtime = choose("auto", said.append)
    assert runtime.name == "native"
    assert len(said) == 1
    assert said[0].startswith("runtime: native (")
    assert "Docker" in said[0]


def test_auto_takes_native_where_docker_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    assert choose("auto", said.append).name == "native"
    assert said == ["runtime: native (Docker is not installed)"]


@pytest.mark.servers
def test_auto_takes_docker_when_an_engine_answers() -> None:
    if not engine_answers():
        pytest.skip("no Docker engine answers")
    said: list[str] = []
    with choose("auto", said.append) as runtime:
        assert runtime.name == "docker"
        assert said == ["runtime: docker (an engine answers)"]


@pytest.mark.usefixtures("no_engine")
def test_docker_asked_for_must_be_there() -> None:
    with pytest.raises(UserError, match=r"no Docker engine answers|not installed"):
        choose("docker", print)


def test_native_asked_for_is_taken_without_a_word() -> None:
    said: list[str] = []
    assert choose("native", said.append).name == "native"
    assert said == []


def test_a_port_asked_for_needs_native() -> None:
    with pytest.raises(UserError, match="needs --runtime native"):
        choose("docker", print, ports={"fastapi-async": free_port()})
    assert choose("auto", print, ports={"fastapi-async": free_port()}).name == "native"


def test_a_port_in_use_is_refused() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(UserError, match=f"another program has port {other.getsockname()[1]}"),
    ):
        choose("native", print, ports={"fastapi-async": other.getsockname()[1]})


def test_choosing_leaves_the_environment_alone() -> None:
    before = dict(os.environ)
    choose("native", print)
    assert dict(os.environ) == before
