"""Where a request's time goes, by the explaining pass, and what looking cost."""

from collections.abc import Sequence
from typing import Final

from stackmatrix.analysis.explain.phases import PARTS, time_by_part
from stackmatrix.formatting import count, duration, factor, percent, some
from stackmatrix.report.palette import var
from stackmatrix.report.view import View
from stackmatrix.results.explain import InstrumentationCost, Phases

# of each part of a request's time
COLOURS: Final = dict(
    zip(PARTS, map(var, ("series-4", "series-2", "series-5", "series-8", "accent", "muted")), strict=True)
)


def phase_remarks(phases: Phases) -> list[str]:
    found = [f"mean of {phases.requests} requests, {duration(phases.response_s)} each"]
    if phases.lag_s is not None:
        found.append(f"event loop {duration(phases.lag_s)} late")
    if phases.sessions_active is not None and phases.sessions_idle is not None:
        active, idle = (count(round(mean, 1)) for mean in (phases.sessions_active, phases.sessions_idle))
        found.append(f"database sessions: {active} at work, {idle} not")
    return found


def shares_of_time(phases: Phases) -> list[tuple[str, str, str, float]]:
    """List the parts of a request's time: name, duration, share, and the share in per cent for a bar."""
    parts = time_by_part(phases)
    whole = sum(parts.values()) or 1.0
    return [(name, duration(s), percent(s / whole), round(s / whole * 100, 2)) for name, s in parts.items()]


def cost(found: InstrumentationCost) -> str:
    """Write `97 % of the headline's goodput, at 103 % of its CPU per request`."""
    if found.unknown:
        return f"a goodput that tells nothing of its cost: {'; '.join(found.unknown)}"
    rate = "a goodput" if found.goodput is None else f"{percent(found.goodput)} of the headline's goodput"
    return rate if found.cpu is None else f"{rate}, at {percent(found.cpu)} of its CPU per request"


def costs(view: View) -> list[str]:
    explained = [cell.arm.explaining for cell in view.cells if cell.arm.explaining]
    profiled = [cell.arm.profile.cost for cell in view.cells if cell.arm.profile]
    passes = (
        ("The explaining pass timed", "with SERVER_TIMING on", explained),
        ("Flame graphs were drawn of", "with py-spy at 100 Hz", profiled),
    )
    return [
        f"{what} {len(seen)} of {len(view.cells)} arms {how}, in one more trial of each after the rounds; "
        f"{spread(seen)}. Headline trials have none of it."
        for what, how, seen in passes
        if seen
    ]


def spread(seen: Sequence[InstrumentationCost]) -> str:
    kinds = {"goodput": [one.goodput for one in seen], "CPU per request": [one.cpu for one in seen]}
    told: list[str] = []
    for what, values in kinds.items():
        known = sorted(value for value in values if value is not None)
        if known:
            middle = known[len(known) // 2]
            told.append(f"{what} was {factor(middle)} times the headline's ({factor(known[0])} to {factor(known[-1])})")
    disturbed = sum(bool(one.unknown) for one in seen)
    told += [f"of {some(disturbed, 'arm')} it cannot be told, for other programs took part"] if disturbed else []
    return ", ".join(told)
