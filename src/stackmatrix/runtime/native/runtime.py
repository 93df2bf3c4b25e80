"""The native runtime: upstreams and stacks as processes of this machine, each under a supervisor of its own."""

import os
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Stack, Variant, written
from stackmatrix.cores import Cores
from stackmatrix.errors import LackingError, UserError
from stackmatrix.runtime.base import UPSTREAMS, Runtime, Say, Service, Upstream, stands_still
from stackmatrix.runtime.native import delay, environments, postgres
from stackmatrix.runtime.native.delay import Delay
from stackmatrix.runtime.native.fixtures import Nginx, find_nginx
from stackmatrix.runtime.native.ports import HOST, free_port, is_free, serves
from stackmatrix.runtime.native.postgres import Postgres
from stackmatrix.runtime.native.processes import Program, Recipe
from stackmatrix.runtime.native.state import State
from stackmatrix.runtime.psql import Psql
from stackmatrix.runtime.watchdog import Watchdog

# what a stack sees of the user's environment: nothing that could set it or slow it
INHERITED = ("HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER")


@dataclass(frozen=True)
class Servers:
    postgres: Postgres
    nginx: Nginx | Delay
    delay: Delay

    def recipe(self, name: Upstream) -> Recipe:
        server: Postgres | Nginx | Delay = getattr(self, name)
        return server.recipe()

    def environment(self, stack: str, root: Path) -> dict[str, str]:
        return {
            "DATABASE_URL": self.postgres.url(stack),
            "DELAY_URL": f"http://{HOST}:{self.delay.port}",
            "FIXTURES_URL": f"http://{HOST}:{self.nginx.port}",
            "FIXTURES_DIR": str(root / "fixtures"),
        }


class NativeRuntime(Runtime):
    """Implements `Runtime` without a container engine; stops on the way out all that it started.

    `lacking` says of each stack that this machine cannot run what it lacks and how to install that.
    """

    name = "native"

    def __init__(self, say: Say, root: Path = ROOT, ports: Mapping[str, int] | None = None) -> None:
        """Take `ports` for some stacks; all others have their manifest's where that is free."""
        if sys.platform != "linux":
            raise UserError("the native runtime needs Linux; use --runtime docker")
        for stack, port in (ports or {}).items():
            if not is_free(port):
                raise UserError(
                    f"another program has port {port}; give {stack} another one, or none to have one chosen"
                )
        self.lacking: dict[str, str] = {}
        self.counts_statements = False
        self.say = say
        self.root = root
        self._state = State(root)
        self._ports = dict(ports or {})
        self._open = ExitStack()
        self._servers: Servers | None = None
        self._psql: Psql | None = None
        self._environments: dict[str, Path] = {}
        self._recipes: dict[str, Recipe] = {}
        self._programs: dict[str, Program] = {}
        self._variants: dict[str, Variant] = {}
        self._cpus: dict[str, tuple[int, ...]] = {}

    def up(self, stacks: Iterable[Stack]) -> None:
        """Bring these stacks up, and wait; what this machine cannot run is left out, UserError if that is all."""
        wanted = list(stacks)
        self._prepare(wanted)
        able = [stack for stack in wanted if stack.name not in self.lacking]
        if wanted and not able:
            raise UserError(
                "a dependency of each of these stacks is missing on this machine; install it, or use --runtime docker"
            )
        new = [stack for stack in able if not self._runs(stack.name)]
        for stack in new:
            self._vary(Variant(stack, {}))
        self._start(*(stack.name for stack in new))
        for stack in new:
            self.say(f"native: {stack.name} on http://{HOST}:{self._ports[stack.name]}/")

    def down(self) -> None:
        self._hang_up()
        for program in self._programs.values():
            program.let_go()
        try:
            for program in self._programs.values():
                program.wait()
        except KeyboardInterrupt:
            raise KeyboardInterrupt("what was started is being stopped, within a few seconds") from None
        self._programs.clear()
        self._servers = None
        self._open.close()

    @contextmanager
    def service(self, variant: Variant) -> Iterator[Service]:
        """Run this variant, started anew only when its settings differ from what runs."""
        name = variant.stack.name
        self._admit_variant(variant)
        if not self._runs(name) or self._variants[name] != variant:
            self._vary(variant)
            self._start(name)
        yield Service(variant, HOST, self._ports[name])

    @contextmanager
    def under(self, variant: Variant, program: Sequence[str], environment: Mapping[str, str]) -> Iterator[Service]:
        """Run this variant under another program, with more environment; end it by SIGTERM, leave it as it was."""
        name = variant.stack.name
        self._admit_variant(variant)
        self._vary(variant)
        plain = self._recipes[name]
        try:
            own = {**(plain.environment or {}), **environment}
            self._recipes[name] = replace(plain, command=[*program, *plain.command], environment=own)
            self._start(name)
            service = Service(variant, HOST, self._ports[name])
            yield service
            self.terminate(service)
        finally:
            self._stop(name)
            self._recipes[name] = plain

    @contextmanager
    def alone(self, service: Service) -> Iterator[None]:
        """Stop every other stack by SIGSTOP meanwhile."""
        others = [
            self._programs[name]
            for name, variant in self._variants.items()
            if name != service.stack.name and self._runs(name) and stands_still(variant.settings)
        ]
        for program in others:
            program.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for program in others:
                program.signal(signal.SIGCONT)

    def heal(self) -> None:
        self._start(*(name for name in UPSTREAMS if not self._runs(name)))

    def restart(self, service: Service) -> None:
        self._program(service.stack.name).kill()
        self._start(service.stack.name)

    def pin(self, service: Service, cores: Cores) -> None:
        """Confine every thread of the stack and the upstreams to their CPUs, and what is started in their place."""
        wanted: dict[str, tuple[int, ...]] = dict.fromkeys(UPSTREAMS, cores.upstreams)
        wanted[service.stack.name] = cores.stack
        for name, cpus in wanted.items():
            self._program(name).pin(cpus)
            self._cpus[name] = cpus

    def pids(self, name: str) -> list[int]:
        return [process.pid for process in self._program(name).tree()] if self._runs(name) else []

    def cgroup(self, name: str) -> Mapping[str, str] | None:  # noqa: ARG002 the protocol's
        return None

    def stop_upstream(self, name: Upstream) -> None:
        self._stop(name)

    def start_upstream(self, name: Upstream) -> None:
        self._start(name)

    def terminate(self, service: Service) -> int:
        return self._program(service.stack.name).terminate()

    def sql(self, statement: str) -> str:
        if self._psql is None or not self._psql.alive:
            self._psql = self._up.postgres.psql()
        return self._psql.ask(statement)

    def counters(self) -> dict[str, int]:
        return self._up.delay.counters()

    def reset_counters(self) -> None:
        self._up.delay.reset()

    def files_served(self) -> int:
        return self._up.nginx.served()

    def logs(self, name: str, lines: int = 20) -> str:
        return self._program(name).last_words(lines)

    def environment(self) -> dict[str, str]:
        servers = self._up
        return {
            "runtime": "native",
            "python": ".".join(map(str, sys.version_info[:3])),
            "postgres": servers.postgres.description,
            "nginx": servers.nginx.description,
            "delay": servers.delay.description,
        }

    @property
    def _up(self) -> Servers:
        if self._servers is None:
            raise UserError("the upstreams are not up; bring them up first")
        return self._servers

    def _program(self, name: str) -> Program:
        try:
            return self._programs[name]
        except KeyError:
            raise UserError(f"{name} is not up") from None

    def _runs(self, name: str) -> bool:
        return name in self._programs and self._programs[name].running

    def _prepare(self, stacks: list[Stack]) -> None:
        """Make what the stacks need and, the first time, bring the upstreams up."""
        first = self._servers is None
        if first:
            self._begin()
        new = environments.unmade(stacks, self._state)
        if not delay.executable_path(self._state).exists():
            new.append("the delay server")
        if new:
            self.say(f"native: making what {', '.join(new)} needs; it is kept for the next time")
        pool = ThreadPoolExecutor()
        try:
            making = pool.submit(environments.make_all, stacks, self._state)
            servers = pool.submit(self._build) if first else None
            self._admit(making.result())
            if servers is not None:
                self._bring_up(servers.result())
        finally:
            pool.shutdown(wait=False)  # Ctrl-C does not wait for what is being made: the watchdog ends it

    def _admit(self, made: Mapping[str, Path | UserError]) -> None:
        """Note which stacks have their environment, and say all at once what the others lack."""
        for name, result in made.items():
            if isinstance(result, UserError):
                self.lacking[name] = str(result)
                self.say(f"native: left out: {result}")
            else:
                self.lacking.pop(name, None)
                self._environments[name] = result

    def _bring_up(self, servers: Servers) -> None:
        self._servers = servers
        self.counts_statements = servers.postgres.counts_statements
        self._recipes |= {name: servers.recipe(name) for name in UPSTREAMS}
        self._start(*UPSTREAMS)
        self.say("native: " + ", ".join(f"{name} on {HOST}:{getattr(servers, name).port}" for name in UPSTREAMS))
        servers.postgres.populate()

    def _begin(self) -> None:
        """Take the checkout for this harness alone, and begin with empty logs."""
        self._state.lock.acquire()
        self._open.callback(self._state.lock.release)
        self._watchdog = self._open.enter_context(Watchdog())
        shutil.rmtree(self._state.path("logs"))

    def _build(self) -> Servers:
        with ThreadPoolExecutor() as pool:
            database = pool.submit(postgres.prepare, self._state, free_port(), self._watchdog)
            executable = delay.build(self._state)
        nginx = find_nginx()
        fixtures = self.root / "fixtures"
        return Servers(
            database.result(),
            Nginx(nginx, self._state, free_port()) if nginx else Delay(executable, free_port(), fixtures),
            Delay(executable, free_port()),
        )

    def _start(self, *names: str) -> None:
        """Start programs at the same time, in the place of those that ran, and wait until all are healthy."""
        for name in names:
            self._stop(name)
            log = self._state.path("logs") / f"{name}.log"
            cpus = self._cpus.get(name)
            self._programs[name] = Program(
                name, self._recipes[name], log=log, lock=self._state.lock.descriptor, cpus=cpus
            )
        for name in names:
            self._programs[name].wait_healthy()

    def _stop(self, name: str) -> None:
        if name == "postgres":
            self._hang_up()
        if name in self._programs:
            self._programs[name].stop()

    def _hang_up(self) -> None:
        if self._psql is not None:
            self._psql.close()
            self._psql = None

    def _admit_variant(self, variant: Variant) -> None:
        """Make the environment that its stack needs; LackingError when this machine cannot."""
        name = variant.stack.name
        if name not in self._environments:
            self._prepare([variant.stack])
        if name in self.lacking:
            raise LackingError(self.lacking[name])

    def _vary(self, variant: Variant) -> None:
        name = variant.stack.name
        where = self._up.environment(name, self.root)
        self._recipes[name] = recipe(variant, self._port(variant.stack), self._environments[name], where)
        self._variants[name] = variant

    def _port(self, stack: Stack) -> int:
        """Choose a stack's port once: the one asked for, else its manifest's where that is free, else any."""
        if stack.name not in self._ports:
            free = is_free(stack.port)
            self._ports[stack.name] = stack.port if free else free_port()
            if not free:
                self.say(f"native: port {stack.port} of {stack.name} is taken, so it gets {self._ports[stack.name]}")
        return self._ports[stack.name]


def recipe(variant: Variant, port: int, venv: Path, upstreams: Mapping[str, str]) -> Recipe:
    """Tell how to start a stack: its own `serve`, its own Python first in PATH, only what the variant changes set."""
    environment = {key: os.environ[key] for key in INHERITED if key in os.environ}
    environment |= {"PATH": os.pathsep.join([str(venv / "bin"), os.environ.get("PATH", os.defpath)])}
    environment |= {"VIRTUAL_ENV": str(venv), "HOST": HOST, "PORT": str(port), **upstreams}
    environment |= {key.upper(): written(value) for key, value in variant.changed.items()}
    directory = variant.stack.directory
    return Recipe([str(directory / "serve")], lambda: serves(port, "/healthz"), environment, directory)
