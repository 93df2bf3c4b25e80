"""Experiments: one file is one question, with the arms that answer it, what was published, and what is claimed."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Setting, Stack, Variant, parse_variant
from stackmatrix.catalog.toml import FileTable, MisfitError, Positive, Whole, fields_of, misfitting, parsed, read_typed
from stackmatrix.catalog.workloads import Param, Workload
from stackmatrix.errors import UserError, pick, suggestion

Found = TypeVar("Found")

# what a published figure or a claim is about; `analysis.experiments` has how each is measured
MetricName = Literal[
    "goodput",
    "requests",
    "mean_ms",
    "p50_ms",
    "cpu_us",
    "cpu_share",
    "threads",
    "processes",
    "restarts",
    "failed",
    "failed_share",
    "statements",
    "sessions",
    "new_sessions",
    "calls",
    "kilobytes",
    "reachable",
    "most_connections",
    "of_predicted",
    "gather_ms",
    "encode_ms",
    "outside_ms",
]
By = Literal["generator", "tool"]
LEAST_WORKER_TIMEOUT_S: Final = 2  # uvicorn's worker gives a sign of life once a second
PLACE: Final = r"{([^{}]*)}"  # in the words of a claim: where a figure is filled in


class Scale(FileTable, frozen=True):
    """How much shorter than published a run is: waits and time-outs by one factor, windows and ramps by another."""

    waits: Positive = 1.0
    windows: Positive = 1.0

    @property
    def full(self) -> bool:
        return self.waits == self.windows == 1.0


AS_PUBLISHED: Final = Scale()


class PublishedLoad(FileTable, frozen=True):
    tool: Literal["ab", "wrk", "h2load", "locust"]
    users: Whole
    seconds: Positive  # how long; with `requests`, the longest that it may take
    requests: Whole | None = None  # after which the tool ended, for those that count
    # over which the users were started
    ramp_s: Annotated[float, Meta(ge=0, description="a number from 0")] = msgspec.field(name="ramp", default=0.0)
    timeout_s: Positive | None = msgspec.field(name="timeout", default=None)  # after which the tool gave a request up

    def scaled(self, scale: Scale) -> "PublishedLoad":
        """Shorten it; the users stay."""
        return PublishedLoad(
            tool=self.tool,
            users=self.users,
            seconds=self.seconds * scale.windows,
            requests=None if self.requests is None else max(self.users, round(self.requests * scale.windows)),
            ramp_s=self.ramp_s * scale.windows,
            timeout_s=None if self.timeout_s is None else self.timeout_s * scale.waits,
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One arm of an experiment, as its file writes it: at the published scale."""

    name: str
    stack: Stack
    changed: Mapping[str, Setting]
    base: Workload  # as its own file has it
    workload: Workload  # with the arm's parameters
    offer: PublishedLoad
    published: Mapping[MetricName, float]
    expects_failures: bool  # it is shown failing: its failures are what is measured, and it has no number
    # whether its capacity can be tested; not where a request costs so much CPU that waits never come together
    overlaps: bool

    def variant(self, scale: Scale = AS_PUBLISHED) -> Variant:
        """Say what runs; a worker's time-out keeps its share of the window."""
        changed = dict(self.changed)
        if "worker_timeout" in self.stack.settings and not scale.full:
            seconds = int(Variant(self.stack, changed).settings["worker_timeout"]) * scale.windows
            if self.expects_failures:
                changed["worker_timeout"] = max(LEAST_WORKER_TIMEOUT_S, math.ceil(seconds))
        return Variant(self.stack, changed)

    def scaled(self, scale: Scale) -> Workload:
        ms = self.workload.params.get("ms")
        if not self.waits or not isinstance(ms, int):
            return self.workload
        return self.workload.with_params({"ms": str(max(1, round(ms * scale.waits)))})

    @property
    def waits(self) -> bool:
        """Whether a request waits for a time that the workload states: only then do rates change with the scale."""
        waiting = self.workload.waiting()
        return waiting is not None and waiting.ms is not None

    def at_published_scale(self, metric: MetricName, value: float, scale: Scale) -> float:
        """Convert a figure measured at `scale` to the published one; what costs CPU, and every share, stays."""
        if metric == "requests":
            return value / scale.windows * (scale.waits if self.waits else 1.0)
        if not self.waits:
            return value
        if metric == "goodput":
            return value * scale.waits
        return value / scale.waits if metric in ("mean_ms", "p50_ms") else value


@dataclass(frozen=True, slots=True)
class Figure:
    metric: MetricName
    by: By
    arm: str


class Claim(FileTable, frozen=True):
    """A statement about measured figures that may turn out true or false, in words for either.

    The value is the metric of `arm`; with `against`, its ratio to that of another arm; with `of` too, the difference
    of the two as a share of the difference between two more. It holds from `least` to `most`. The words have places
    for the figures: `{one}`, `{other}`, `{value}` (the ratio or share), and `{metric:arm}` or `{metric by tool:arm}`.
    """

    metric: MetricName
    arm: str
    holds: str
    fails: str
    by: By = "generator"
    against: str | None = None
    of: Annotated[tuple[str, str], Meta(description="two arms")] | None = None
    least: float = -math.inf
    most: float = math.inf

    def __post_init__(self) -> None:
        if self.of is not None and self.against is None:
            raise MisfitError("of", self.of, "needs against, too: their difference is a share of this one")
        if not self.least <= self.most or (math.isinf(self.least) and math.isinf(self.most)):
            raise MisfitError("least", self.least, "give least, most or both, in order, so that the claim can fail")

    def misfit(self, arms: Sequence[str]) -> MisfitError | None:
        for key, name in (("arm", self.arm), ("against", self.against), *(("of", name) for name in self.of or ())):
            if name is not None and name not in arms:
                return MisfitError(key, name, f"is no arm of this experiment; {suggestion(name, arms)}")
        for key, words in (("holds", self.holds), ("fails", self.fails)):
            for place in re.findall(PLACE, words):
                try:
                    self.figure(place, arms)
                except ValueError as error:
                    return MisfitError(key, f"{{{place}}}", str(error))
        return None

    def figure(self, place: str, arms: Sequence[str]) -> Figure | None:
        """Read a place in its words as a figure, None for `{value}`; ValueError when it names none."""
        if place == "value":
            return None
        if place == "one" or (place == "other" and self.against):
            return Figure(self.metric, self.by, self.against or "" if place == "other" else self.arm)
        named, _, arm = place.partition(":")
        metric, _, by = named.partition(" by ")
        metrics: dict[str, MetricName] = {name: name for name in get_args(MetricName)}
        counters: dict[str, By] = {"": "generator", **{name: name for name in get_args(By)}}
        if metric not in metrics or by not in counters or arm not in arms:
            raise ValueError("must be {one}, {other}, {value}, {metric:arm} or {metric by tool:arm}")
        return Figure(metrics[metric], counters[by], arm)


class ArmTable(FileTable, frozen=True):
    """One `[[arms]]`; what it does not say of the load, `[load]` does."""

    name: str
    stack: str
    workload: str
    load: PublishedLoad
    params: Mapping[str, Param] = {}
    published: Mapping[MetricName, Positive] = {}
    expects_failures: bool = False
    overlaps: bool = True


class ExperimentFile(FileTable, frozen=True):
    question: str
    source: str  # what kind of comparison it was
    command: str  # as it was published
    arms: Annotated[tuple[ArmTable, ...], Meta(min_length=1, description="one or more tables [[arms]]")]
    claims: Annotated[tuple[Claim, ...], Meta(min_length=1, description="one or more tables [[claims]]")]
    load: Mapping[str, Any] = {}
    scale: Scale = AS_PUBLISHED  # of a run that is not asked to be full
    rounds: Whole = 1  # of the project's own generator, in such a run
    explain: bool = False  # whether there is an explaining pass, which the claims then rest on too

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        for name in names:
            if names.count(name) > 1:
                raise MisfitError("arms", name, "is the name of two arms; give each its own")
        for number, claim in enumerate(self.claims, 1):
            if misfit := claim.misfit(names):
                raise MisfitError(f"claims[{number}].{misfit.key}", misfit.value, misfit.remedy)


class Experiment(ExperimentFile, frozen=True, kw_only=True):
    name: str
    candidates: tuple[Candidate, ...]
    file: Path

    def candidate(self, name: str) -> Candidate:
        return next(one for one in self.candidates if one.name == name)


def experiment_names(root: Path = ROOT) -> list[str]:
    """List what `--experiment` takes."""
    return [path.stem for path in sorted(root.glob("experiments/*.toml"))]


def read_experiment(file: Path, stacks: Mapping[str, Stack], workloads: Mapping[str, Workload]) -> Experiment:
    """Read the experiment that one file describes; CatalogError for the first mistake in it."""
    table = parsed(file)
    whole, arms = table.get("load", {}), table.get("arms", [])
    if isinstance(whole, dict) and isinstance(arms, list):
        known = [field.encode_name for field in msgspec.structs.fields(PublishedLoad)]
        for key in whole.keys() - known:
            raise misfitting(file, MisfitError(f"load.{key}", whole[key], f"unknown key; {suggestion(key, known)}"))
        for arm in arms:
            if isinstance(arm, dict) and isinstance(changed := arm.get("load", {}), dict):
                arm["load"] = {**whole, **changed}
    told = read_typed(file, ExperimentFile, table)
    candidates = []
    for number, arm in enumerate(told.arms, 1):
        try:
            candidates.append(candidate(arm, stacks, workloads))
        except MisfitError as misfit:
            raise misfitting(file, MisfitError(f"arms[{number}].{misfit.key}", misfit.value, misfit.remedy)) from None
    return Experiment(name=file.stem, candidates=tuple(candidates), file=file, **fields_of(told))


def candidate(arm: ArmTable, stacks: Mapping[str, Stack], workloads: Mapping[str, Workload]) -> Candidate:
    """Find an arm's stack and workload; MisfitError where there is none."""
    variant = tried("stack", arm.stack, lambda: parse_variant(arm.stack, stacks))
    base = tried("workload", arm.workload, lambda: pick("workload", arm.workload, workloads))
    params = {name: str(value) for name, value in arm.params.items()}
    workload = tried("params", dict(arm.params), lambda: base.with_params(params))
    return Candidate(
        name=arm.name,
        stack=variant.stack,
        changed=variant.changed,
        base=base,
        workload=workload,
        offer=arm.load,
        published=arm.published,
        expects_failures=arm.expects_failures,
        overlaps=arm.overlaps,
    )


def tried(key: str, value: object, find: Callable[[], Found]) -> Found:
    """Return what `find` finds; its UserError becomes a misfit of `key`."""
    try:
        return find()
    except UserError as error:
        raise MisfitError(key, value, str(error)) from None
