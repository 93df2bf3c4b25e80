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
from typing import Any, Literal
from urllib.request import ProxyHandler, Request, build_opener

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Setting, Stack, Variant, load_stacks, written
from stackmatrix.cores import Cores
from stackmatrix.errors import UserError
from stackmatrix.formatting import listed
from stackmatrix.runtime import compose_file
from stackmatrix.runtime.base import UPSTREAMS, Interference, Runtime, Say, Service, Upstream, stands_still
from stackmatrix.runtime.commands import run_command, wait_until, why_ended
from stackmatrix.runtime.lock import Lock
from stackmatrix.runtime.psql import OPTIONS, Psql
from stackmatrix.runtime.watchdog import Watchdog

PROJECT = "stack-matrix"
HEALTHY_WITHIN_S = 180
HEALTHY_AGAIN_WITHIN_S = 15
LOCK = Path("/tmp/stack-matrix-containers.lock")  # one for every checkout: an engine has one project of this name
UP_FLAGS = ("--detach", "--no-build", "--no-deps")
UP = ("running", "paused", "restarting")
# An upstream looks only every 30 s once it is healthy; without its file it looks at once.
LOOK_NOW = "rm -f /tmp/healthy"
# By label, for Compose renames what it is about to replace. Images that Compose builds carry the project's label too,
# and so does whatever else is run from them; the number is a container of a service's own.
LABELS = (f"com.docker.compose.project={PROJECT}", "com.docker.compose.container-number")
OURS = [word for label in LABELS for word in ("--filter", f"label={label}")]
REMOVE = f"""for name; do docker ps --all --quiet {" ".join(OURS)} --filter "label=com.docker.compose.service=$name"
done | xargs -r docker rm --force --volumes"""
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
    cpus: str  # that it is confined to; empty means all
    out_of_memory: bool  # the kernel killed it for that

    @property
    def up(self) -> bool:
        """Whether it runs and, when it has a health check, passes it."""
        return self.state == "running" and self.health in (None, "healthy")

    @property
    def unwell(self) -> bool:
        return self.state in UP and not self.up


class DockerRuntime(Runtime):
    """Implements `Runtime` with Docker Compose; stops on the way out only what it started."""

    name = "docker"
    counts_statements = True

    def __init__(self, say: Say, root: Path = ROOT) -> None:
        self.say = say
        self.root = root
        self._stacks: dict[str, Stack] = {}
        self._guests: dict[str, Stack] = {}
        self._version = engine_version()
        if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
            raise UserError(
                "the Docker engine answers, but `docker compose` does not; install Compose v2 "
                "(on Debian as root: scripts/install-docker)"
            )
        compose_file.sync(root)
        self._lock = Lock(LOCK, "the containers")
        self._remembered: dict[str, int] = {}
        self._before: dict[str, Container] = {}
        self._started: set[str] = set()
        self._pinned: dict[str, tuple[int, ...]] = {}
        self._seen: dict[str, Container] = {}
        self._running: dict[str, Mapping[str, Setting]] = {}
        self._paused: set[str] = set()
        self._switched: set[str] = set()  # paused or woken at some time
        self._psql: Psql | None = None
        self._asked = 0

    def up(self, stacks: Iterable[Stack]) -> None:
        """Bring up the upstreams and these stacks with their defaults, building what changed; wait until healthy."""
        stacks = list(stacks)
        self._begin()
        self._stacks.update((stack.name, stack) for stack in stacks)
        self._guests.update(
            (stack.name, stack) for stack in stacks if not stack.directory.is_relative_to(self.root / "stacks")
        )
        wanted = [*UPSTREAMS, *(stack.name for stack in stacks)]
        engine([str(self.root / "scripts" / "base-image")], "could not make the base image", quiet=False)
        self.say(f"docker: building the images of {', '.join(wanted)}")
        if self._guests:
            self._remember("images", ["docker", "image", "rm", "--force", *map(image, sorted(self._guests))])
        self._compose(["build", "--quiet", *wanted])
        self.say("docker: starting them, until each is healthy")
        self._up(list(UPSTREAMS), {})
        self._up([stack.name for stack in stacks], {})
        self._running.update((stack.name, {}) for stack in stacks)

    def keep(self) -> None:
        """Leave what was started running when this process ends."""
        self._started.clear()
        self._forget_all()

    def down(self) -> None:
        """Have the watchdog undo all that is remembered: as after a kill, so what was up before is as it was."""
        if not self._lock.held:
            return
        if self._psql is not None:
            self._psql.close()
        mine = self._started - self._before.keys()
        if mine:
            self.say(f"docker: stopping {'what was started' if not self._before else listed(sorted(mine))}")
        interrupted = False
        try:
            try:
                with suppress(UserError):  # the watchdog wakes what is still asleep
                    self._wake(self._paused & self._before.keys())
                    self._show_healthy(self._switched & self._before.keys())
            finally:
                self._dog.__exit__(None, None, None)
            wait_until(lambda: not self._left(mine), HEALTHY_AGAIN_WITHIN_S, 0.3)
        except KeyboardInterrupt:
            interrupted = True
        if left := self._left(mine):
            words = f"not stopped yet: {listed(left)}; if it is still so in a minute: make down"
            raise KeyboardInterrupt(words) if interrupted else UserError(words)
        self._started.clear()
        self._lock.release()
        if interrupted:
            raise KeyboardInterrupt

    def _show_healthy(self, names: set[str]) -> None:
        """Have the engine look at once at what is unhealthy to it since a pause; it would only in 30 s.

        Another pause ends the check that waits so long.
        """
        for name in sorted(
            name for name, container in self._containers().items() if name in names and not container.up
        ):
            self._switch("pause", {name})
            self._switch("unpause", {name})
            self._exec(name, "sh", "-c", LOOK_NOW)

    def _left(self, mine: set[str]) -> list[str]:
        """List what this object started that is still there, and what was up before that is not well again."""
        containers = self._containers()
        switched = self._switched & self._before.keys() & containers.keys()
        return sorted(mine & containers.keys() | {name for name in switched if containers[name].unwell})

    def _begin(self) -> None:
        """Take the containers for this harness alone, and see which are there already."""
        if self._lock.held:
            return
        self._lock.acquire()
        self._dog = Watchdog([self._lock.descriptor]).__enter__()
        self._before = dict(self._containers())
        network = f"{PROJECT}_default"
        if network not in engine(["docker", "network", "ls", "--format", "{{.Name}}"], "no networks").split():
            self._remember("network", ["docker", "network", "rm", network])

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

    def _remember_start(self, names: list[str], changed: Mapping[str, Setting]) -> None:
        """Have them as they were before: gone, stopped, or with their defaults."""
        for name in names:
            before = self._before.get(name)
            if before is None:
                self._remember(f"start {name}", ["sh", "-c", REMOVE, "sh", name])
            elif before.state not in UP:
                self._remember(f"start {name}", ["docker", "stop", "--time", "2", f"{PROJECT}-{name}-1"])
            elif changed:
                unset = [word for key in self._settings() for word in ("--unset", key)]
                self._remember(f"change {name}", ["env", *unset, *self._command, "up", *UP_FLAGS, name])

    @contextmanager
    def service(self, variant: Variant) -> Iterator[Service]:
        """Run this variant in a container, which is made anew only when its settings differ from what runs."""
        name = variant.stack.name
        self._stacks[name] = variant.stack
        self._wake({name})
        if self._running.get(name) != variant.changed:
            self._up([name], variant.changed)
            self._running[name] = dict(variant.changed)
        elif not self._answers(name):
            self._restart(name)  # it died, or has more in hand than it can answer soon
        yield Service(variant, *self._endpoint(self._container(name), variant.stack))

    @contextmanager
    def alone(self, service: Service) -> Iterator[None]:
        """Pause the containers of all other stacks; they stay so until they are needed, which spares many switches."""
        others = self._running.keys() - self._paused - {service.stack.name}
        others = {name for name in others if stands_still(self._running[name])}
        for name in others & self._containers().keys() if others else ():
            self._remember(f"pause {name}", ["docker", "unpause", self._seen[name].id])
        self._switch("pause", others)
        self._paused |= others
        yield

    def heal(self) -> None:
        if not all((container := self._containers().get(name)) and container.up for name in UPSTREAMS):
            self._up(list(UPSTREAMS), {})

    def restart(self, service: Service) -> None:
        self._restart(service.stack.name)

    def _restart(self, name: str) -> None:
        """Start a stack again wherever it ended; one whose container is gone gets another."""
        if name not in self._containers():
            return self._up([name], self._running[name])
        self._switch("unpause", {name})
        engine(["docker", "restart", "--time", "0", self._container(name).id], "could not start the stack again")
        self._wait([name])
        return None

    def pin(self, service: Service, cores: Cores) -> None:
        """Confine the containers to their CPUs, at once and without a restart."""
        wanted: dict[str, tuple[int, ...]] = dict.fromkeys(UPSTREAMS, cores.upstreams)
        wanted[service.stack.name] = cores.stack
        for name, cpus in wanted.items():
            container = self._container(name)
            if self._pinned.get(container.id) != cpus:
                if name in self._before:
                    all_cpus = self._before[name].cpus or sorted(os.sched_getaffinity(0))
                    self._remember(f"pin {name}", self._update(container, all_cpus))
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
        self._wait([name])

    def interferences(self, since: float) -> list[Interference]:
        return [
            Interference(name, "paused" if action == "pause" else "out of memory")
            for name, action in dict.fromkeys(self._events(since, "pause", "oom"))
            if name in (*UPSTREAMS, *self._running)
        ]

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
        settings = self._settings()
        environment = {key: value for key, value in os.environ.items() if key not in settings}
        environment |= {key.upper(): written(value) for key, value in (changed or {}).items()}
        environment["DOCKER_BUILDKIT"] = "1"
        return engine([*self._command, *arguments], f"docker compose {arguments[0]} failed", environment)

    def _settings(self) -> set[str]:
        return {key.upper() for stack in (load_stacks(self.root) | self._guests).values() for key in stack.settings}

    def _up(self, names: list[str], changed: Mapping[str, Setting]) -> None:
        """Start services, whatever state they are in, and wait until each is healthy now.

        Compose would wait for what the engine last saw: a container that was paused is unhealthy to it until it looks
        again.
        """
        self._remember_start(names, changed)
        self._started.update(names)
        self._switch("unpause", set(names))  # nobody can start what is paused
        self._compose(["up", *UP_FLAGS, *names], changed)
        self._wait(names)

    def _wake(self, names: set[str]) -> None:
        asleep = names & self._paused
        if asleep:
            self._switch("unpause", asleep)
            self._paused -= asleep
            for name in asleep:
                self._forget(f"pause {name}")

    def _switch(self, verb: Literal["pause", "unpause"], names: set[str]) -> None:
        """Pause or wake those of these containers that are not so yet; one that has died cannot be."""
        before = "running" if verb == "pause" else "paused"

        def due() -> list[str]:
            return [
                container.id
                for name, container in self._containers().items()
                if name in names and container.state == before
            ]

        if names and (ids := due()):
            try:
                engine(["docker", verb, *ids], f"could not {verb} a stack")
            except UserError:
                if due():
                    raise
            self._switched |= names
            self._seen.clear()

    def _healthy(self, name: str) -> bool:
        """Tell whether a server answers now."""
        container = self._seen[name]
        if name in self._stacks:
            return container.state == "running" and self._answers(name)
        look = ["docker", "exec", container.id, "sh", "-c", f"{LOOK_NOW} && exec healthcheck"]
        return container.state == "running" and not subprocess.run(look, capture_output=True, check=False).returncode

    def _answers(self, name: str) -> bool:
        """Tell whether the stack accepts a request now and answers it with 200."""
        try:
            host, port = self._endpoint(self._container(name), self._stacks[name])
            with DIRECT(f"http://{host}:{port}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, UserError):
            return False

    def _wait(self, names: list[str]) -> None:
        waiting = list(names)

        def all_healthy() -> bool:
            containers = self._containers()
            for name in waiting:
                if name not in containers or containers[name].state in ("exited", "dead"):
                    raise UserError(f"{name}: {self._why_ended(name)}")
            waiting[:] = [name for name in waiting if not self._healthy(name)]
            return not waiting

        if not wait_until(all_healthy, HEALTHY_WITHIN_S, 0.2):
            name = waiting[0]
            raise UserError(f"{name} is not healthy after {HEALTHY_WITHIN_S} s: {self._why_ended(name)}")

    def _why_ended(self, name: str) -> str:
        container = self._container(name)
        how = "out of memory; " if container.out_of_memory else ""
        return f"{how}{why_ended(self.logs(name, 200))} (all of it: docker logs {container.id[:12]})"

    def _events(self, since: float, *actions: str) -> Iterator[tuple[str, str]]:
        """Find which containers of the project had which of these events since then."""
        filters = [*OURS[:2], *(word for action in actions for word in ("--filter", f"event={action}"))]
        span = ["--since", f"{since:.3f}", "--until", f"{time.time():.3f}"]
        for line in engine(["docker", "events", *span, *filters, "--format", "{{json .}}"], "no events").splitlines():
            event = json.loads(line)
            yield event["Actor"]["Attributes"]["com.docker.compose.service"], event["Action"]

    def _containers(self) -> dict[str, Container]:
        ids = engine(["docker", "ps", "--all", "--quiet", *OURS], "the engine lists no containers").split()
        if not ids:
            self._seen = {}
            return self._seen
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

    def _update(self, container: Container, cpus: str | Iterable[int]) -> list[str]:
        listed_cpus = cpus if isinstance(cpus, str) else ",".join(map(str, cpus))
        return ["docker", "update", "--cpuset-cpus", listed_cpus, container.id]

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
        cpus=described["HostConfig"]["CpusetCpus"],
        out_of_memory=described["State"]["OOMKilled"],
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
