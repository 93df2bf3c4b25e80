"""What all reports show of one run, gathered once: HTML, Markdown and CSV only write it down."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations

from stackmatrix.analysis import statistics
from stackmatrix.analysis.judge import STACK_CPU, by_round, last_attempts
from stackmatrix.analysis.statistics import middle
from stackmatrix.catalog.stacks import load_stacks
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.errors import UserError
from stackmatrix.report.arms import bound_of
from stackmatrix.report.reduced import Shape, shapes
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.plan import Load
from stackmatrix.results.run import ArmResult, Identity, Run
from stackmatrix.results.slo import Probe
from stackmatrix.results.trial import Trial

Parts = dict[str, float | None]


@dataclass(frozen=True)
class MatrixCell:
    """One arm, with its trials and what is drawn of them."""

    arm: ArmResult
    slug: str
    trials: list[Trial]  # every attempt, in order
    rounds: int  # of the run
    shape: Shape | None
    identity: Identity | None  # what was seen of its stack before the first trial

    @property
    def name(self) -> str:
        """Stack and variant, as the command line takes them."""
        return self.arm.variant_label

    @cached_property
    def standing(self) -> list[Trial]:
        """The last attempt of each round."""
        return last_attempts(self.trials)

    @cached_property
    def goodputs(self) -> list[float | None]:
        """By round; None where no trial stands without a reason against it."""
        return by_round(self.standing, self.rounds)

    @cached_property
    def cpu_us(self) -> list[float | None]:
        """The stack's CPU-µs per request by round."""
        return by_round(self.standing, self.rounds, STACK_CPU)

    @cached_property
    def cpu_parts(self) -> Parts:
        """CPU-µs per request by who spent it: the median over the rounds, as in `run.json`."""
        good = [trial for trial in self.standing if not trial.reasons]
        parts = {"stack": "stack", "database": "postgres", "files": "nginx", "upstream": "delay"}
        split: Parts = {
            part: middle(trial.cpu_us(getattr(trial.server.cpu_s, name)) for trial in good)
            for part, name in parts.items()
        }
        return {**split, "generator": middle(trial.cpu_us(trial.client.cpu_s) for trial in good)}

    @property
    def settings(self) -> Mapping[str, int | str | bool]:
        """What the run knows of its settings: all of them, or only those that its variant changes."""
        found: Mapping[str, int | str | bool] = getattr(self.arm, "settings", None) or self.arm.variant
        return found

    @property
    def bound(self) -> str | None:
        """What binds it: the verdict of the meters, or else the smallest term of its ceiling."""
        return bound_of(self.arm)

    @property
    def command(self) -> str:
        """The command that repeats just this cell."""
        load = self.arm.load
        words = ["./scripts/check-performance.py", "--stack", self.name, "--workload", self.arm.workload]
        for key, value in self.arm.params.items():
            words += ["--param", f"{key}={value}"]
        if load.kind == "closed":
            words += ["--users", str(load.users)]
        else:
            words += ["--rate", f"{load.rate:g}", *(["--arrivals", load.arrivals] if load.arrivals else [])]
        return shlex.join(words)


@dataclass(frozen=True)
class Pair:
    """Two arms of one group: goodput and CPU of the first as multiples of the second's, paired by round."""

    first: MatrixCell
    second: MatrixCell
    goodput: statistics.Estimate | None
    cpu: statistics.Estimate | None
    standing: statistics.Standing
    # further rounds that would lift the ratio clear of the noise floor; None when none would, or unknown
    settles_in: int | None


@dataclass(frozen=True)
class Group:
    """Arms that are compared with one another: one workload with its parameters, under one load."""

    workload: str
    params: Mapping[str, int | str]
    load: Load
    slug: str
    cells: list[MatrixCell]
    floor: float
    summary: str

    @cached_property
    def ranked(self) -> list[MatrixCell]:
        """The valid cells, the best first."""
        valid = [cell for cell in self.cells if cell.arm.valid and cell.arm.goodput is not None]
        return sorted(
            valid, key=lambda cell: (cell.arm.rank or 0, -(cell.arm.goodput.value if cell.arm.goodput else 0))
        )

    @property
    def void(self) -> list[MatrixCell]:
        """The cells without a valid number."""
        return [cell for cell in self.cells if cell not in self.ranked]

    @property
    def ordered(self) -> list[MatrixCell]:
        """Ranked cells, then void ones."""
        return [*self.ranked, *self.void]

    @cached_property
    def decided(self) -> bool:
        """Whether there are intervals to rank by."""
        return any(pair.goodput and pair.goodput.interval for pair in self.pairs)

    @cached_property
    def pairs(self) -> list[Pair]:
        """Every two valid cells."""
        return [paired_cells(first, second, self.floor) for first, second in combinations(self.ranked, 2)]

    def versus(self, first: MatrixCell, second: MatrixCell) -> Pair:
        """Compare these two."""
        return paired_cells(first, second, self.floor)


@dataclass(frozen=True)
class View:
    """One run, ready to be written down."""

    run: Run
    directory: RunDirectory
    groups: list[Group]
    rounds: int
    stacks: Mapping[str, str]  # what each stack of the run is, in a sentence
    # stacks and variants in the order of the run: the columns of the matrix
    stack_names: list[str] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)  # of a search for the rates that keep a service level

    @property
    def cells(self) -> list[MatrixCell]:
        """All of them."""
        return [cell for group in self.groups for cell in group.cells]

    @property
    def floor(self) -> float:
        """The relative difference below which this run tells nothing apart."""
        return floor_of_run(self.run)

    @property
    def honest(self) -> bool:
        """False when two copies of one arm differed: then no difference of this run is to be trusted."""
        return self.run.aa is None or self.run.aa.valid is not False

    @property
    def several_loads(self) -> bool:
        """Whether some workload was offered in more than one way."""
        return len({group.load for group in self.groups}) > 1

    def group_title(self, group: Group) -> str:
        """Name a group, with its load and its parameters where these tell groups apart."""
        alike = [other for other in self.groups if (other.workload, other.load) == (group.workload, group.load)]
        params = " ".join(f"{key}={value}" for key, value in group.params.items()) if len(alike) > 1 else ""
        return " · ".join(
            part for part in (group.workload, params, group.load.label if self.several_loads else "") if part
        )

    def sweeps(self) -> list[list[Group]]:
        """Find workloads with two loads or more that differ in users or rate alone, with their groups in order."""
        found: dict[tuple[object, ...], list[Group]] = {}
        for group in self.groups:
            offered = replace(group.load, users=None, rate=None)
            found.setdefault((group.workload, tuple(group.params.items()), offered), []).append(group)
        swept = (sorted(groups, key=lambda one: one.load.users or one.load.rate or 0) for groups in found.values())
        return [groups for groups in swept if len(groups) > 1]

    def explained(self, pair: Pair) -> list[str]:
        """Return the sentences that say why two arms differ; none where the run has none."""
        asked = {pair.first.arm.id, pair.second.arm.id}
        found = (item for item in getattr(self.run, "comparisons", None) or [] if {item.first, item.second} == asked)
        return next((list(item.explanation) for item in found), [])

    def elsewhere(self, cell: MatrixCell) -> list[MatrixCell]:
        """Find the same stack and workload under other loads or parameters."""
        return [
            other
            for other in self.cells
            if other is not cell and (other.name, other.arm.workload) == (cell.name, cell.arm.workload)
        ]


def view(directory: RunDirectory) -> View:
    """Gather a run from disk; UserError when it was never judged, or is of a newer schema than this program knows."""
    run = read_run(directory)
    by_arm: dict[str, list[Trial]] = {arm.id: [] for arm in run.arms}
    rounds = 0
    for trial in directory.trials():
        rounds = max(rounds, trial.round + 1)
        if trial.arm in by_arm:
            by_arm[trial.arm].append(trial)
    good = {
        arm.id: [trial for trial in last_attempts(by_arm[arm.id]) if not trial.reasons] for arm in run.arms if arm.valid
    }
    drawn = shapes(directory, good)
    slugs = Slugs()
    cells = [
        MatrixCell(
            arm,
            slugs(f"cell-{arm.id}"),
            by_arm[arm.id],
            rounds,
            drawn.get(arm.id),
            run.identities.get(arm.variant_label),
        )
        for arm in run.arms
    ]
    stacks, workloads = summaries()
    floor = floor_of_run(run)
    groups = [
        Group(
            workload=members[0].arm.workload,
            params=members[0].arm.params,
            load=members[0].arm.load,
            slug=slugs(group_name(members[0].arm)),
            cells=members,
            floor=floor,
            summary=workloads.get(members[0].arm.workload, ""),
        )
        for members in grouped(cells)
    ]
    names = list(dict.fromkeys(cell.name for cell in cells))
    used = {arm.stack: stacks[arm.stack] for arm in run.arms if arm.stack in stacks}
    return View(run, directory, groups, rounds, used, names, probes=list(directory.probes()))


def read_run(directory: RunDirectory) -> Run:
    """Read the run's judgement."""
    if not (directory.path / "run.json").exists():
        raise UserError(
            f"{directory.path}: it has no run.json, for it was killed before it was judged; "
            "./scripts/report.py judges what there is"
        )
    run = directory.read("run.json", Run)
    if run.schema > SCHEMA:
        raise UserError(
            f"{directory.path}/run.json: schema {run.schema} is newer than this program's {SCHEMA}: update it"
        )
    return run


def grouped(cells: Sequence[MatrixCell]) -> list[list[MatrixCell]]:
    """Group cells that are compared with one another, in the order of the run."""
    found: dict[tuple[object, ...], list[MatrixCell]] = {}
    for cell in cells:
        found.setdefault(cell.arm.comparison_key, []).append(cell)
    return list(found.values())


def group_name(arm: ArmResult) -> str:
    """Join workload, parameters and load in one word."""
    params = "-".join(f"{key}-{value}" for key, value in arm.params.items())
    return f"workload-{arm.workload}-{params}-{arm.load.label}"


def floor_of_run(run: Run) -> float:
    """Return the noise floor as the A/A arm has it, or the least that any run has."""
    return run.aa.floor if run.aa else statistics.LEAST_FLOOR


def paired_cells(first: MatrixCell, second: MatrixCell, floor: float) -> Pair:
    """Compare two arms round by round."""
    goodput = statistics.ratio(first.goodputs, second.goodputs)
    standing = statistics.standing(goodput, floor)
    settles = statistics.rounds_to_settle(goodput, floor) if goodput else None
    return Pair(first, second, goodput, cpu_ratio(first, second), standing, settles)


def cpu_ratio(first: MatrixCell, second: MatrixCell) -> statistics.Estimate | None:
    """Return the CPU per request of the first as a multiple of the second's."""
    return statistics.ratio(first.cpu_us, second.cpu_us)


def summaries() -> tuple[dict[str, str], dict[str, str]]:
    """Read what the catalogue says of stacks and workloads; nothing when it cannot be read: a run outlives it."""
    try:
        stacks = {name: stack.summary for name, stack in load_stacks().items()}
        workloads = {name: workload.summary for name, workload in load_workloads().items()}
    except UserError:
        return {}, {}
    return stacks, workloads


class Slugs:
    """Makes names that can stand in an address, each only once."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def __call__(self, text: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        slug = next(name for name in candidates(base) if name not in self._used)
        self._used.add(slug)
        return slug


def candidates(base: str) -> Iterable[str]:
    """Yield the name itself, then numbered ones."""
    yield base
    number = 2
    while True:
        yield f"{base}-{number}"
        number += 1
