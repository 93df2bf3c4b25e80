"""Load curves: the rows that the charts of page and picture draw, from the groups of one sweep."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from stackmatrix.formatting import rate
from stackmatrix.report import charts
from stackmatrix.report.view import Group, View

AXES: Final[Mapping[Literal["closed", "open"], str]] = {"closed": "users", "open": "requests offered per second"}
"""What is offered more and more of."""


def sweep_title(groups: Sequence[Group]) -> str:
    """Workload, its parameters, and the kind of load."""
    params = " ".join(f"{key}={value}" for key, value in groups[0].params.items())
    load = groups[0].load
    kind = f"{load.kind} loop by {load.tool}" if load.tool else f"{load.kind} loop"
    return " · ".join(part for part in (groups[0].workload, params, kind) if part)


def load_axis_title(groups: Sequence[Group]) -> str:
    """What the horizontal axis is called."""
    return AXES[groups[0].load.kind]


def swept_loads(groups: Sequence[Group]) -> tuple[float, ...]:
    """Every load of a sweep, in order."""
    return tuple(float(group.load.users or group.load.rate or 0) for group in groups)


def sweep_rows(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """One for each arm that has a number."""
    found: list[dict[str, Any]] = []
    for load, group in zip(swept_loads(groups), groups, strict=True):
        for cell in group.cells:
            arm = cell.arm
            if arm.goodput is not None:
                low, high = arm.goodput.ci95 or (None, None)
                found.append(
                    {
                        "stack": cell.name,
                        "load": load,
                        "goodput": arm.goodput.value,
                        "low": low,
                        "high": high,
                        "p50": arm.latency_ms.p50,
                        "p99": arm.latency_ms.p99,
                        "ceiling": arm.ceiling.goodput if arm.ceiling else None,
                    }
                )
    return found


def peaks(groups: Sequence[Group]) -> str:
    """What the curves show, for who cannot see them: where each stack answers most."""
    best: dict[str, dict[str, Any]] = {}
    for row in sweep_rows(groups):
        if row["stack"] not in best or row["goodput"] > best[row["stack"]]["goodput"]:
            best[row["stack"]] = row
    unit = "users" if groups[0].load.kind == "closed" else "offered per second"
    return "; ".join(f"{stack} most, {rate(row['goodput'])}, at {row['load']:g} {unit}" for stack, row in best.items())


def figure(groups: Sequence[Group]) -> str:
    """Where the picture of a sweep lies in its run, without what its name ends in."""
    return f"figures/curves-{groups[0].slug.removeprefix('workload-')}"


def curve_pictures(view: View) -> dict[str, str | bytes]:
    """The pictures of all sweeps, by their file; none where none was swept."""
    looks = charts.stack_looks(view.stack_names)
    found: dict[str, str | bytes] = {}
    for groups in view.sweeps():
        if drawn := [{**row, **looks[row["stack"]]} for row in sweep_rows(groups)]:
            spec = charts.curves_picture(drawn, load_axis_title(groups), sweep_title(groups))
            found[f"{figure(groups)}.svg"] = charts.svg(spec)
            found[f"{figure(groups)}-dark.svg"] = charts.svg(spec, dark=True)
    return found
