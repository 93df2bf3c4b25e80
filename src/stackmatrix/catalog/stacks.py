"""Stacks: `ls stacks/` is the registry, `stack.toml` says what each one is and how much it can hold."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.toml import Fields, pick
from stackmatrix.errors import UserError

Setting = int | str | bool
Wait = Literal["timer", "database", "upstream"]

WAITS: tuple[Wait, ...] = ("timer", "database", "upstream")
CONCURRENCY = ("event-loop", "threads", "greenlets", "blocked-loop")


@dataclass(frozen=True)
class Census:
    """Processes of one instance, as seen from outside."""

    processes: int
    """With one worker."""
    beside_workers: int
    """With more than one: those that are no workers."""

    def at(self, workers: int) -> int:
        """How many run with so many workers."""
        return self.processes if workers == 1 else workers + self.beside_workers


@dataclass(frozen=True)
class Stack:
    """Framework + server + concurrency model + drivers: one directory under `stacks/`."""

    name: str
    directory: Path
    summary: str
    language: str
    framework: str
    server: str
    concurrency: str
    port: int
    settings: Mapping[str, Setting]
    choices: Mapping[str, tuple[str, ...]]
    capacity: Mapping[Wait, tuple[str | int, ...] | None]
    variants: Mapping[str, Mapping[str, Setting]]
    packages: tuple[str, ...]
    other_work: tuple[str, ...]
    """Settings whose other values do other work for the same answer, on purpose."""
    census: Census
    census_under: Mapping[str, Census]
    """By the choices of the setting `server` that have other processes."""
    loop: str | None

    def with_settings(self, changed: Mapping[str, Setting]) -> dict[str, Setting]:
        """All settings, the defaults overridden by `changed`; UserError for what this stack does not know."""
        return {**self.settings, **{key: self.setting(key, str(value)) for key, value in changed.items()}}

    def setting(self, key: str, text: str) -> Setting:
        """`text` as the value of setting `key`, typed as its default is."""
        default = pick(f"setting of {self.name}", key, self.settings)
        if isinstance(default, bool):
            if text.lower() not in ("true", "false"):
                raise UserError(f"{self.name}: {key} = {text!r}: must be true or false")
            return text.lower() == "true"
        if isinstance(default, int):
            if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
                raise UserError(f"{self.name}: {key} = {text!r}: must be a whole number from 1 to 999999")
            return int(text)
        if key in self.choices and text not in self.choices[key]:
            raise UserError(f"{self.name}: {key} = {text!r}: must be one of {', '.join(self.choices[key])}")
        return text

    @property
    def processes(self) -> int:
        """How many processes run with one worker, under the default server."""
        return self.census.processes

    def processes_at(self, settings: Mapping[str, Setting]) -> int:
        """How many processes run with these settings."""
        census = self.census_under.get(str(settings.get("server")), self.census)
        return census.at(int(settings.get("workers", 1)))

    def slots(self, wait: Wait, settings: Mapping[str, Setting]) -> int | None:
        """Requests that all workers together can hold in flight for one kind of wait; None when unlimited."""
        terms = self.capacity[wait]
        if terms is None:
            return None
        per_worker = min(term if isinstance(term, int) else int(settings[term]) for term in terms)
        return int(settings.get("workers", 1)) * per_worker


@dataclass(frozen=True)
class Variant:
    """A stack with some of its settings changed; `fastapi-sync[threads=100]`."""

    stack: Stack
    changed: Mapping[str, Setting]

    @property
    def label(self) -> str:
        """The name that the command line takes and the tables show."""
        return variant_label(self.stack.name, self.changed)

    @property
    def settings(self) -> dict[str, Setting]:
        """All settings in force."""
        return self.stack.with_settings(self.changed)

    @property
    def equal_work(self) -> bool:
        """Whether a request does the work that its workload states: no setting is changed that means other work."""
        return all(self.settings[key] == self.stack.settings[key] for key in self.stack.other_work)

    def slots(self, wait: Wait) -> int | None:
        """Requests it can hold in flight for one kind of wait; None when unlimited."""
        return self.stack.slots(wait, self.settings)


def variant_label(stack: str, changed: Mapping[str, Setting]) -> str:
    """`stack[key=value,…]`, as the command line takes it."""
    inner = ",".join(
        f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in changed.items()
    )
    return f"{stack}[{inner}]" if inner else stack


def load_stacks(root: Path = ROOT) -> dict[str, Stack]:
    """Every stack of the checkout by name; UserError or CatalogError for the first broken manifest."""
    found = {path.parent.name: read_stack(path) for path in sorted(root.glob("stacks/*/stack.toml"))}
    ports: dict[int, str] = {}
    for stack in found.values():
        if stack.port in ports:
            raise UserError(
                f"stacks/{stack.name}/stack.toml: port = {stack.port}: taken by {ports[stack.port]}; choose another"
            )
        ports[stack.port] = stack.name
    return found


def read_stack(file: Path) -> Stack:
    """The stack that one manifest describes."""
    fields = Fields.open(file)
    settings: dict[str, Setting] = {}
    for key, value in fields.table("settings").items().items():
        if not isinstance(value, int | str | bool) or not re.fullmatch(r"[a-z][a-z0-9_]*", key):
            raise fields.error(
                f"settings.{key}",
                value,
                "a setting is a lower-case name with a number, a word, true or false",
            )
        settings[key] = value
    choices: dict[str, tuple[str, ...]] = {}
    for key, value in fields.table("choices").items().items():
        if key not in settings or not isinstance(value, list) or settings[key] not in value:
            raise fields.error(f"choices.{key}", value, "must list the words of a setting, its default among them")
        choices[key] = tuple(str(word) for word in value)
    identity = fields.table("identity")
    stack = Stack(
        name=file.parent.name,
        directory=file.parent,
        summary=fields.get("summary", str),
        language=fields.get("language", str),
        framework=fields.get("framework", str),
        server=fields.get("server", str),
        concurrency=fields.choice("concurrency", CONCURRENCY),
        port=port(fields),
        settings=settings,
        choices=choices,
        capacity=capacity(fields.table("capacity"), settings),
        variants={},
        packages=tuple(fields.table("packages").get("watch", list)),
        other_work=other_work(fields, settings),
        census=census(identity),
        census_under=census_under(identity.table("server"), choices.get("server", ())),
        loop=identity.any("loop"),
    )
    identity.done()
    variants: dict[str, Mapping[str, Setting]] = {}
    for name, changes in fields.table("variants").items().items():
        if not isinstance(changes, dict):
            raise fields.error(f"variants.{name}", changes, "must be a table of settings")
        try:
            changed = {key: stack.setting(key, str(value)) for key, value in changes.items()}
        except UserError as error:
            raise fields.error(f"variants.{name}", changes, str(error)) from None
        variants[name] = changed
    fields.done()
    return Stack(**{**stack.__dict__, "variants": variants})


def port(fields: Fields) -> int:
    """The stack's port: inside its container and published on 127.0.0.1."""
    value = fields.get("port", int)
    if not 1024 <= value <= 65535:
        raise fields.error("port", value, "must be from 1024 to 65535")
    return value


def other_work(fields: Fields, settings: Mapping[str, Setting]) -> tuple[str, ...]:
    """The settings that are declared to do other work."""
    names = fields.get("other_work", list, [])
    for name in names:
        if name not in settings:
            raise fields.error("other_work", names, f"{name!r} is no setting of this stack; list settings")
    return tuple(names)


def census(identity: Fields) -> Census:
    """The declared processes; those beside one worker stay beside several unless something else is said."""
    processes = identity.get("processes", int)
    return Census(processes, identity.get("beside_workers", int, processes - 1))


def census_under(servers: Fields, choices: Sequence[str]) -> dict[str, Census]:
    """The declared processes under some of the servers that can be chosen."""
    found: dict[str, Census] = {}
    for name in servers.items():
        if name not in choices:
            raise servers.error(name, servers.any(name), "must be one of the words of choices.server")
        table = servers.table(name)
        found[name] = census(table)
        table.done()
    return found


def capacity(table: Fields, settings: Mapping[str, Setting]) -> dict[Wait, tuple[str | int, ...] | None]:
    """The declared capacity per worker and kind of wait: the least of some settings and numbers, or unlimited."""
    result: dict[Wait, tuple[str | int, ...] | None] = {}
    for wait in WAITS:
        value = table.any(wait)
        if value == "unlimited":
            result[wait] = None
            continue
        if not isinstance(value, list) or not value:
            raise table.error(
                wait, value, 'must be "unlimited" or a list of settings and numbers, the least of which binds'
            )
        for term in value:
            if not (isinstance(term, int) or isinstance(settings.get(term), int)):
                raise table.error(wait, value, f"{term!r} is neither a number nor a numeric setting of this stack")
        result[wait] = tuple(value)
    table.done()
    return result


def parse_variant(text: str, stacks: Mapping[str, Stack]) -> Variant:
    """`name`, `name[variant]` or `name[key=value,…]` as a variant; UserError for a name that does not exist."""
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
