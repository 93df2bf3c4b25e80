"""Experiments: one file is one question, with the arms that answer it, what was published, and what is claimed."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Setting, Stack, Variant, parse_variant
from stackmatrix.catalog.toml import Fields
from stackmatrix.catalog.workloads import Workload
from stackmatrix.errors import UserError

Metric = Literal[
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
"""What a published figure or a claim is about; `analysis.experiments` has how each is measured."""
METRICS: Final[tuple[str, ...]] = get_args(Metric)
By = Literal["generator", "tool"]
LEAST_TIMEOUT_S: Final = 2
"""Of a worker; Uvicorn's gives a sign once a second."""
TOOLS: Final = ("ab", "wrk", "h2load", "locust")
PLACE: Final = r"{([^{}]*)}"
"""In the words of a claim: where a figure is filled in."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much shorter than published a run is: waits and time-outs by one factor, windows and ramps by another."""

    waits: float = 1.0
    windows: float = 1.0

    @property
    def full(self) -> bool:
        """Whether it is as published."""
        return self.waits == self.windows == 1.0


FULL: Final = Scale()


@dataclass(frozen=True, slots=True)
class Offer:
    """How the load was offered, as it was published."""

    tool: str
    users: int
    seconds: float
    """How long; with `requests`, the longest that it may take."""
    requests: int | None = None
    """After which the tool ended, for those that count."""
    ramp_s: float = 0.0
    """Over which the users were started."""
    timeout_s: float | None = None
    """After which the tool gave a request up."""

    def scaled(self, scale: Scale) -> "Offer":
        """The same, shortened; the users stay."""
        return Offer(
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
    base: Workload
    """As its own file has it."""
    workload: Workload
    """With the arm's parameters."""
    offer: Offer
    published: Mapping[Metric, float]
    expects_failures: bool
    """It is shown failing: its failures are what is measured, and it has no number."""
    overlaps: bool
    """Whether its capacity can be tested; not where a request costs so much CPU that waits never come together."""

    def variant(self, scale: Scale = FULL) -> Variant:
        """What runs; a worker's time-out keeps its share of the window."""
        changed = dict(self.changed)
        if "worker_timeout" in self.stack.settings and not scale.full:
            seconds = int(Variant(self.stack, changed).settings["worker_timeout"]) * scale.windows
            if self.expects_failures:
                changed["worker_timeout"] = max(LEAST_TIMEOUT_S, math.ceil(seconds))
        return Variant(self.stack, changed)

    def scaled(self, scale: Scale) -> Workload:
        """The workload with its wait shortened."""
        ms = self.workload.params.get("ms")
        if not self.waits or not isinstance(ms, int):
            return self.workload
        return self.workload.with_params({"ms": str(max(1, round(ms * scale.waits)))})

    @property
    def waits(self) -> bool:
        """Whether a request waits for a time that the workload states: only then do rates change with the scale."""
        waiting = self.workload.waiting()
        return waiting is not None and waiting.ms is not None

    def at_published_scale(self, metric: Metric, value: float, scale: Scale) -> float:
        """A figure measured at `scale` as it would be at the published one: waits longer, rates lower.

        Counts of a window change by both factors; what costs CPU, and every share, stays.
        """
        if metric == "requests":
            return value / scale.windows * (scale.waits if self.waits else 1.0)
        if not self.waits:
            return value
        if metric == "goodput":
            return value * scale.waits
        return value / scale.waits if metric in ("mean_ms", "p50_ms") else value


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure of one arm."""

    metric: Metric
    by: By
    arm: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement about measured figures that may turn out true or false, in words for either.

    The value is the metric of `arm`; with `against`, its ratio to that of another arm; with `of` too, the difference
    of the two as a share of the difference between two more. It holds from `least` to `most`. The words have places
    for the figures: `{one}`, `{other}`, `{value}` (the ratio or share), and `{metric:arm}` or `{metric by tool:arm}`.
    """

    metric: Metric
    by: By
    arm: str
    against: str | None
    of: tuple[str, str] | None
    least: float
    most: float
    holds: str
    fails: str


@dataclass(frozen=True)
class Experiment:
    """One question."""

    name: str
    question: str
    source: str
    """What kind of comparison it was."""
    command: str
    """As it was published."""
    scale: Scale
    """Of a run that is not asked to be full."""
    rounds: int
    """Of the project's own generator, in such a run."""
    explain: bool
    """Whether there is an explaining pass, which the claims then rest on too."""
    candidates: tuple[Candidate, ...]
    claims: tuple[Claim, ...]
    file: Path

    def candidate(self, name: str) -> Candidate:
        """One of the arms."""
        return next(one for one in self.candidates if one.name == name)


def experiment_names(root: Path = ROOT) -> list[str]:
    """What `--experiment` takes."""
    return [path.stem for path in sorted(root.glob("experiments/*.toml"))]


def read_experiment(file: Path, stacks: Mapping[str, Stack], workloads: Mapping[str, Workload]) -> Experiment:
    """The experiment that one file describes; CatalogError for the first thing that is wrong with it."""
    fields = Fields.open(file)
    scale, load = fields.table("scale"), fields.table("load").items()
    candidates = [candidate(table, load, stacks, workloads) for table in fields.tables("arms")]
    names = [one.name for one in candidates]
    for name in names:
        if names.count(name) > 1:
            raise fields.error("arms", name, "is the name of two arms; give each its own")
    experiment = Experiment(
        name=file.stem,
        question=fields.get("question", str),
        source=fields.get("source", str),
        command=fields.get("command", str),
        scale=Scale(scale.positive("waits", 1.0), scale.positive("windows", 1.0)),
        rounds=whole(fields, "rounds", 1),
        explain=fields.get("explain", bool, False),
        candidates=tuple(candidates),
        claims=tuple(claim(table, names) for table in fields.tables("claims")),
        file=file,
    )
    for table in (fields, scale):
        table.done()
    return experiment


def candidate(
    fields: Fields, load: Mapping[str, Any], stacks: Mapping[str, Stack], workloads: Mapping[str, Workload]
) -> Candidate:
    """One `[[arms]]`; what it does not say of the load, `[load]` does."""
    text, params = fields.get("stack", str), fields.table("params").items()
    try:
        variant = parse_variant(text, stacks)
    except UserError as error:
        raise fields.error("stack", text, str(error)) from None
    base = workloads[fields.choice("workload", workloads)]
    try:
        workload = base.with_params({key: str(value) for key, value in params.items()})
    except UserError as error:
        raise fields.error("params", dict(params), str(error)) from None
    found = Candidate(
        name=fields.get("name", str),
        stack=variant.stack,
        changed=variant.changed,
        base=base,
        workload=workload,
        offer=offer(fields.table("load").over(load)),
        published=published(fields.table("published")),
        expects_failures=fields.get("expects_failures", bool, False),
        overlaps=fields.get("overlaps", bool, True),
    )
    fields.done()
    return found


def offer(fields: Fields) -> Offer:
    """`[load]`, with what an arm changes of it."""
    requests, ramp, timeout = (fields.any(key) for key in ("requests", "ramp", "timeout"))
    found = Offer(
        tool=fields.choice("tool", TOOLS),
        users=whole(fields, "users"),
        seconds=fields.positive("seconds"),
        requests=None if requests is None else whole(fields, "requests"),
        ramp_s=0.0 if ramp is None else fields.positive("ramp"),
        timeout_s=None if timeout is None else fields.positive("timeout"),
    )
    fields.done()
    return found


def published(fields: Fields) -> dict[Metric, float]:
    """Figures of one arm by metric."""
    return {as_metric(fields, key, key): fields.positive(key) for key in fields.items()}


def claim(fields: Fields, arms: Sequence[str]) -> Claim:
    """One `[[claims]]`."""
    of = fields.get("of", list, [])
    found = Claim(
        metric=as_metric(fields, "metric", fields.get("metric", str)),
        by=cast(By, fields.choice("by", get_args(By), "generator")),
        arm=fields.choice("arm", arms),
        against=fields.choice("against", arms) if fields.any("against") is not None else None,
        of=(str(of[0]), str(of[1])) if len(of) == 2 else None,
        least=limit(fields, "least", -math.inf),
        most=limit(fields, "most", math.inf),
        holds=fields.get("holds", str),
        fails=fields.get("fails", str),
    )
    fields.done()
    if of and (found.of is None or found.against is None or not set(of) <= set(arms)):
        raise fields.error("of", of, "must be two arms whose difference is the whole, beside arm and against")
    if not found.least <= found.most or (math.isinf(found.least) and math.isinf(found.most)):
        raise fields.error("least", found.least, "give least, most or both, in order, so that the claim can fail")
    for key, words in (("holds", found.holds), ("fails", found.fails)):
        for place in re.findall(PLACE, words):
            try:
                figure(place, found, arms)
            except ValueError as error:
                raise fields.error(key, f"{{{place}}}", str(error)) from None
    return found


def figure(place: str, claim: Claim, arms: Sequence[str]) -> Figure | None:
    """The figure that a place in a claim's words stands for, None for `{value}`; ValueError for one that is none."""
    if place == "value":
        return None
    if place == "one" or (place == "other" and claim.against):
        return Figure(claim.metric, claim.by, claim.against or "" if place == "other" else claim.arm)
    named, _, arm = place.partition(":")
    metric, _, by = named.partition(" by ")
    if metric not in METRICS or by not in ("", *get_args(By)) or arm not in arms:
        raise ValueError("must be {one}, {other}, {value}, {metric:arm} or {metric by tool:arm}")
    return Figure(cast(Metric, metric), cast(By, by or "generator"), arm)


def as_metric(fields: Fields, key: str, name: str) -> Metric:
    """One of the metrics."""
    if name not in METRICS:
        raise fields.error(key, name, f"is no metric; known: {', '.join(METRICS)}")
    return cast(Metric, name)


def whole(fields: Fields, key: str, default: int | None = None) -> int:
    """A whole number above 0."""
    value = fields.get(key, int, default)
    if value < 1:
        raise fields.error(key, value, "must be a whole number above 0")
    return value


def limit(fields: Fields, key: str, default: float) -> float:
    """One end of what a claim allows."""
    value = fields.any(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise fields.error(key, value, "must be a number")
    return float(value)
