"""`plan.json`: what a run is to do, fixed before its first trial, so that it can go on later."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Variant, variant_label
from stackmatrix.catalog.workloads import Workload
from stackmatrix.errors import UserError
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.experiment import PlannedExperiment


@dataclass(frozen=True, slots=True)
class LoadStep:
    """So many seconds after the load began, another rate of arrivals."""

    after_s: float
    rate: float


@dataclass(frozen=True, slots=True)
class Load:
    """How requests are offered: N users without think time, or arrivals per second."""

    kind: Literal["closed", "open"]
    users: int | None = None  # closed loop: each sends its next request when the last is answered and thought about
    think_s: float = 0.0
    rate: float | None = None  # open loop: arrivals per second
    arrivals: Literal["poisson", "constant"] | None = None
    ramp_s: float | None = None  # over which the users are started; None for as long as one request waits
    requests: int | None = None  # after which a tool ends, for those that count instead of watching the clock
    tool: str | None = None  # which well-known tool offers it; None for the project's own generator
    timeout_s: float | None = None  # after which a request has failed; None for longer than the trial
    # changes of an open load's rate, without a gap; its warm-up then takes exactly its time
    steps: tuple[LoadStep, ...] = ()

    @property
    def label(self) -> str:
        users = f"{self.users} user{'' if self.users == 1 else 's'}"
        offered = users if self.kind == "closed" else f"{self.rate:g}/s {self.arrivals or 'poisson'}"
        return f"{offered} by {self.tool}" if self.tool else offered


ComparisonKey = tuple[str, tuple[tuple[str, int | str], ...], Load]  # workload, parameters and load of an arm


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one trial warms up and measures, in seconds."""

    warmup_s: float
    window_s: float
    fitted: bool = True  # both are lengthened for slow answers; False for a window as somebody published it


@dataclass(frozen=True, slots=True)
class ArmSetup:
    """What an arm is: a stack variant under one workload and load."""

    id: str  # stack variant, workload with the parameters that differ from its file, and load
    stack: str
    variant: dict[str, int | str | bool]  # the settings that differ from the stack's defaults
    workload: str
    params: dict[str, int | str]  # all parameters of the workload
    load: Load

    @property
    def variant_label(self) -> str:
        """Stack and settings, as the command line takes them."""
        return variant_label(self.stack, self.variant)

    @property
    def params_text(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.params.items())

    @property
    def comparison_key(self) -> ComparisonKey:
        """What arms have in common that are compared with one another."""
        return self.workload, tuple(sorted(self.params.items())), self.load

    @property
    def comparison_label(self) -> str:
        return self.id.removeprefix(f"{self.variant_label}/")


@dataclass(frozen=True, slots=True)
class Arm(ArmSetup):
    """An arm as a plan has it: what gets a number."""

    twin_of: str | None = None  # the arm that this one repeats, for an A/A arm
    timing: Timing | None = None  # of this arm alone; None for the plan's
    rounds: int | None = None  # in how many rounds it takes part, the first ones; None for all
    expects_failures: bool = False  # it is shown failing: what fails is counted, and nothing of it is repeated
    overlaps: bool = True  # whether its variant is held to the capacity that it declares, before it is timed

    @property
    def file_name(self) -> str:
        return re.sub(r"[^a-z0-9.=-]+", "_", self.id.lower())

    @property
    def repeats(self) -> bool:
        """Tell whether its round is repeated when there is a reason against its trial."""
        return not (self.expects_failures or self.load.tool)


PLAN_FILE = "plan.json"
NOT_DIGESTED = ("__pycache__", ".venv", ".ruff_cache", ".mypy_cache")


@dataclass(frozen=True)
class Plan:
    """`plan.json`: the arms, how long each is timed, and a digest of everything that a number depends on."""

    schema: int
    name: str
    command: str
    runtime: str
    seed: int
    warmup_s: float
    window_s: float
    rounds: int | None
    budget_s: float | None
    arms: list[Arm]
    inputs: dict[str, str]
    shards: int = 1  # processes of the generator, each on a core of its own
    # whether each trial has a server that was just started, so that a process's luck is part of the noise
    fresh: bool = False
    # whether there is an explaining pass after the rounds; None for as far as a fifth of the budget goes
    explain: bool | None = None
    profile: bool = False  # whether a flame graph of each arm is drawn after the rounds
    sustained: bool = False  # whether the busiest arm of each variant has one long window after the rounds
    experiment: PlannedExperiment | None = None
    slo: str | None = None  # a service level: then each arm's largest rate that keeps it is searched for

    def timing(self, arm: Arm) -> Timing:
        return arm.timing or Timing(self.warmup_s, self.window_s)


@dataclass(frozen=True)
class Cell:
    """An arm with what its names stand for."""

    arm: Arm
    variant: Variant
    workload: Workload


def arms_of(
    variants: Sequence[Variant],
    workloads: Sequence[Workload],
    params: Mapping[str, str],
    loads: Sequence[Load],
    twice: bool = True,
) -> list[Arm]:
    """Combine variants, workloads and loads; `twice` repeats the first arm. UserError for an unknown parameter."""
    known = {key for workload in workloads for key in workload.params}
    for key in params.keys() - known:
        raise UserError(f"--param {key}: none of the workloads has it; they have {', '.join(sorted(known)) or 'none'}")
    arms: list[Arm] = []
    for workload in workloads:
        try:
            changed = workload.with_params({key: value for key, value in params.items() if key in workload.params})
        except UserError as error:
            raise UserError(f"--param {error}") from None
        inner = ",".join(f"{key}={value}" for key, value in changed.params.items() if workload.params[key] != value)
        name = f"{workload.name}[{inner}]" if inner else workload.name
        own = [load if load.users or load.rate else replace(load, users=workload.users) for load in loads]
        arms += [
            Arm(
                id=f"{variant.label}/{name}/{load.label}",
                stack=variant.stack.name,
                variant=dict(variant.changed),
                workload=workload.name,
                params=dict(changed.params),
                load=load,
            )
            for load, variant in product(own, variants)
        ]
    return [*arms, twin_of(arms[0])] if twice else arms


def twin_of(arm: Arm) -> Arm:
    """Repeat an arm under another name, to measure the noise."""
    return replace(arm, id=f"{arm.id} again", twin_of=arm.id)


def cells_of(plan: Plan, catalog: Catalog) -> list[Cell]:
    """Look up the stacks and workloads of the plan's arms; UserError for one that is gone."""
    cells: list[Cell] = []
    for arm in plan.arms:
        if arm.stack not in catalog.stacks or arm.workload not in catalog.workloads:
            raise UserError(f"{arm.id}: its stack or workload is no longer in this checkout")
        params = {key: str(value) for key, value in arm.params.items()}
        workload = catalog.workloads[arm.workload].with_params(params)
        cells.append(Cell(arm, Variant(catalog.stacks[arm.stack], arm.variant), workload))
    return cells


def resume(directory: RunDirectory) -> Plan:
    """Read the plan of a run that is to go on; UserError when anything that its numbers depend on has changed since."""
    plan = directory.read(PLAN_FILE, Plan)
    if plan.schema != SCHEMA:
        raise UserError(f"{directory.path}: schema {plan.schema} is not this harness's {SCHEMA}; start a new run")
    now = digests(plan.arms, plan.experiment)
    changed = sorted(name for name in plan.inputs.keys() | now.keys() if plan.inputs.get(name) != now.get(name))
    if changed:
        raise UserError(
            f"{directory.path}: cannot go on: {', '.join(changed)} changed since it began; start a new run, "
            "or put them back"
        )
    return plan


def digests(arms: Sequence[Arm], experiment: PlannedExperiment | None = None, root: Path = ROOT) -> dict[str, str]:
    """Digest each thing that the arms' numbers depend on, by its path in the checkout."""
    names = {f"stacks/{arm.stack}" for arm in arms} | {f"workloads/{arm.workload}.toml" for arm in arms}
    names |= {f"experiments/{experiment.name}.toml"} if experiment else set()
    names |= {"upstream/postgres", "upstream/nginx", "upstream/delay", "fixtures", "src", "docker-compose.yml"}
    return {name: digest(root / name) for name in sorted(names)}


def digest(path: Path) -> str:
    """Hash (SHA-256) the names and contents of a file or of all files below a directory."""
    total = hashlib.sha256()
    for file in files(path):
        total.update(str(file.relative_to(path.parent)).encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def files(path: Path) -> Iterator[Path]:
    """List the files that count, in order."""
    if path.is_file():
        yield path
    elif path.is_dir() and path.name not in NOT_DIGESTED:
        for child in sorted(path.iterdir()):
            yield from files(child)
