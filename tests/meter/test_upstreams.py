"""The upstreams as Docker Compose starts them: what the stacks rely on, and what a stop does to them."""

import hashlib
import http.client
import json
import os
import re
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = {f"/{path.relative_to(ROOT / 'fixtures')}": path for path in (ROOT / "fixtures").glob("*/*.json")}
PROJECT = "stack-matrix-test-upstreams"
COMPOSE = ["docker", "compose", "--env-file", os.devnull, "--project-name", PROJECT]
Name = Literal["postgres", "nginx", "delay"]
NAMES: tuple[Name, ...] = ("postgres", "nginx", "delay")

pytestmark = pytest.mark.servers


def run(*command: str) -> str:
    """The standard output of a command that must succeed."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("POSTGRES_")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=kept, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


class Upstreams:
    """The upstreams in a Compose project of the tests' own, started as a user without a .env starts them."""

    def begin(self, name: Name, *command: str) -> subprocess.Popen[bytes]:
        """Start a command in a container, whose end the caller sees to."""
        words = [*COMPOSE, "exec", "--no-TTY", name, *command]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)

    def compose(self, *arguments: str) -> str:
        return run(*COMPOSE, *arguments)

    def inspect(self, name: Name) -> dict[str, Any]:
        identity = self.compose("ps", "--all", "--quiet", name).strip()
        described: list[dict[str, Any]] = json.loads(run("docker", "inspect", identity))
        return described[0]

    def execute(self, name: Name, *command: str) -> str:
        return self.compose("exec", "--no-TTY", name, *command).strip()

    def sql(self, *statements: str, role: str | None = None) -> str:
        """What psql prints, as the database's administrator or over the network as a role with a password."""
        arguments = [f"--command={statement}" for statement in statements]
        psql = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
        if role is not None:
            psql += [f"--dbname=postgresql://{role}:{role}@127.0.0.1/stackmatrix"]
        else:
            psql += ["--dbname=stackmatrix"]
        return self.execute("postgres", *psql, *arguments)

    def connect(self, name: Name) -> http.client.HTTPConnection:
        networks = self.inspect(name)["NetworkSettings"]["Networks"].values()
        return http.client.HTTPConnection(next(iter(networks))["IPAddress"], 8080, timeout=30)

    def restart(self, name: Name) -> None:
        """Stop and start it, and see that it ended well."""
        self.compose("stop", name)
        assert self.inspect(name)["State"]["ExitCode"] == 0
        self.compose("start", name)
        self.compose("up", "--detach", "--wait", "--no-recreate", name)


@pytest.fixture(scope="module")
def upstreams() -> Iterator[Upstreams]:
    if subprocess.run(["docker", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers; on Debian as root: scripts/install-docker")
    run("scripts/base-image")
    found = Upstreams()
    try:
        found.compose("up", "--detach", "--build", "--wait", *NAMES)
        yield found
    finally:
        found.compose("down", "--volumes", "--timeout", "5")


def get(connection: http.client.HTTPConnection, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response, response.read()


# Containers


@pytest.mark.parametrize("name", NAMES)
def test_runs_without_privileges(upstreams: Upstreams, name: Name) -> None:
    container = upstreams.inspect(name)
    host = container["HostConfig"]
    assert container["Config"]["User"] == "10001"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["RestartPolicy"]["Name"] == "no"
    assert upstreams.execute(name, "sh", "-c", "id -u; grep CapBnd /proc/1/status; touch /x 2>&1 || true") == (
        "10001\nCapBnd:\t0000000000000000\ntouch: cannot touch '/x': Read-only file system"
    )


@pytest.mark.parametrize("name", NAMES)
def test_is_published_to_nobody(upstreams: Upstreams, name: Name) -> None:
    assert not any(upstreams.inspect(name)["NetworkSettings"]["Ports"].values())


# PostgreSQL


def test_settings_of_the_database(upstreams: Upstreams) -> None:
    expected = {
        "synchronous_commit": "off",
        "max_connections": "500",
        "log_statement": "none",
        "log_min_duration_statement": "-1",
        "password_encryption": "scram-sha-256",
        "pg_stat_statements.track": "top",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
    }
    shown = upstreams.sql(*(f"SHOW {name}" for name in expected)).splitlines()
    assert dict(zip(expected, shown, strict=True)) == expected
    assert int(upstreams.sql("SHOW server_version_num")) // 10_000 == 17


def test_table_of_notes(upstreams: Upstreams) -> None:
    columns = upstreams.sql(
        "SELECT column_name, data_type, is_nullable, identity_generation FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = 'notes' ORDER BY ordinal_position"
    )
    assert columns.splitlines() == ["id|bigint|NO|ALWAYS", "title|text|NO|", "description|text|NO|"]
    assert (
        upstreams.sql("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'notes'::regclass")
        == "PRIMARY KEY (id)"
    )


SEEDED = "SELECT count(*), min(id), max(id), min(title), max(description) FROM notes"


def test_seed_puts_the_notes_back(upstreams: Upstreams) -> None:
    seeded = upstreams.sql(SEEDED, role="stackmatrix")
    assert seeded == "1000|1|1000|note 1|description of note 999"
    upstreams.sql(
        "DELETE FROM notes WHERE id < 10",
        "UPDATE notes SET title = 'x'",
        "INSERT INTO notes (title, description) VALUES ('x', 'x')",
    )
    assert upstreams.sql(SEEDED) != seeded
    seed = (ROOT / "upstream/postgres/seed.sql").read_text(encoding="utf-8")
    upstreams.sql(seed, role="stackmatrix")
    assert upstreams.sql(SEEDED) == seeded
    added = "INSERT INTO notes (title, description) VALUES ('x', 'x') RETURNING id"
    assert upstreams.sql(added, role="stackmatrix") == "1001"
    upstreams.sql(seed, role="stackmatrix")


def test_role_of_the_stacks_is_an_ordinary_one(upstreams: Upstreams) -> None:
    role = "SELECT rolsuper, rolcreaterole, rolcreatedb, rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid"
    assert upstreams.sql(f"{role} WHERE rolname = 'stackmatrix'") == "f|f|f|t"
    with pytest.raises(AssertionError, match="password authentication failed"):
        upstreams.sql("SELECT 1", role="somebody")


def test_statements_are_counted_and_the_health_check_adds_none(upstreams: Upstreams) -> None:
    counted = "SELECT sum(calls) FROM pg_stat_statements WHERE userid = 'stackmatrix'::regrole"
    upstreams.sql("SELECT 1", role="stackmatrix")
    before = int(upstreams.sql(counted))
    for _ in range(3):
        upstreams.execute("postgres", "sh", "-c", "rm -f /tmp/healthy; healthcheck")
    upstreams.sql(*["SELECT 1"] * 5, role="stackmatrix")
    assert int(upstreams.sql(counted)) - before == 5
    assert int(upstreams.sql(counted, role="stackmatrix")) > before, "the role reads the statistics too"


def test_database_comes_back_with_its_table_after_a_stop(upstreams: Upstreams) -> None:
    upstreams.sql("INSERT INTO notes (title, description) VALUES ('lost', 'with the stop')")
    sleeping = upstreams.begin("postgres", "psql", "--dbname=stackmatrix", "--command=SELECT pg_sleep(60)")
    while upstreams.sql("SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'") == "0":
        assert sleeping.poll() is None, "it ended before the stop"
        time.sleep(0.05)
    began = time.monotonic()
    upstreams.restart("postgres")
    assert time.monotonic() - began < 20, "the session that sleeps was waited for"
    assert sleeping.wait(timeout=10) != 0
    assert upstreams.sql(SEEDED) == "1000|1|1000|note 1|description of note 999"


def test_database_keeps_its_notes_on_a_volume(upstreams: Upstreams) -> None:
    name = f"{PROJECT}-{uuid.uuid4().hex[:8]}"
    settings = ["--read-only", "--cap-drop=ALL", "--tmpfs=/tmp", "--tmpfs=/run/postgresql:uid=10001"]
    settings += [f"--env=POSTGRES_{key}=own" for key in ("USER", "PASSWORD", "DB")]
    count = [
        "docker",
        "exec",
        name,
        "psql",
        "--tuples-only",
        "--no-align",
        "own",
        "--command=SELECT count(*) FROM notes",
    ]

    def healthy() -> None:
        end = time.monotonic() + 30
        while subprocess.run(["docker", "exec", name, "healthcheck"], capture_output=True, check=False).returncode:
            assert time.monotonic() < end, run("docker", "logs", name)
            time.sleep(0.1)

    try:
        volume = f"--volume={name}:/var/lib/postgresql/data"
        run("docker", "run", "--detach", f"--name={name}", volume, *settings, "stack-matrix/postgres")
        healthy()
        run("docker", "exec", name, "psql", "own", "--command=DELETE FROM notes WHERE id > 10")
        for stop in ("stop", "kill"):
            run("docker", stop, name)
            run("docker", "start", name)
            healthy()
            assert run(*count).strip() == "10", f"after docker {stop}"
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)
        subprocess.run(["docker", "volume", "rm", name], capture_output=True, check=False)


# Nginx


def status(upstreams: Upstreams) -> tuple[int, int]:
    """Connections and requests since Nginx started, before this question."""
    connection = upstreams.connect("nginx")
    _, text = get(connection, "/status", Connection="close")
    accepted, _, requests = re.findall(r"\d+", text.decode().splitlines()[2])
    return int(accepted) - 1, int(requests) - 1


def test_fixtures_are_served_byte_for_byte_over_one_connection(upstreams: Upstreams) -> None:
    before = status(upstreams)
    connection = upstreams.connect("nginx")
    connection.connect()
    socket = connection.sock
    digests = {path: hashlib.sha256(file.read_bytes()).digest() for path, file in FIXTURES.items()}
    for _ in range(10):
        for path, digest in digests.items():
            response, body = get(connection, path, **{"Accept-Encoding": "gzip, br"})
            assert (response.status, hashlib.sha256(body).digest()) == (200, digest), path
            assert response.headers["Content-Type"] == "application/json"
            assert response.headers["Content-Encoding"] is None
    assert connection.sock is socket, "the connection was closed in between"
    connection.close()
    after = status(upstreams)
    requests = 10 * len(FIXTURES)
    assert requests > 1_000
    assert (after[0] - before[0], after[1] - before[1]) == (2, requests + 1), "its own question is counted too"


@pytest.mark.parametrize("path", ["/", "/data/", "/data/100.json", "/SHA256SUMS", "/make.py", "/data/../make.py"])
def test_nothing_but_fixtures_is_served(upstreams: Upstreams, path: str) -> None:
    response, _ = get(upstreams.connect("nginx"), path)
    assert response.status in (403, 404)


def test_checks_of_health_are_not_among_the_requests(upstreams: Upstreams) -> None:
    upstreams.execute("nginx", "sh", "-c", "until [ -e /tmp/healthy ]; do sleep 0.1; done")
    before = status(upstreams)
    # The second look at a healthy server; the sleep before it is cut short.
    look = "sed s/sleep.30/true/ /usr/local/bin/healthcheck | bash"
    upstreams.execute("nginx", "sh", "-c", look)
    connections, requests = status(upstreams)
    assert connections > before[0] + 1
    assert requests == before[1] + 1


def test_nginx_comes_back_after_a_stop(upstreams: Upstreams) -> None:
    idle = upstreams.connect("nginx")
    get(idle, "/json/small.json")
    upstreams.restart("nginx")
    response, body = get(upstreams.connect("nginx"), "/json/small.json")
    assert (response.status, body) == (200, FIXTURES["/json/small.json"].read_bytes())


# The delay server


def counters(upstreams: Upstreams) -> dict[str, int]:
    found: dict[str, int] = json.loads(upstreams.execute("delay", "delay", "get", "http://127.0.0.1:8080/counters"))
    return found


def test_delay_server_waits_and_counts(upstreams: Upstreams) -> None:
    upstreams.execute("delay", "delay", "post", "http://127.0.0.1:8080/counters/reset")
    connections = [upstreams.connect("delay") for _ in range(20)]
    began = time.monotonic()
    for connection in connections:
        connection.request("GET", "/?waitms=300")
    for connection in connections:
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b'{"waited_ms":300}')
        assert response.headers["Content-Type"] == "application/json"
    assert 0.3 <= time.monotonic() - began < 3
    assert get(connections[0], "/?waitms=x")[0].status == 400
    found = counters(upstreams)
    assert 20 * 300_000 <= found.pop("waited_us") < 20 * 3_000_000
    assert found == {
        "received": 20,
        "asked_ms": 20 * 300,
        "in_flight": 0,
        "max_in_flight": 20,
        "cancelled": 0,
        "rejected": 1,
        "files": 0,
    }


def test_delay_server_answers_what_waits_when_it_is_stopped(upstreams: Upstreams) -> None:
    connection = upstreams.connect("delay")
    connection.request("GET", "/?waitms=2000")
    while not counters(upstreams)["in_flight"]:
        time.sleep(0.05)
    upstreams.restart("delay")
    assert connection.getresponse().read() == b'{"waited_ms":2000}'
    assert get(upstreams.connect("delay"), "/?waitms=0")[1] == b'{"waited_ms":0}'
