"""Load curves: the rows that the charts of page and picture draw, from the groups of one sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from stackmatrix.formatting import rate
from stackmatrix.report.view import Group


@dataclass(frozen=True, slots=True)
class SweepPoint:
    stack: str
    load: float
    goodput: float
    low: float | None
    high: float | None
    p50: float | None
    p99: float | None
    ceiling: float | None


# what is offered more and more of
AXES: Final[Mapping[Literal["closed", "open"], str]] = {"closed": "users", "open": "requests offered per second"}


def sweep_title(groups: Sequence[Group]) -> str:
    load = groups[0].load
    kind = f"{load.kind} loop by {load.tool}" if load.tool else f"{load.kind} loop"
    return " · ".join(part for part in (groups[0].workload, groups[0].params_text, kind) if part)


def load_axis_title(groups: Sequence[Group]) -> str:
    return AXES[groups[0].load.kind]


def swept_loads(groups: Sequence[Group]) -> tuple[float, ...]:
    return tuple(float(group.load.users or group.load.rate or 0) for group in groups)


def sweep_points(groups: Sequence[Group]) -> list[SweepPoint]:
    found: list[SweepPoint] = []
    for load, group in zip(swept_loads(groups), groups, strict=True):
        for cell in group.cells:
            arm, latency = cell.arm, cell.arm.latency_ms
            if arm.goodput is not None:
                low, high = arm.goodput.ci95 or (None, None)
                ceiling = arm.ceiling.goodput if arm.ceiling else None
                found.append(
                    SweepPoint(cell.name, load, arm.goodput.value, low, high, latency.p50, latency.p99, ceiling)
                )
    return found


def peaks(groups: Sequence[Group]) -> str:
    """Say what the curves show, for who cannot see them: where each stack answers most."""
    best: dict[str, SweepPoint] = {}
    for point in sweep_points(groups):
        if point.stack not in best or point.goodput > best[point.stack].goodput:
            best[point.stack] = point
    unit = "users" if groups[0].load.kind == "closed" else "offered per second"
    return "; ".join(f"{stack} most, {rate(one.goodput)}, at {one.load:g} {unit}" for stack, one in best.items())


def figure(groups: Sequence[Group]) -> str:
    """Say where a sweep's picture lies in its run, without its ending."""
    return f"figures/curves-{groups[0].slug.removeprefix('workload-')}"
