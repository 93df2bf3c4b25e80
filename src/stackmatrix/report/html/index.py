"""`results/index.html`: every run on disk, and how each arm fared over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stackmatrix.errors import UserError
from stackmatrix.formatting import MISSING, change, percent, quantity
from stackmatrix.report.charts.style import Spec
from stackmatrix.report.charts.trend import trend
from stackmatrix.report.headline import ENDED_BY
from stackmatrix.report.html.page import moment
from stackmatrix.report.html.site import render
from stackmatrix.report.method import machine
from stackmatrix.report.palette import StackLook, stack_looks
from stackmatrix.report.view import Slugs, read_run
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.interval import Interval
from stackmatrix.results.run import ArmResult, Run


@dataclass(frozen=True)
class Listed:
    run: Run
    href: str

    @property
    def valid(self) -> int:
        return sum(arm.goodput is not None for arm in self.run.arms)

    @property
    def machine(self) -> str:
        """Where it was measured: only runs that agree in it are joined by a line."""
        return machine(self.run.environment) or "unknown"


@dataclass(frozen=True, slots=True)
class TrendPoint:
    stack: str
    machine: str
    when: str
    run: str
    order: int
    goodput: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class LatestLine:
    stack: str
    runs: int
    last: str
    half: str
    before: str
    change: str


@dataclass(frozen=True, slots=True)
class Trend:
    slug: str
    title: str
    about: str
    points: list[TrendPoint]
    table: list[LatestLine]


@dataclass(frozen=True, slots=True)
class IndexData:
    specs: Mapping[str, Spec]
    trends: Mapping[str, list[TrendPoint]]
    looks: Mapping[str, StackLook]


def index_html(base: Path) -> str:
    runs, broken = listed_runs(base)
    workloads = trends(runs)
    looks = stack_looks(list(dict.fromkeys(point.stack for workload in workloads for point in workload.points)))
    data = IndexData({"trend": trend()}, {item.slug: item.points for item in workloads}, looks)
    return render(
        "index.html",
        ("index.js",),
        data,
        title="All runs · Stack Matrix",
        home="#runs",
        runs=runs[::-1],
        ended_by=ENDED_BY,
        moment=moment,
        percent=percent,
        broken=broken,
        workloads=workloads,
        looks=looks.values(),
        machines=len({item.machine for item in runs}),
    )


def listed_runs(base: Path) -> tuple[list[Listed], list[str]]:
    """List the runs that can be read, the oldest first, and a line for each directory that cannot."""
    runs: list[Listed] = []
    broken: list[str] = []
    for path in sorted(base.iterdir()):
        if not any((path / name).exists() for name in ("run.json", "plan.json", "trials.jsonl")):
            continue
        try:
            page = "report.html" if (path / "report.html").exists() else "run.json"
            runs.append(Listed(read_run(RunDirectory(path)), f"{path.name}/{page}"))
        except UserError as error:
            broken.append(str(error).removeprefix(f"{base}/"))
    return sorted(runs, key=lambda item: item.run.started), broken


def trends(runs: Sequence[Listed]) -> list[Trend]:
    """Follow every arm over the runs, by workload, parameters and load, where two runs or more have it."""
    slugs = Slugs()
    groups: dict[tuple[str, str, str], list[tuple[Listed, int, ArmResult]]] = {}
    for order, item in enumerate(runs):
        for arm in item.run.arms:
            groups.setdefault((arm.workload, arm.params_text, arm.load.label), []).append((item, order, arm))
    found: list[Trend] = []
    for (workload, params, load), members in groups.items():
        points = [point for item, order, arm in members if (point := trend_point(item, order, arm))]
        if len({point.order for point in points}) > 1:
            slug = slugs(f"trend {workload} {params} {load}")
            about = " · ".join(part for part in (params, load) if part)
            found.append(Trend(slug, workload, about, points, latest(members)))
    return found


def trend_point(item: Listed, order: int, arm: ArmResult) -> TrendPoint | None:
    if arm.goodput is None:
        return None
    ends = arm.goodput.ci95 or (None, None)
    when = datetime.fromisoformat(item.run.started).strftime("%-d %b %H:%M")
    return TrendPoint(arm.variant_label, item.machine, when, item.run.name, order, arm.goodput.value, *ends)


def latest(members: Sequence[tuple[Listed, int, ArmResult]]) -> list[LatestLine]:
    """Hold each arm's last number against the one before it on the same machine."""
    by_arm: dict[str, list[tuple[str, Interval]]] = {}
    for item, _, arm in members:
        if arm.goodput is not None:
            by_arm.setdefault(arm.variant_label, []).append((item.machine, arm.goodput))
    found: list[LatestLine] = []
    for name, seen in by_arm.items():
        machine, last = seen[-1]
        before = next((goodput.value for where, goodput in reversed(seen[:-1]) if where == machine), None)
        moved = change(last.value / before) if before else MISSING
        found.append(
            LatestLine(name, len(seen), quantity(last.value), percent(last.half_width), quantity(before), moved)
        )
    return found
