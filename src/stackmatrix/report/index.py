"""`results/index.html`: every run on disk, and how each arm fared over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from stackmatrix.catalog.stacks import variant_label
from stackmatrix.errors import UserError
from stackmatrix.formatting import MISSING, percent, quantity
from stackmatrix.report import charts
from stackmatrix.report.headline import ENDED_BY
from stackmatrix.report.html.report import moment
from stackmatrix.report.html.site import render
from stackmatrix.report.method import machine
from stackmatrix.report.view import Slugs, floor_of_run, read_run
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.run import ArmResult, Run

Context = dict[str, Any]


@dataclass(frozen=True)
class Listed:
    """One run of the list."""

    name: str
    run: Run
    has_page: bool

    @property
    def machine(self) -> str:
        """Where it was measured: only runs that agree in it are joined by a line."""
        return machine(self.run.environment) or "unknown"


def index_page(base: Path) -> str:
    """The list of the runs below a directory; what cannot be read is said, not hidden."""
    runs, broken = listed_runs(base)
    workloads = trends(runs)
    names = list(dict.fromkeys(variant_label(arm.stack, arm.variant) for item in runs for arm in item.run.arms))
    looks = charts.stack_looks(names)
    return render(
        "index.html",
        ("index.js",),
        {
            "specs": {"trend": charts.trend()},
            "trends": {item["slug"]: item["rows"] for item in workloads},
            "looks": looks,
        },
        title="All runs · Stack Matrix",
        home="#runs",
        runs=[run_line(item) for item in reversed(runs)],
        broken=broken,
        workloads=workloads,
        looks=list(looks.values()),
        machines=len({item.machine for item in runs}),
    )


def listed_runs(base: Path) -> tuple[list[Listed], list[str]]:
    """The runs that can be read, the oldest first, and a line for each directory that cannot."""
    runs: list[Listed] = []
    broken: list[str] = []
    for path in sorted(base.iterdir()):
        if not any((path / name).exists() for name in ("run.json", "plan.json", "trials.jsonl")):
            continue
        try:
            runs.append(Listed(path.name, read_run(RunDirectory(path)), (path / "report.html").exists()))
        except UserError as error:
            broken.append(str(error).removeprefix(f"{base}/"))
    return sorted(runs, key=lambda item: item.run.started), broken


def run_line(item: Listed) -> Context:
    """One row of the list."""
    run = item.run
    valid = sum(arm.goodput is not None for arm in run.arms)
    return {
        "name": run.name,
        "href": f"{item.name}/{'report.html' if item.has_page else 'run.json'}",
        "when": moment(run.started),
        "machine": item.machine,
        "revision": run.environment.get("revision") or MISSING,
        "arms": f"{valid} of {len(run.arms)}",
        "void": valid < len(run.arms),
        "rounds": max((arm.rounds for arm in run.arms), default=0),
        "floor": percent(floor_of_run(run)) if run.aa else MISSING,
        "ended": ENDED_BY.get(run.ended_by, run.ended_by),
    }


def trends(runs: Sequence[Listed]) -> list[Context]:
    """Per workload, its parameters and load: the goodput of every arm over the runs, where two or more have it."""
    slugs = Slugs()
    groups: dict[tuple[str, str, str], list[tuple[Listed, int, ArmResult]]] = {}
    for order, item in enumerate(runs):
        for arm in item.run.arms:
            params = " ".join(f"{key}={value}" for key, value in arm.params.items())
            groups.setdefault((arm.workload, params, arm.load.label), []).append((item, order, arm))
    found: list[Context] = []
    for (workload, params, load), members in groups.items():
        rows = [trend_row(item, order, arm) for item, order, arm in members if arm.goodput is not None]
        if len({row["order"] for row in rows}) < 2:
            continue
        found.append(
            {
                "slug": slugs(f"trend {workload} {params} {load}"),
                "title": workload,
                "about": " · ".join(part for part in (params, load) if part),
                "rows": rows,
                "table": latest(members),
            }
        )
    return found


def trend_row(item: Listed, order: int, arm: ArmResult) -> Context:
    """One point of a trend."""
    assert arm.goodput is not None
    low, high = arm.goodput.ci95 or (None, None)
    return {
        "stack": variant_label(arm.stack, arm.variant),
        "machine": item.machine,
        "when": datetime.fromisoformat(item.run.started).strftime("%-d %b %H:%M"),
        "run": item.run.name,
        "order": order,
        "goodput": arm.goodput.value,
        "low": low,
        "high": high,
    }


def latest(members: Sequence[tuple[Listed, int, ArmResult]]) -> list[Context]:
    """Of each arm its last number, the one before it on the same machine, and the change."""
    by_arm: dict[str, list[tuple[Listed, ArmResult]]] = {}
    for item, _, arm in members:
        if arm.goodput is not None:
            by_arm.setdefault(variant_label(arm.stack, arm.variant), []).append((item, arm))
    found: list[Context] = []
    for name, seen in by_arm.items():
        item, arm = seen[-1]
        assert arm.goodput is not None
        before = [other for where, other in seen[:-1] if where.machine == item.machine and other.goodput is not None]
        earlier = before[-1].goodput if before else None
        found.append(
            {
                "stack": name,
                "runs": len(seen),
                "last": quantity(arm.goodput.value),
                "half": percent(arm.goodput.half_width),
                "before": quantity(earlier.value) if earlier else MISSING,
                "change": change(arm.goodput.value / earlier.value) if earlier else MISSING,
            }
        )
    return found


def change(ratio: float) -> str:
    """A ratio as a change in per cent: `+3.1 %`, `−0.4 %`, `0.0 %`."""
    percent = round((ratio - 1) * 100, 1)
    return f"{percent:+.1f} %".replace("-", "−") if percent else "0.0 %"
