"""What every runtime can do; other packages know servers by these types alone."""

import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self

from stackmatrix.catalog.stacks import Setting, Stack, Variant
from stackmatrix.cores import Cores
from stackmatrix.errors import UserError

Upstream = Literal["postgres", "nginx", "delay"]


UPSTREAMS: tuple[Upstream, ...] = ("postgres", "nginx", "delay")


Say = Callable[[str], None]  # shows the user one line about what is going on


@dataclass(frozen=True)
class Service:
    variant: Variant
    host: str
    port: int

    @property
    def stack(self) -> Stack:
        return self.variant.stack

    @property
    def settings(self) -> Mapping[str, Setting]:
        return self.variant.settings

    def accepts(self) -> bool:
        return accepts(self.host, self.port)


def accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


class Interference(NamedTuple):
    server: str  # a stack or an upstream
    what: Literal["paused", "out of memory"]


def stands_still(settings: Mapping[str, Setting]) -> bool:
    """Tell whether a stack may be stopped for long: Gunicorn kills workers that give no sign of life."""
    return settings.get("server") != "gunicorn"


class Runtime(Protocol):
    """Brings the matrix up, as containers or as processes of this machine; leaving its context takes it down."""

    name: str
    root: Path
    say: Say
    counts_statements: bool  # whether its PostgreSQL has pg_stat_statements

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.down()
        except UserError as failure:
            if error is None:
                raise
            self.say(str(failure))  # the error that ended it is the news

    def up(self, stacks: Iterable[Stack]) -> None:
        """Bring up the upstreams and these stacks with their defaults; wait until all are healthy."""

    def service(self, variant: Variant) -> AbstractContextManager[Service]:
        """Run this variant, healthy, inside the context; what was up before stays up."""
        ...

    def alone(self, service: Service) -> AbstractContextManager[None]:
        """Stop every other stack that may be stopped inside the context, perhaps until it is needed again."""
        ...

    def heal(self) -> None:
        """Start again whatever upstream has died."""

    def restart(self, service: Service) -> None:
        """Kill the stack with the requests that it still has, start it again, and wait until it answers."""

    def pin(self, service: Service, cores: Cores) -> None:
        """Confine the stack and the upstreams to their CPUs."""

    def pids(self, name: str) -> list[int]:
        """List the processes of a stack or an upstream as this machine numbers them; none where they cannot be seen."""
        ...

    def cgroup(self, name: str) -> Mapping[str, str] | None:
        """Map each controller to its cgroup directory ('' is version 2's); None when there is none to read."""
        ...

    def stop_upstream(self, name: Upstream) -> None:
        """Stop an upstream as an operator would."""

    def start_upstream(self, name: Upstream) -> None:
        """Start it again with its data and at its address, and wait until it is healthy."""

    def terminate(self, service: Service) -> int:
        """Send SIGTERM to the stack's first process; its exit code once the whole stack has ended."""
        ...

    def sql(self, statement: str) -> str:
        """Ask the database as its superuser, whom no stack's count holds; rows one a line, columns separated by `|`."""
        ...

    def reset_notes(self) -> None:
        self.sql((self.root / "upstream" / "postgres" / "seed.sql").read_text(encoding="utf-8"))

    def counters(self) -> dict[str, int]:
        """Read the delay server's counters since the last reset: received, in_flight, max_in_flight."""
        ...

    def reset_counters(self) -> None:
        """Reset the delay server's counters."""

    def files_served(self) -> int:
        """Count the requests that the server of the fixtures has had, without those that asked for this count."""
        ...

    def logs(self, name: str, lines: int = 20) -> str: ...

    def environment(self) -> dict[str, str]:
        """Name the engine, PostgreSQL, Nginx and Go that serve, for the report."""
        ...

    def interferences(self, since: float) -> list[Interference]:  # noqa: ARG002 of those that can tell
        """List what befell a server from outside since that time of the clock."""
        return []

    def down(self) -> None:
        """Stop what this runtime object started; what was up before it stays up, as it was.

        Raises UserError or KeyboardInterrupt that says what is left when that fails or Ctrl-C cuts it short.
        """
