"""The matrix in containers: Docker Compose brings it up, the engine's command line tells where everything is."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Stack, Variant, load_stacks
from stackmatrix.errors import UserError
from stackmatrix.runtime import compose_file
from stackmatrix.runtime.base import UPSTREAMS, Cores, Say, Service, Upstream

PROJECT = "stack-matrix"
HEALTHY_WITHIN_S = 180
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Container:
    """One container of the project as the engine describes it."""

    id: str
    service: str
    state: str
    health: str | None
    pid: int
    address: str

    @property
    def up(self) -> bool:
        """Whether it runs and, when it has a health check, passes it."""
        return self.state == "running" and self.health in (None, "healthy")


class DockerRuntime:
    """Implements `Runtime` with Docker Compose; stops on the way out only what it started."""

    name = "docker"

    def __init__(self, say: Say, root: Path = ROOT) -> None:
        self._say = say
        self._root = root
        self._version = engine_version()
        if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
            raise UserError(
                "the Docker engine answers, but `docker compose` does not; install Compose v2 "
                "(on Debian as root: scripts/install-docker)"
            )
        compose_file.sync(root)
        self._before = {name for name, container in self._containers().items() if container.state == "running"}
        self._started: set[str] = set()
        self._cpusets: set[str] = set()
        self._seen: dict[str, Container] = {}

    def up(self, stacks: Iterable[Stack]) -> None:
        """Bring up the upstreams and these stacks with their defaults, building what changed; wait until healthy."""
        wanted = [*UPSTREAMS, *(stack.name for stack in stacks)]
        run([str(self._root / "scripts" / "base-image")], "could not make the base image", quiet=False)
        self._say(f"docker: building and starting {', '.join(wanted)}")
        self._compose(["build", "--quiet", *wanted])
        self._up(wanted, {})

    def down(self) -> None:
        """Stop what this object started, and give back the CPUs of what it did not."""
        mine = sorted(self._started - self._before)
        containers = self._containers()
        for name in self._before & self._cpusets & set(containers):
            self._cpus(containers[name], sorted(os.sched_getaffinity(0)))
        if mine and not self._before:
            self._say("docker: stopping what was started")
            self._compose(["down", "--timeout", "10"])
        elif mine:
            self._say(f"docker: stopping {', '.join(mine)}")
            self._compose(["rm", "--stop", "--force", *mine])
        self._started.clear()

    @contextmanager
    def service(self, variant: Variant) -> Iterator[Service]:
        """This variant in a container; it is made anew only when its settings differ from what runs."""
        name = variant.stack.name
        self._up([name], variant.changed)
        try:
            container = self._container(name)
            yield Service(variant, *self._endpoint(container, variant.stack))
        finally:
            if variant.changed and name in self._before:
                self._up([name], {})

    @contextmanager
    def alone(self, service: Service) -> Iterator[None]:
        """Pause the containers of all other stacks meanwhile."""
        others = [
            container.id
            for name, container in self._containers().items()
            if name not in (*UPSTREAMS, service.stack.name) and container.state == "running"
        ]
        if others:
            run(["docker", "pause", *others], "could not pause the other stacks")
        try:
            yield
        finally:
            if others:
                run(["docker", "unpause", *others], "could not wake the other stacks")

    def pin(self, service: Service, cores: Cores) -> None:
        """Confine the containers to their CPUs, at once and without a restart."""
        containers = self._containers()
        self._cpus(containers[service.stack.name], cores.stack)
        for upstream in UPSTREAMS:
            self._cpus(containers[upstream], cores.upstreams)

    def pids(self, name: str) -> list[int]:
        """The container's first process and its descendants, in this machine's numbers.

        Health checks run in the same cgroup but descend from the engine; they are not the stack's.
        """
        groups = self.cgroup(name)
        if groups is None:
            return []
        try:
            pids = [int(pid) for pid in (Path(next(iter(groups.values()))) / "cgroup.procs").read_text().split()]
        except OSError:
            return []
        return descendants(self._container(name).pid, pids)

    def cgroup(self, name: str) -> Mapping[str, str] | None:
        """The container's own cgroup directories, by controller; None where the engine is on another machine."""
        try:
            lines = Path(f"/proc/{self._container(name).pid}/cgroup").read_text().splitlines()
        except OSError:
            return None
        found: dict[str, str] = {}
        for line in lines:
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                directory = CGROUPS / controller / path.lstrip("/") if controller else CGROUPS / path.lstrip("/")
                if path != "/" and directory.is_dir():
                    found[controller] = str(directory)
        return found or None

    def stop_upstream(self, name: Upstream) -> None:
        """Stop the container as `docker compose stop` does."""
        run(["docker", "stop", "--time", "10", self._container(name).id], f"could not stop {name}")
        self._seen.clear()

    def start_upstream(self, name: Upstream) -> None:
        """Start the same container again and wait until it is healthy."""
        container = self._container(name)
        run(["docker", "start", container.id], f"could not start {name}")
        self._wait(name)

    def terminate(self, service: Service) -> int:
        """SIGTERM to the container's first process; its exit code once it has ended."""
        container = self._container(service.stack.name)
        run(["docker", "kill", "--signal", "TERM", container.id], "could not signal the stack")
        self._seen.clear()
        return int(run(["docker", "wait", container.id], "the stack did not end").strip())

    def sql(self, statement: str) -> str:
        """Run one statement with the container's own psql."""
        return self._psql("-c", statement)

    def reset_notes(self) -> None:
        """Apply seed.sql."""
        self._psql("-q", "-c", (self._root / "upstream" / "postgres" / "seed.sql").read_text(encoding="utf-8"))

    def counters(self) -> dict[str, int]:
        """Ask the delay server from inside its container: it is published to nobody."""
        text = self._exec("delay", "delay", "get", "http://127.0.0.1:8080/counters")
        return {key: int(value) for key, value in json.loads(text).items()}

    def logs(self, name: str, lines: int = 20) -> str:
        """The container's last words."""
        command = ["docker", "logs", "--tail", str(lines), self._container(name).id]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout

    def environment(self) -> dict[str, str]:
        """The engine's version and those of the upstreams in their containers."""
        return {
            "runtime": f"docker {self._version}",
            "postgres": self.sql("show server_version"),
            "nginx": self._exec("nginx", "sh", "-c", "nginx -v 2>&1").rpartition("/")[2].strip(),
            "delay": "delay server in Go, in a container",
        }

    def _compose(self, arguments: list[str], changed: Mapping[str, object] | None = None) -> str:
        # Settings reach a container only from here, never from what the user's shell happens to export.
        settings = {key.upper() for stack in load_stacks(self._root).values() for key in stack.settings}
        environment = {key: value for key, value in os.environ.items() if key not in settings}
        environment |= {
            key.upper(): str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in (changed or {}).items()
        }
        environment["DOCKER_BUILDKIT"] = "1"
        command = [
            "docker",
            "compose",
            "--project-directory",
            str(self._root),
            "--profile",
            "all",
            *arguments,
        ]
        return run(command, f"docker compose {arguments[0]} failed", environment)

    def _up(self, names: list[str], changed: Mapping[str, object]) -> None:
        self._started.update(names)
        self._seen.clear()
        flags = ["--detach", "--wait", "--wait-timeout", str(HEALTHY_WITHIN_S), "--no-build"]
        if not set(names) & set(UPSTREAMS):
            flags.append("--no-deps")
        try:
            self._compose(["up", *flags, *names], changed)
        except UserError as error:
            sick = [name for name in names if (c := self._containers().get(name)) is None or not c.up]
            words = "".join(
                f"\n  {name}: {line}"
                for name in sick[:1]
                if name in self._containers()
                for line in self.logs(name, 5).splitlines()
            )
            raise UserError(f"{error}{words}") from None

    def _wait(self, name: str) -> None:
        deadline = time.monotonic() + HEALTHY_WITHIN_S
        while not self._containers()[name].up:
            if time.monotonic() > deadline:
                raise UserError(f"{name} is not healthy after {HEALTHY_WITHIN_S} s:\n{self.logs(name, 5)}")
            time.sleep(0.1)  # between two questions to the engine, not in place of one

    def _containers(self) -> dict[str, Container]:
        label = f"label=com.docker.compose.project={PROJECT}"
        ids = run(["docker", "ps", "--all", "--quiet", "--filter", label], "the engine lists no containers").split()
        if not ids:
            return {}
        described: list[dict[str, Any]] = json.loads(run(["docker", "inspect", *ids], "a container vanished"))
        self._seen = {container.service: container for container in map(read_container, described)}
        return self._seen

    def _container(self, name: str) -> Container:
        # The engine takes 60 ms to answer; what it said holds until this object starts or stops something.
        try:
            return self._seen[name] if name in self._seen else self._containers()[name]
        except KeyError:
            raise UserError(f"{name} has no container; bring it up: make up") from None

    def _endpoint(self, container: Container, stack: Stack) -> tuple[str, int]:
        # The bridge address spares the published port's proxy; where it cannot be reached (an engine in a virtual
        # machine) the published port serves.
        try:
            socket.create_connection((container.address, stack.port), timeout=1).close()
        except OSError:
            return "127.0.0.1", stack.port
        return container.address, stack.port

    def _cpus(self, container: Container, cpus: Iterable[int]) -> None:
        self._cpusets.add(container.service)
        run(
            ["docker", "update", "--cpuset-cpus", ",".join(map(str, cpus)), container.id],
            "could not pin a container",
        )

    def _exec(self, name: str, *command: str) -> str:
        return run(["docker", "exec", self._container(name).id, *command], f"{name} did not answer")

    def _psql(self, *arguments: str) -> str:
        psql = (
            'PGPASSWORD="$POSTGRES_PASSWORD" exec psql -h 127.0.0.1 -U "$POSTGRES_USER" "$POSTGRES_DB" '
            '-v ON_ERROR_STOP=1 -At "$@"'
        )
        return self._exec("postgres", "sh", "-c", psql, "psql", *arguments).strip()


def read_container(described: dict[str, Any]) -> Container:
    """What matters of `docker inspect`'s answer."""
    networks = described["NetworkSettings"]["Networks"].values()
    return Container(
        id=described["Id"],
        service=described["Config"]["Labels"]["com.docker.compose.service"],
        state=described["State"]["Status"],
        health=(described["State"].get("Health") or {}).get("Status"),
        pid=described["State"]["Pid"],
        address=next((network["IPAddress"] for network in networks), ""),
    )


def descendants(root: int, pids: list[int]) -> list[int]:
    """Those of `pids` that are `root` or come from it."""
    parents: dict[int, int] = {}
    for pid in pids:
        with suppress(OSError):
            parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    family = {root}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return sorted(family & set(pids))


def engine_version() -> str:
    """The engine's version; UserError when none answers."""
    try:
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except FileNotFoundError:
        raise UserError("Docker is not installed; install it (on Debian as root: scripts/install-docker)") from None
    except subprocess.TimeoutExpired:
        raise UserError("the Docker engine did not answer within 20 s; restart it") from None
    if asked.returncode:
        raise UserError("no Docker engine answers; start it (on Debian as root: scripts/install-docker)")
    return asked.stdout.strip()


def run(command: list[str], failure: str, environment: Mapping[str, str] | None = None, quiet: bool = True) -> str:
    """The standard output of a command; UserError with its own last words when it fails."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        words = (done.stderr or done.stdout or "").strip().splitlines()
        raise UserError(f"{failure}: {explain(words)}")
    return done.stdout or ""


REMEDIES = {
    "port is already allocated": "another program has that port; stop it, or change the stack's port",
    "address already in use": "another program has that port; stop it, or change the stack's port",
    "no space left on device": "the disk is full; free some space (docker system df shows what Docker holds)",
    "permission denied": "add yourself to the docker group or use sudo",
    "cannot connect to the docker daemon": "the engine is gone; start it again",
}


def explain(words: list[str]) -> str:
    """The line of a failed command that says why, with the remedy when it is a known one."""
    for line in reversed(words):
        for sign, remedy in REMEDIES.items():
            if sign in line.lower():
                return f"{line.strip()} ({remedy})"
    return " / ".join(line.strip() for line in words[-3:]) or "it said nothing"
