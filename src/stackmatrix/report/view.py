"""What all reports show of one run, gathered once: HTML, Markdown and CSV only write it down."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, combinations, count

from stackmatrix.analysis import statistics
from stackmatrix.analysis.judge import STACK_CPU, by_round, last_attempts, per_arm
from stackmatrix.analysis.statistics import middle
from stackmatrix.catalog.stacks import load_stacks
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.errors import UserError
from stackmatrix.report import slo
from stackmatrix.report.reduced import Shape, shapes
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.plan import ComparisonKey, Load
from stackmatrix.results.run import ArmResult, Identity, Run
from stackmatrix.results.slo import Probe, ServiceLevel
from stackmatrix.results.trial import Trial

Parts = dict[str, float | None]


@dataclass(frozen=True)
class MatrixCell:
    arm: ArmResult
    slug: str
    trials: list[Trial]  # every attempt, in order
    rounds: int  # of the run
    shape: Shape | None
    identity: Identity | None  # what was seen of its stack before the first trial

    @property
    def name(self) -> str:
        return self.arm.variant_label

    @cached_property
    def standing(self) -> list[Trial]:
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
        return self.arm.settings or self.arm.variant

    @property
    def command(self) -> str:
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

    @property
    def params_text(self) -> str:
        return self.cells[0].arm.params_text

    @cached_property
    def ranked(self) -> list[MatrixCell]:
        valid = [cell for cell in self.cells if cell.arm.valid and cell.arm.goodput is not None]
        return sorted(
            valid, key=lambda cell: (cell.arm.rank or 0, -(cell.arm.goodput.value if cell.arm.goodput else 0))
        )

    @property
    def void(self) -> list[MatrixCell]:
        return [cell for cell in self.cells if cell not in self.ranked]

    @property
    def ordered(self) -> list[MatrixCell]:
        return [*self.ranked, *self.void]

    @cached_property
    def decided(self) -> bool:
        return any(pair.goodput and pair.goodput.interval for pair in self.pairs)

    @cached_property
    def pairs(self) -> list[Pair]:
        return [self.versus(first, second) for first, second in combinations(self.ranked, 2)]

    def versus(self, first: MatrixCell, second: MatrixCell) -> Pair:
        goodput = statistics.ratio(first.goodputs, second.goodputs)
        standing = statistics.standing(goodput, self.floor)
        settles = statistics.rounds_to_settle(goodput, self.floor) if goodput else None
        return Pair(first, second, goodput, statistics.ratio(first.cpu_us, second.cpu_us), standing, settles)


@dataclass(frozen=True)
class View:
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
        return len({group.load for group in self.groups}) > 1

    @property
    def comparable(self) -> bool:
        return any(len(group.ranked) > 1 for group in self.groups)

    def group_title(self, group: Group) -> str:
        alike = [other for other in self.groups if (other.workload, other.load) == (group.workload, group.load)]
        params = group.params_text if len(alike) > 1 else ""
        return " · ".join(filter(None, (group.workload, params, group.load.label if self.several_loads else "")))

    def sweeps(self) -> list[list[Group]]:
        """Find workloads with two loads or more that differ in users or rate alone, with their groups in order."""
        found: dict[tuple[object, ...], list[Group]] = {}
        for group in self.groups:
            offered = replace(group.load, users=None, rate=None)
            found.setdefault((group.workload, tuple(group.params.items()), offered), []).append(group)
        swept = (sorted(groups, key=lambda one: one.load.users or one.load.rate or 0) for groups in found.values())
        return [groups for groups in swept if len(groups) > 1]

    def levels(self) -> list[tuple[Group, list[tuple[MatrixCell, ServiceLevel]]]]:
        """Pair the cells of each group with their service levels, the best first; groups without any are left out."""
        found = slo.by_arm(self.run.levels)
        paired: list[tuple[Group, list[tuple[MatrixCell, ServiceLevel]]]] = []
        for group in self.groups:
            cells = {cell.arm.id: cell for cell in group.cells}
            levels = slo.ordered([found[arm] for arm in cells if arm in found])
            paired += [(group, [(cells[level.arm], level) for level in levels])] if levels else []
        return paired

    def explained(self, pair: Pair) -> list[str]:
        """Return the sentences that say why two arms differ; none where the run has none."""
        asked = {pair.first.arm.id, pair.second.arm.id}
        return next((item.explanation for item in self.run.comparisons if {item.first, item.second} == asked), [])

    def elsewhere(self, cell: MatrixCell) -> list[MatrixCell]:
        same = (cell.name, cell.arm.workload)
        return [other for other in self.cells if other is not cell and (other.name, other.arm.workload) == same]


def view(directory: RunDirectory) -> View:
    """Gather a run from disk; UserError when it was never judged, or is of a newer schema than this program knows."""
    run = read_run(directory)
    trials = list(directory.trials())
    rounds = 1 + max((trial.round for trial in trials), default=-1)
    by_arm = per_arm([arm.id for arm in run.arms], trials)
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
    compared: dict[ComparisonKey, list[MatrixCell]] = {}
    for cell in cells:
        compared.setdefault(cell.arm.comparison_key, []).append(cell)
    groups: list[Group] = []
    for members in compared.values():
        workload, params, load = members[0].arm.workload, members[0].arm.params, members[0].arm.load
        words = "-".join(f"{key}-{value}" for key, value in params.items())
        slug = slugs(f"workload-{workload}-{words}-{load.label}")
        groups.append(Group(workload, params, load, slug, members, floor_of_run(run), workloads.get(workload, "")))
    names = list(dict.fromkeys(cell.name for cell in cells))
    used = {arm.stack: stacks[arm.stack] for arm in run.arms if arm.stack in stacks}
    return View(run, directory, groups, rounds, used, names, probes=list(directory.probes()))


def read_run(directory: RunDirectory) -> Run:
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


def floor_of_run(run: Run) -> float:
    """Return the noise floor as the A/A arm has it, or the least that any run has."""
    return run.aa.floor if run.aa else statistics.LEAST_FLOOR


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
        numbered = (f"{base}-{number}" for number in count(2))
        slug = next(name for name in chain([base], numbered) if name not in self._used)
        self._used.add(slug)
        return slug
