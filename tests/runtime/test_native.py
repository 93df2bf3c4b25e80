"""The native runtime with real servers: stacks, PostgreSQL, Nginx and the delay server as processes of this machine."""

import json
import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Stack, Variant, load_stacks
from stackmatrix.cores import Cores
from stackmatrix.errors import UserError
from stackmatrix.linux import lives
from stackmatrix.runtime.base import UPSTREAMS, Service, Upstream
from stackmatrix.runtime.native import NativeRuntime, fixtures, ports, postgres

STACKS = load_stacks()
ONE = STACKS["fastapi-sync"]
OTHER = STACKS["fastapi-async"]

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def runtime() -> Iterator[NativeRuntime]:
    """All stacks and upstreams, brought up once."""
    with NativeRuntime(print) as native:
        native.up(STACKS.values())
        yield native


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Another checkout of the same files, in a directory that root alone may enter."""
    for name in ("fixtures", "stacks", "upstream"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def ask(service: Service, path: str, timeout: float = 5) -> tuple[int, Any]:
    """Status and parsed body of a GET."""
    try:
        with urllib.request.urlopen(f"http://{service.host}:{service.port}{path}", timeout=timeout) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def pid(service: Service) -> int:
    """The process that answers."""
    return int(ask(service, "/")[1]["pid"])


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_every_stack_serves(runtime: NativeRuntime, stack: Stack) -> None:
    assert not runtime.lacking
    runtime.reset_notes()
    with runtime.service(Variant(stack, {})) as service:
        assert ask(service, "/")[1]["stack"] == stack.name
        assert ask(service, "/notes/1") == (200, {"id": 1, "title": "note 1", "description": "description of note 1"})
        assert ask(service, "/http?ms=1") == (200, {"waited_ms": [1]})
        assert len(ask(service, "/data?n=2")[1]) == 2
        assert pid(service) in runtime.pids(stack.name)


def test_a_variant_is_started_only_when_its_settings_differ(runtime: NativeRuntime) -> None:
    with runtime.service(Variant(ONE, {"threads": 7})) as service:
        assert ask(service, "/")[1]["settings"]["threads"] == 7
        first = pid(service)
    with runtime.service(Variant(ONE, {"threads": 7})) as service:
        assert pid(service) == first
    with runtime.service(Variant(ONE, {})) as service:
        assert ask(service, "/")[1]["settings"] == dict(ONE.settings)
        assert pid(service) != first
    assert not lives(first)


def test_all_workers_are_seen_from_outside(runtime: NativeRuntime) -> None:
    with runtime.service(Variant(ONE, {"workers": 2})) as service:
        seen = runtime.pids(ONE.name)
        assert {pid(service) for _ in range(50)} <= set(seen)
        assert len(seen) >= 3
        assert runtime.cgroup(ONE.name) is None


def test_all_threads_are_pinned_and_what_is_started_later_too(runtime: NativeRuntime) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    cores = Cores((cpus[0],), (cpus[-1],), (cpus[-1],))

    def pinned(name: str) -> set[int]:
        tasks = [task for pid in runtime.pids(name) for task in Path(f"/proc/{pid}/task").iterdir()]
        assert tasks
        return set().union(*(os.sched_getaffinity(int(task.name)) for task in tasks))

    with runtime.service(Variant(ONE, {})) as service:
        runtime.pin(service, cores)
        assert ask(service, "/query?ms=1")[0] == 200  # by a new thread, over a new backend
        assert pinned(ONE.name) == {cpus[0]}
        runtime.restart(service)
        assert pinned(ONE.name) == {cpus[0]}
        assert {cpu for name in UPSTREAMS for cpu in pinned(name)} == {cpus[-1]}


def test_other_stacks_stand_still(runtime: NativeRuntime) -> None:
    with runtime.service(Variant(ONE, {})) as service, runtime.service(Variant(OTHER, {})) as other:
        with runtime.alone(service):
            assert ask(service, "/sleep?ms=1")[0] == 200
            with pytest.raises(TimeoutError):
                ask(other, "/sleep?ms=1", timeout=0.3)
        assert ask(other, "/sleep?ms=1")[0] == 200


@pytest.mark.parametrize(
    ("upstream", "path", "down"),
    [("postgres", "/notes/1", 503), ("nginx", "/data?n=1", 502), ("delay", "/http?ms=1", 502)],
)
def test_an_upstream_goes_and_comes_back(runtime: NativeRuntime, upstream: Upstream, path: str, down: int) -> None:
    runtime.reset_notes()
    with runtime.service(Variant(ONE, {})) as service:
        assert ask(service, path)[0] == 200
        runtime.stop_upstream(upstream)
        assert runtime.pids(upstream) == []
        assert ask(service, path)[0] == down
        runtime.start_upstream(upstream)
        assert ask(service, path)[0] == 200
    assert runtime.sql("SELECT count(*) FROM notes") == "1000"


def test_an_upstream_that_died_is_healed(runtime: NativeRuntime) -> None:
    for name in ("delay", "postgres"):
        program = psutil.Process(runtime.pids(name)[0])
        program.kill()
        while lives(program.pid):
            time.sleep(0.01)
    runtime.heal()
    assert runtime.sql("SELECT 1") == "1"
    assert runtime.counters()["received"] == 0


def test_a_stack_that_is_killed_starts_anew(runtime: NativeRuntime) -> None:
    with runtime.service(Variant(ONE, {})) as service:
        before = pid(service)
        runtime.restart(service)
        assert pid(service) != before
        assert not lives(before)


def test_a_stack_that_is_terminated_ends_well_and_serves_again_when_asked_for(runtime: NativeRuntime) -> None:
    with runtime.service(Variant(OTHER, {})) as service:
        assert runtime.terminate(service) == 0
        assert runtime.pids(OTHER.name) == []
    with runtime.service(Variant(OTHER, {})) as again:
        assert ask(again, "/healthz")[0] == 200
        assert again.port == service.port


def test_upstreams_count(runtime: NativeRuntime) -> None:
    received, files = runtime.counters()["received"], runtime.files_served()
    with runtime.service(Variant(OTHER, {})) as service:
        ask(service, "/http?ms=1&n=3")
        ask(service, "/data?n=4")
    assert runtime.counters()["received"] - received == 3
    assert runtime.files_served() - files == 4


def test_the_database_is_a_fresh_one_of_its_own(runtime: NativeRuntime) -> None:
    home = ROOT / ".state" / "native" / "postgres"
    if os.geteuid() or postgres.may_enter(home, postgres.UNPRIVILEGED):
        assert runtime.sql("SHOW data_directory") == str(home / "data")
    assert runtime.sql("SHOW listen_addresses") == ports.HOST
    assert runtime.sql("SELECT 1, 'a b'; SELECT 2") == "1|a b\n2"
    with pytest.raises(UserError, match="PostgreSQL refused 'SELECT nonsense'"):
        runtime.sql("SELECT nonsense")
    assert runtime.sql("SELECT 3") == "3"


def test_the_database_has_the_containers_settings(runtime: NativeRuntime) -> None:
    differing = "'listen_addresses', 'port', 'unix_socket_directories', 'shared_preload_libraries'"
    rows = runtime.sql(
        "SELECT name, setting FROM pg_file_settings "
        f"WHERE NOT applied AND name NOT IN ({differing}) AND name NOT LIKE 'pg_stat_statements.%'"
    )
    assert rows == ""
    assert runtime.sql("SHOW synchronous_commit") == "off"


def test_a_stack_is_known_to_the_database_by_name(runtime: NativeRuntime) -> None:
    for stack in STACKS.values():
        with runtime.service(Variant(stack, {})) as service:
            ask(service, "/query?ms=1")
    names = runtime.sql("SELECT DISTINCT application_name FROM pg_stat_activity WHERE usename = 'stackmatrix'")
    assert set(names.splitlines()) == STACKS.keys()


def test_the_environment_says_what_serves(runtime: NativeRuntime) -> None:
    told = runtime.environment()
    assert told["runtime"] == "native"
    assert told["postgres"].startswith(runtime.sql("SHOW server_version"))
    assert ("pg_stat_statements" in told["postgres"]) != runtime.counts_statements
    assert told["delay"].startswith("delay server built with Go 1.")
    assert ("none on this machine" in told["nginx"]) == (fixtures.find_nginx() is None)


def test_a_second_harness_is_refused(runtime: NativeRuntime) -> None:
    assert runtime.pids("postgres")
    with pytest.raises(UserError, match=f"process id {os.getpid()} runs the matrix of this checkout already"):
        NativeRuntime(print).up([])


def test_a_stack_that_cannot_start_says_why(runtime: NativeRuntime, tmp_path: Path) -> None:
    shutil.copytree(ONE.directory, tmp_path / "broken")
    (tmp_path / "broken" / "serve").write_text("#!/bin/sh\necho 'THREADS=abc: must be a number' >&2\nexit 2\n")
    broken = replace(ONE, name="broken", directory=tmp_path / "broken")
    with pytest.raises(UserError, match=r"broken ended with exit code 2: THREADS=abc: must be a number"):
        runtime.up([broken])


def test_a_failing_import_is_one_line(runtime: NativeRuntime, tmp_path: Path) -> None:
    shutil.copytree(ONE.directory, tmp_path / "broken")
    app = tmp_path / "broken" / "app.py"
    app.write_text("import nothing_like_this\n" + app.read_text())
    broken = replace(ONE, name="broken", directory=tmp_path / "broken")
    with pytest.raises(UserError, match=r"broken/app.py, line 1: ModuleNotFoundError: No module named") as caught:
        runtime.up([broken])
    assert "\n" not in str(caught.value)


def test_a_stack_has_its_manifests_port_unless_it_is_taken(runtime: NativeRuntime, checkout: Path) -> None:
    said: list[str] = []
    stacks = load_stacks(checkout)
    with socket.create_server((ports.HOST, ports.free_port())) as taken, NativeRuntime(said.append, checkout) as second:
        one = replace(stacks[ONE.name], port=taken.getsockname()[1])
        other = replace(stacks[OTHER.name], port=ports.free_port())
        second.up([one, other])
        with second.service(Variant(one, {})) as service, second.service(Variant(other, {"workers": 2})) as changed:
            assert service.port != one.port
            assert changed.port == other.port
            assert ask(service, "/healthz")[0] == ask(changed, "/healthz")[0] == 200
    told = [line for line in said if "is taken" in line]
    assert told == [f"native: port {one.port} of {one.name} is taken, so it gets {service.port}"]


def test_what_this_machine_cannot_run_is_said_and_the_others_still_run(runtime: NativeRuntime, tmp_path: Path) -> None:
    lost = replace(ONE, name="lost", directory=tmp_path)
    runtime.up([lost, OTHER])
    assert "requirements.txt is missing" in runtime.lacking.pop("lost")
    with pytest.raises(UserError, match=r"lost: .* is missing"), runtime.service(Variant(lost, {})):
        pass
    with runtime.service(Variant(OTHER, {})) as service:
        assert ask(service, "/healthz")[0] == 200


def test_two_checkouts_side_by_side_the_second_without_nginx(
    runtime: NativeRuntime, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackmatrix.runtime.native.runtime.find_nginx", lambda: None)
    stack = load_stacks(checkout)[OTHER.name]
    with NativeRuntime(print, checkout) as second:
        second.up([stack])
        runtime.reset_notes()
        second.sql("DELETE FROM notes")
        assert runtime.sql("SELECT count(*) FROM notes") == "1000"
        assert second.environment()["nginx"].startswith("none on this machine: ")
        files = second.files_served()
        with second.service(Variant(stack, {})) as service, runtime.service(Variant(OTHER, {})) as first:
            assert service.port != first.port
            assert ask(service, "/data?n=3") == ask(first, "/data?n=3")
        assert second.files_served() - files == 3
        data = Path(second.sql("SHOW data_directory"))
    if os.geteuid() == 0:  # the database could not live in a directory that root alone may enter
        assert not data.is_relative_to(checkout)
        assert not data.exists()
    assert runtime.sql("SELECT 1") == "1"


def test_the_machines_own_postgres_is_taken_when_it_is_new_enough(tmp_path: Path) -> None:
    for name in postgres.PROGRAMS:
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 17.2 (Debian 17.2-1)'\n")
        program.chmod(0o755)
    (found,) = postgres.newest_first([tmp_path, tmp_path / "nothing"], "the machine's")
    assert (found.version, found.major) == ("17.2", 17)
    (tmp_path / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'\n")
    assert postgres.newest_first([tmp_path], "the machine's") == []
