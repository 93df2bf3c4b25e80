"""Stacks: `ls stacks/` is the registry, `stack.toml` says what each one is and how much it can hold."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.toml import FileTable, MisfitError, Whole, fields_of, misfitting, read_typed, shown
from stackmatrix.errors import UserError, pick, suggestion

POOL_WAIT_S = 5.0  # for a database connection, by the contract; then a stack answers 503
LATE_S = 1.5  # by the contract: how long after a time-out a stack may take to say so

Setting = int | str | bool
SettingName = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$", description="a lower-case name")]
Wait = Literal["timer", "database", "upstream"]
Terms = Annotated[
    Literal["unlimited"] | Annotated[tuple[str | int, ...], Meta(min_length=1)],
    Meta(description='"unlimited" or a list of settings and numbers, the least of which binds'),
]
Port = Annotated[int, Meta(ge=1024, le=65535, description="a whole number from 1024 to 65535")]


class Processes(FileTable, frozen=True):
    processes: Whole  # with one worker
    # with more than one: those that are no workers; as many as beside one worker when nothing is said
    beside_workers: int | None = None

    def at(self, workers: int) -> int:
        beside = self.processes - 1 if self.beside_workers is None else self.beside_workers
        return self.processes if workers == 1 else workers + beside


class IdentityTable(Processes, frozen=True):
    """`[identity]`: what must be seen of a running instance."""

    loop: str | None = None
    server: Mapping[str, Processes] = {}  # by the choices of the setting `server` that have other processes


class CapacityTable(FileTable, frozen=True):
    """`[capacity]` of one worker: the least of some settings and numbers, or unlimited."""

    timer: Terms
    database: Terms
    upstream: Terms


class WatchTable(FileTable, frozen=True):
    """`[packages]`: what the stack tells the versions of."""

    watch: tuple[str, ...]


class Manifest(FileTable, frozen=True, kw_only=True):
    """One `stack.toml`."""

    summary: str
    language: str
    framework: str
    server: str
    concurrency: Literal["event-loop", "threads", "greenlets", "blocked-loop"]
    port: Port
    settings: Mapping[SettingName, Setting] = {}
    capacity: CapacityTable
    watched: WatchTable = msgspec.field(name="packages")
    identity: IdentityTable
    choices: Mapping[str, tuple[str, ...]] = {}
    variants: Mapping[str, Mapping[str, Setting]] = {}
    other_work: tuple[str, ...] = ()  # settings whose other values do other work for the same answer, on purpose

    def __post_init__(self) -> None:
        for key, words in self.choices.items():
            if key not in self.settings or self.settings[key] not in words:
                raise MisfitError(
                    f"choices.{key}", [*words], "must list the words of a setting, its default among them"
                )
        for name in self.other_work:
            if name not in self.settings:
                raise MisfitError("other_work", name, f"no such setting; {suggestion(name, self.settings)}")
        for name in self.identity.server:
            if name not in self.choices.get("server", ()):
                raise MisfitError(f"identity.server.{name}", None, "must be one of the words of choices.server")
        numeric = [key for key, value in self.settings.items() if isinstance(value, int)]
        for wait in self.capacity.__struct_fields__:
            for term in self.terms(wait) or ():
                if not isinstance(term, int) and term not in numeric:
                    raise MisfitError(f"capacity.{wait}", term, f"no numeric setting; {suggestion(term, numeric)}")
        for variant, changes in self.variants.items():
            for key, value in changes.items():
                typed = self.typed(key, value, told := f"variants.{variant}.{key}")
                if typed != value:
                    raise MisfitError(told, value, f"must be written as the default is: {typed!r}")

    def typed(self, key: str, value: Setting, told: str) -> Setting:
        """Give a value of setting `key`, perhaps a text, its default's type; MisfitError, of key `told`, if none."""
        if key not in self.settings:
            raise MisfitError(told, value, f"no such setting; {suggestion(key, self.settings)}")
        default, text = self.settings[key], str(value)
        if isinstance(default, bool):
            if text.lower() not in ("true", "false"):
                raise MisfitError(told, value, "must be true or false")
            return text.lower() == "true"
        if isinstance(default, int):
            if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
                raise MisfitError(told, value, "must be a whole number from 1 to 999999")
            return int(text)
        if text not in self.choices.get(key, (text,)):
            raise MisfitError(told, value, f"must be one of {', '.join(self.choices[key])}")
        return text

    def terms(self, wait: str) -> tuple[str | int, ...] | None:
        """Name what limits one worker's requests in flight for a kind of wait; None when nothing does."""
        terms: tuple[str | int, ...] | Literal["unlimited"] = getattr(self.capacity, wait)
        return None if terms == "unlimited" else terms


class Stack(Manifest, frozen=True, kw_only=True):
    """Framework + server + concurrency model + drivers: one directory under `stacks/`."""

    name: str
    directory: Path

    def with_settings(self, changed: Mapping[str, Setting]) -> dict[str, Setting]:
        """Override the defaults by `changed`; UserError for what this stack does not know."""
        return {**self.settings, **{key: self.setting(key, value) for key, value in changed.items()}}

    def setting(self, key: str, value: Setting) -> Setting:
        """Give a value of setting `key`, perhaps a text, its default's type; UserError when it does not fit."""
        pick(f"setting of {self.name}", key, self.settings)
        try:
            return self.typed(key, value, key)
        except MisfitError as misfit:
            raise UserError(f"{self.name}: {misfit}") from None

    @property
    def packages(self) -> tuple[str, ...]:
        return self.watched.watch

    def processes_at(self, settings: Mapping[str, Setting]) -> int:
        due = self.identity.server.get(str(settings.get("server")), self.identity)
        return due.at(int(settings.get("workers", 1)))

    def slots(self, wait: Wait, settings: Mapping[str, Setting]) -> int | None:
        """Count the requests that all workers together can hold in flight for a kind of wait; None when unlimited."""
        terms = self.terms(wait)
        if terms is None:
            return None
        per_worker = min(term if isinstance(term, int) else int(settings[term]) for term in terms)
        return int(settings.get("workers", 1)) * per_worker

    def locked(self) -> dict[str, set[str]]:
        """Read the versions of each package from its lock, which may have one per Python."""
        found: dict[str, set[str]] = {}
        lock = (self.directory / "requirements.txt").read_text(encoding="utf-8")
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.M):
            found.setdefault(name.lower(), set()).add(version)
        return found


@dataclass(frozen=True)
class Variant:
    """A stack with some of its settings changed; `fastapi-sync[threads=100]`."""

    stack: Stack
    changed: Mapping[str, Setting]

    @property
    def label(self) -> str:
        return variant_label(self.stack.name, self.changed)

    @property
    def settings(self) -> dict[str, Setting]:
        return self.stack.with_settings(self.changed)

    @property
    def equal_work(self) -> bool:
        """Whether a request does the work that its workload states: no setting is changed that means other work."""
        return all(self.settings[key] == self.stack.settings[key] for key in self.stack.other_work)

    def slots(self, wait: Wait) -> int | None:
        """Count the requests that it can hold in flight for a kind of wait; None when unlimited."""
        return self.stack.slots(wait, self.settings)


def variant_label(stack: str, changed: Mapping[str, Setting]) -> str:
    """Write `stack[key=value,…]`, as the command line takes it."""
    inner = ",".join(f"{key}={written(value)}" for key, value in changed.items())
    return f"{stack}[{inner}]" if inner else stack


def written(value: Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Stacks(dict[str, Stack]):
    """The stacks of a checkout by name; a broken one is in nobody's way until it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: dict[str, UserError] = {}

    def __missing__(self, name: str) -> Stack:
        raise self.broken.get(name, KeyError(name))

    def every(self, say: Callable[[str], None]) -> list[Stack]:
        """Return those that can be used; `say` names the others, a line each."""
        for name, error in self.broken.items():
            say(f"{name} is left out: {error}")
        return list(self.values())


def load_stacks(root: Path = ROOT) -> Stacks:
    stacks = Stacks()
    ports: dict[int, str] = {}
    for file in sorted(root.glob("stacks/*/stack.toml")):
        try:
            stack = read_stack(file)
            if stack.port in ports:
                raise misfitting(file, MisfitError("port", stack.port, f"taken by {ports[stack.port]}; choose another"))
        except UserError as error:
            stacks.broken[file.parent.name] = error
            continue
        ports[stack.port] = stack.name
        stacks[stack.name] = stack
    return stacks


def read_stack(file: Path) -> Stack:
    """Read the stack that one manifest describes; CatalogError for the first mistake in it."""
    stack = Stack(name=file.parent.name, directory=file.parent, **fields_of(read_typed(file, Manifest)))
    lock = file.parent / "requirements.txt"
    if lock.exists():
        pinned = f"\n{lock.read_text(encoding='utf-8')}"
        for name in (name for name in stack.packages if f"\n{name}==" not in pinned):
            misfit = MisfitError(
                "packages.watch", name, f"no package of {shown(lock)}; {suggestion(name, stack.locked())}"
            )
            raise misfitting(file, misfit)
    return stack


def parse_variant(text: str, stacks: Mapping[str, Stack]) -> Variant:
    """Read `name`, `name[variant]` or `name[key=value,…]`; UserError for a name that does not exist."""
    match = re.fullmatch(r"([^\[\]]+)(?:\[([^\[\]]*)\])?", text)
    if not match:
        raise UserError(f"{text!r} is no stack: write NAME, NAME[VARIANT] or NAME[KEY=VALUE,…]")
    stack = pick("stack", match[1], stacks)
    changed: dict[str, Setting] = {}
    for part in filter(None, (match[2] or "").split(",")):
        key, equals, value = part.partition("=")
        if equals:
            changed[key.strip().lower()] = stack.setting(key.strip().lower(), value.strip())
        else:
            changed.update(pick(f"variant of {stack.name}", part.strip(), stack.variants))
    return Variant(stack, {key: value for key, value in changed.items() if stack.settings[key] != value})
