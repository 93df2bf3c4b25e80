"""The matrix in containers: Docker Compose brings it up, the engine's command line tells where everything is."""

import json
import os
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.request import ProxyHandler, Request, build_opener

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Setting, Stack, Variant, load_stacks, written
from stackmatrix.cores import Cores
from stackmatrix.errors import UserError
from stackmatrix.runtime import compose_file
from stackmatrix.runtime.base import UPSTREAMS, Runtime, Say, Service, Upstream, stands_still
from stackmatrix.runtime.commands import run_command, wait_until, why_ended
from stackmatrix.runtime.psql import OPTIONS, Psql
from stackmatrix.runtime.watchdog import Watchdog

PROJECT = "stack-matrix"
HEALTHY_WITHIN_S = 180
CGROUPS = Path("/sys/fs/cgroup")
DIRECT = build_opener(ProxyHandler({})).open  # containers are never behind the user's proxy


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


class DockerRuntime(Runtime):
    """Implements `Runtime` with Docker Compose; stops on the way out only what it started."""

    name = "docker"
    counts_statements = True

    def __init__(self, say: Say, root: Path = ROOT) -> None:
        self._say = say
        self.root = root
        self._guests: dict[str, Stack] = {}
        self._version = engine_version()
        if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
            raise UserError(
                "the Docker engine answers, but `docker compose` does not; install Compose v2 "
                "(on Debian as root: scripts/install-docker)"
            )
        compose_file.sync(root)
        self._dog = Watchdog().__enter__()
        self._remembered: dict[str, int] = {}
        self._before = {name for name, container in self._containers().items() if container.state == "running"}
        self._started: set[str] = set()
        self._pinned: dict[str, tuple[int, ...]] = {}
        self._seen: dict[str, Container] = {}
        self._running: dict[str, Mapping[str, Setting]] = {}
        self._paused: set[str] = set()
        self._psql: Psql | None = None
        self._asked = 0

    def up(self, stacks: Iterable[Stack]) -> None:
        """Bring up the upstreams and these stacks with their defaults, building what changed; wait until healthy."""
        stacks = list(stacks)
        self._guests.update(
            (stack.name, stack) for stack in stacks if not stack.directory.is_relative_to(self.root / "stacks")
        )
        wanted = [*UPSTREAMS, *(stack.name for stack in stacks)]
        engine([str(self.root / "scripts" / "base-image")], "could not make the base image", quiet=False)
        self._say(f"docker: building the images of {', '.join(wanted)}")
        self._compose(["build", "--quiet", *wanted])
        self._say("docker: starting them, until each is healthy")
        self._up(wanted, {})
        self._running.update((stack.name, {}) for stack in stacks)

    def keep(self) -> None:
        """Leave what was started running when this process ends."""
        self._started.clear()
        self._forget_all()

    def down(self) -> None:
        """Stop what this object started; wake and give back the CPUs of what it did not."""
        if self._psql is not None:
            self._psql.close()
        self._wake(self._paused.copy())
        mine = sorted(self._started - self._before)
        containers = self._containers()
        for name in self._before & set(containers):
            if containers[name].id in self._pinned:
                engine(self._unpin(containers[name]), "could not give back the CPUs of a container")
        for name in sorted(self._before & {name for name, changed in self._running.items() if changed}):
            self._up([name], {})
        if mine:
            self._say(f"docker: stopping {'what was started' if not self._before else ', '.join(mine)}")
            engine(self._undo(mine), "could not stop what was started")
        if guests := sorted(self._guests.keys() & self._started):
            engine(["docker", "image", "rm", "--force", *map(image, guests)], "could not remove the images of copies")
        self._started.clear()
        self._forget_all()
        self._dog.__exit__(None, None, None)

    @property
    def _command(self) -> list[str]:
        """Compose with the checkout's file, and with those of stacks that live elsewhere."""
        files = [stack.directory / "compose.yaml" for stack in self._guests.values()]
        if files:
            files.insert(0, self.root / compose_file.COMPOSE_FILE)
        named = [word for file in files for word in ("--file", str(file))]
        return ["docker", "compose", "--project-directory", str(self.root), *named, "--profile", "all"]

    def _forget_all(self) -> None:
        for key in self._remembered.values():
            self._dog.forget(key)
        self._remembered.clear()

    def _remember(self, what: str, command: list[str]) -> None:
        """Have the watchdog run this should the harness be killed before it has undone the step itself."""
        if what not in self._remembered:
            self._remembered[what] = self._dog.remember(command)

    def _forget(self, what: str) -> None:
        if what in self._remembered:
            self._dog.forget(self._remembered.pop(what))

    def _undo(self, names: list[str]) -> list[str]:
        """Make the command that removes these services; all of the project when nothing of it was up before."""
        last = ["down", "--timeout", "2"] if not self._before else ["rm", "--stop", "--force", *names]
        return [*self._command, *last]

    def _unpin(self, container: Container) -> list[str]:
        return self._update(container, sorted(os.sched_getaffinity(0)))

    @contextmanager
    def service(self, variant: Variant) -> Iterator[Service]:
        """Run this variant in a container, which is made anew only when its settings differ from what runs."""
        name = variant.stack.name
        self._wake({name})
        if self._running.get(name) != variant.changed:
            self._up([name], variant.changed)
            self._running[name] = dict(variant.changed)
        elif not self._answers(name, variant.stack):
            self._restart(variant.stack)  # it died, or has more in hand than it can answer soon
        yield Service(variant, *self._endpoint(self._container(name), variant.stack))

    @contextmanager
    def alone(self, service: Service) -> Iterator[None]:
        """Pause the containers of all other stacks; they stay so until they are needed, which spares many switches."""
        others = {name for name in self._seen if name not in (*UPSTREAMS, service.stack.name)} - self._paused
        others = {name for name in others if stands_still(self._running.get(name, {}))}
        running = sorted(name for name in others if self._seen[name].state == "running")
        if running:
            for name in running:
                self._remember(f"pause {name}", ["docker", "unpause", self._seen[name].id])
            engine(["docker", "pause", *(self._seen[name].id for name in running)], "could not pause the other stacks")
            self._paused.update(running)
        yield

    def heal(self) -> None:
        if not all((container := self._containers().get(name)) and container.up for name in UPSTREAMS):
            self._up(list(UPSTREAMS), {})

    def restart(self, service: Service) -> None:
        self._restart(service.stack)

    def _restart(self, stack: Stack) -> None:
        container = self._container(stack.name)
        engine(["docker", "restart", "--time", "0", container.id], "could not start the stack again")
        self._seen.clear()
        if not wait_until(lambda: self._answers(stack.name, stack), HEALTHY_WITHIN_S):
            raise UserError(f"{stack.name} does not answer after a restart: {self._why_ended(stack.name)}")

    def pin(self, service: Service, cores: Cores) -> None:
        """Confine the containers to their CPUs, at once and without a restart."""
        wanted: dict[str, tuple[int, ...]] = dict.fromkeys(UPSTREAMS, cores.upstreams)
        wanted[service.stack.name] = cores.stack
        for name, cpus in wanted.items():
            container = self._container(name)
            if self._pinned.get(container.id) != cpus:
                if name in self._before:
                    self._remember(f"pin {name}", self._unpin(container))
                engine(self._update(container, cpus), "could not pin a container")
                self._pinned[container.id] = cpus

    def pids(self, name: str) -> list[int]:
        """List the container's first process and its descendants, in this machine's numbers.

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
        """Map each controller to the container's own directory; None where the engine is on another machine."""
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
        engine(["docker", "stop", "--time", "10", self._container(name).id], f"could not stop {name}")
        self._seen.clear()

    def start_upstream(self, name: Upstream) -> None:
        container = self._container(name)
        engine(["docker", "start", container.id], f"could not start {name}")
        self._wait(name)

    def terminate(self, service: Service) -> int:
        container = self._container(service.stack.name)
        engine(["docker", "kill", "--signal", "TERM", container.id], "could not signal the stack")
        self._seen.clear()
        self._running.pop(service.stack.name, None)
        return int(engine(["docker", "wait", container.id], "the stack did not end").strip())

    def sql(self, statement: str) -> str:
        if self._psql is None or not self._psql.alive:
            command = f'exec psql -U postgres -d "$POSTGRES_DB" {" ".join(OPTIONS)}'
            self._psql = Psql(["docker", "exec", "-i", self._container("postgres").id, "sh", "-c", command])
        return self._psql.ask(statement)

    def counters(self) -> dict[str, int]:
        return {key: int(value) for key, value in json.loads(self._fetch("delay", "/counters")).items()}

    def reset_counters(self) -> None:
        self._fetch("delay", "/counters/reset", "POST")

    def files_served(self) -> int:
        self._asked += 1
        return int(self._fetch("nginx", "/status").split()[9]) - self._asked

    def logs(self, name: str, lines: int = 20) -> str:
        command = ["docker", "logs", "--tail", str(lines), self._container(name).id]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout

    def environment(self) -> dict[str, str]:
        return {
            "runtime": f"docker {self._version}",
            "postgres": self.sql("show server_version"),
            "nginx": self._exec("nginx", "sh", "-c", "nginx -v 2>&1").rpartition("/")[2].strip(),
            "delay": "delay server in Go, in a container",
        }

    def _compose(self, arguments: list[str], changed: Mapping[str, Setting] | None = None) -> str:
        # Settings reach a container only from here, never from what the user's shell happens to export.
        stacks = load_stacks(self.root) | self._guests
        settings = {key.upper() for stack in stacks.values() for key in stack.settings}
        environment = {key: value for key, value in os.environ.items() if key not in settings}
        environment |= {key.upper(): written(value) for key, value in (changed or {}).items()}
        environment["DOCKER_BUILDKIT"] = "1"
        return engine([*self._command, *arguments], f"docker compose {arguments[0]} failed", environment)

    def _up(self, names: list[str], changed: Mapping[str, Setting]) -> None:
        if new := sorted(set(names) - self._before - self._started):
            self._remember(f"start {' '.join(new)}", self._undo(new))
        self._started.update(names)
        self._seen.clear()
        flags = ["--detach", "--wait", "--wait-timeout", str(HEALTHY_WITHIN_S), "--no-build"]
        if not set(names) & set(UPSTREAMS):
            flags.append("--no-deps")
        try:
            self._compose(["up", *flags, *names], changed)
        except UserError as error:
            containers = self._containers()
            sick = [name for name in names if name in containers and not containers[name].up]
            raise UserError(f"{sick[0]}: {self._why_ended(sick[0])}" if sick else str(error)) from None

    def _wake(self, names: set[str]) -> None:
        asleep = sorted(names & self._paused)
        if asleep:
            engine(["docker", "unpause", *(self._container(name).id for name in asleep)], "could not wake a stack")
            self._paused.difference_update(asleep)
            for name in asleep:
                self._forget(f"pause {name}")

    def _answers(self, name: str, stack: Stack) -> bool:
        """Tell whether the stack accepts a request now and answers it with 200."""
        try:
            host, port = self._endpoint(self._container(name), stack)
            with DIRECT(f"http://{host}:{port}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _wait(self, name: str) -> None:
        if not wait_until(lambda: self._containers()[name].up, HEALTHY_WITHIN_S, 0.1):
            raise UserError(f"{name} is not healthy after {HEALTHY_WITHIN_S} s: {self._why_ended(name)}")

    def _why_ended(self, name: str) -> str:
        return f"{why_ended(self.logs(name, 200))} (all of it: docker logs {self._container(name).id[:12]})"

    def _containers(self) -> dict[str, Container]:
        # Images that Compose builds carry the project's label too, and so does whatever else is run from them; the
        # number is a container of a service's own.
        labels = [f"com.docker.compose.project={PROJECT}", "com.docker.compose.container-number"]
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        ids = engine(["docker", "ps", "--all", "--quiet", *filters], "the engine lists no containers").split()
        if not ids:
            return {}
        described: list[dict[str, Any]] = json.loads(engine(["docker", "inspect", *ids], "a container vanished"))
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

    def _update(self, container: Container, cpus: Iterable[int]) -> list[str]:
        return ["docker", "update", "--cpuset-cpus", ",".join(map(str, cpus)), container.id]

    def _fetch(self, name: Upstream, path: str, method: Literal["GET", "POST"] = "GET") -> str:
        # An upstream is published to nobody: the bridge reaches it from the machine that the engine runs on, else
        # its own container does.
        try:
            url = f"http://{self._container(name).address}:8080{path}"
            with DIRECT(Request(url, method=method), timeout=2) as answer:
                return str(answer.read().decode())
        except OSError:
            client = ["delay", method.lower()] if name == "delay" else ["curl", "-sf"]
            return self._exec(name, *client, f"http://127.0.0.1:8080{path}")

    def _exec(self, name: str, *command: str) -> str:
        return engine(["docker", "exec", self._container(name).id, *command], f"{name} did not answer")


def image(stack: str) -> str:
    """Name the image of a stack."""
    return f"{PROJECT}/{stack}"


def read_container(described: dict[str, Any]) -> Container:
    """Take what matters of `docker inspect`'s answer."""
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
    """Keep those of `pids` that are `root` or come from it."""
    parents: dict[int, int] = {}
    for pid in pids:
        with suppress(OSError):
            parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    family = {root}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return sorted(family & set(pids))


def engine_version() -> str:
    """Ask the engine for its version; UserError when none answers."""
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


def engine(command: list[str], failure: str, environment: Mapping[str, str] | None = None, quiet: bool = True) -> str:
    """Run a command of the engine's; UserError with a remedy where the failure is a known one."""
    return run_command(command, failure, environment=environment, quiet=quiet, remedies=ENGINE_REMEDIES)


ENGINE_REMEDIES = {
    "port is already allocated": "another program has that port; stop it, or change the stack's port",
    "address already in use": "another program has that port; stop it, or change the stack's port",
    "no space left on device": "the disk is full; free some space (docker system df shows what Docker holds)",
    "permission denied": "add yourself to the docker group or use sudo",
    "cannot connect to the docker daemon": "the engine is gone; start it again",
}
