"""Turns cells into what the page shows of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stackmatrix.analysis.explain.phrases import POOLS
from stackmatrix.analysis.statistics import middle, most
from stackmatrix.formatting import MISSING, count, milliseconds, percent, quantity
from stackmatrix.report.arms import BOUND_MEANINGS, bound_of, place_of, share_of_ceiling, void_kinds
from stackmatrix.report.metrics import METRICS
from stackmatrix.report.palette import StackLook, step
from stackmatrix.report.slo import by_arm
from stackmatrix.report.view import Group, MatrixCell, View
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import ArmResult, Identity
from stackmatrix.results.trial import LedgerLine, Trial

Stretch = tuple[float, float]  # left edge and width, in per cent of a scale
Triple = tuple[str, str, str]

TRIAL_COLUMNS: Final = (
    ("round", "n"),
    ("attempt", "n"),
    ("goodput/s", "n"),
    ("p50 ms", "n"),
    ("p99 ms", "n"),
    ("failed", "n"),
    ("CPU µs", "n"),
    ("generator", "n"),
    ("others", "n"),
    ("stolen", "n"),
    ("connections", "n"),
    ("reasons", ""),
)

# the kernel's counters
MISHAPS: Final = {
    "listen_overflows": "Accept queue overflows",
    "listen_drops": "Connections dropped",
    "syn_retransmits": "SYNs sent again",
    "retransmits": "Segments sent again",
    "resets": "Connections reset",
}
PER_ANSWER: Final = {
    "delayed_acks": "Delayed ACKs",
    "voluntary_switches": "Switches, voluntary",
    "involuntary_switches": "Switches, involuntary",
    "reads": "Reads",
    "writes": "Writes",
}


@dataclass(frozen=True, slots=True)
class BoundView:
    key: str
    name: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Gauge:
    """Measured, predicted and ceiling on one scale, in per cent of its width."""

    width: float
    ci: Stretch | None
    tick: float
    predicted: str
    predicted_band: str
    predicted_ms: str
    band: Stretch | None


@dataclass(frozen=True, slots=True)
class LedgerView:
    what: str
    implied: str
    counted: str
    words: str
    style: str


@dataclass(frozen=True, slots=True)
class CellBrief:
    slug: str
    name: str
    group: str
    load: str
    colour: str
    valid: bool
    kinds: str
    goodput: str
    half: str
    width: float
    ci: Stretch | None
    place: str
    first: bool
    step: int
    share: str
    bound: BoundView | None
    show: Mapping[str, str]  # every metric by its key, as tables write it


@dataclass(frozen=True, slots=True)
class CellDetail:
    level: str
    both_loops: bool
    doubt: str
    utilisation: list[tuple[str, str, float]]
    tiles: list[Triple]
    gauge: Gauge | None
    requests: str
    beyond: str
    log: bool
    cpu: list[tuple[str, str]]
    ledger: list[LedgerView]
    identity: list[tuple[str, str]]
    elsewhere: list[CellBrief]
    trials: list[list[str]]
    rival: CellBrief | None  # the arm that a reader would compare it with: the best other one


class Cells:
    """Turns cells into what the templates read; a field that one names and these lack is an error."""

    def __init__(self, view: View, looks: Mapping[str, StackLook]) -> None:
        self._view = view
        self._looks = looks
        self._groups = {cell.slug: group for group in view.groups for cell in group.cells}
        self._levels = by_arm(view.run.levels)

    def row(self, group: Group) -> list[CellBrief | None]:
        """Return a group's cells by the columns of the matrix; None where a stack has none in it."""
        by_name = {cell.name: cell for cell in group.cells}
        return [self.brief(by_name[name]) if name in by_name else None for name in self._view.stack_names]

    def voids(self) -> list[tuple[Reason, list[CellBrief]]]:
        found: dict[tuple[Reason, str | None], list[CellBrief]] = {}
        for cell in self._view.cells:
            for reason in dict.fromkeys(cell.arm.reasons if cell.arm.goodput is None else []):
                found.setdefault((reason, reason.log), []).append(self.brief(cell))
        return [(reason, members) for (reason, _), members in found.items()]

    def brief(self, cell: MatrixCell) -> CellBrief:
        arm, group = cell.arm, self._groups[cell.slug]
        top = max((high(other) for other in group.ranked), default=1.0)
        return CellBrief(
            slug=cell.slug,
            name=cell.name,
            group=self._view.group_title(group),
            load=arm.load.label,
            colour=self._looks[cell.name].colour,
            valid=arm.goodput is not None,
            kinds=void_kinds(arm),
            goodput=quantity(arm.goodput.value) if arm.goodput else "",
            half=percent(arm.goodput.half_width) if arm.goodput and arm.goodput.ci95 else "",
            width=round(arm.goodput.value / top * 100, 2) if arm.goodput else 0,
            ci=span(arm.goodput.ci95, top) if arm.goodput else None,
            place=place_of(arm, [other.arm for other in group.ranked]),
            first=arm.rank == 1 and group.decided,
            step=step(arm.ceiling.share) if arm.ceiling else 0,
            share="" if (share := share_of_ceiling(arm)) is None else percent(share),
            bound=bound_view(arm) if arm.goodput else None,
            show={metric.key: metric.show(arm) for metric in METRICS},
        )

    def detail(self, cell: MatrixCell) -> CellDetail:
        arm, group, shape = cell.arm, self._groups[cell.slug], cell.shape
        histogram = shape.histogram if shape else None
        fullest_first = sorted(arm.utilisation.items(), key=lambda item: -item[1])
        elsewhere = self._view.elsewhere(cell)
        level = self._levels.get(arm.id)
        rival = next((other for other in group.ranked if other is not cell), None) if cell in group.ranked else None
        return CellDetail(
            level=level.words if level else "",
            both_loops=len({other.arm.load.kind for other in (cell, *elsewhere)}) > 1,
            doubt=arm.doubt.words if arm.doubt and arm.doubt.words not in " ".join(arm.explanation) else "",
            utilisation=[(name, percent(share), round(min(share, 1) * 100, 1)) for name, share in fullest_first],
            tiles=tiles(cell),
            gauge=gauge(cell),
            requests=count(shape.requests) if shape else "",
            beyond=count(histogram.beyond) if histogram and histogram.beyond else "",
            log=histogram is not None and histogram.log,
            cpu=[(part, quantity(us)) for part, us in cell.cpu_parts.items()],
            ledger=[ledger_line(entry) for entry in arm.ledger],
            identity=identity_lines(cell.identity) if cell.identity else [],
            elsewhere=[self.brief(other) for other in sorted([cell, *elsewhere], key=load_key)] if elsewhere else [],
            trials=[trial_row(trial, arm.valid) for trial in cell.trials],
            rival=self.brief(rival) if rival else None,
        )


def tiles(cell: MatrixCell) -> list[Triple]:
    arm = cell.arm
    if arm.goodput is None:
        return []
    good = [trial for trial in cell.standing if not trial.reasons]
    low, high = arm.goodput.ci95 or (None, None)
    interval = (f"{quantity(low)} – {quantity(high)}", "") if arm.goodput.ci95 else (MISSING, "needs 6 rounds")
    shown = [
        (metric.name, metric.show(arm), metric.unit)
        for metric in METRICS
        if metric.key not in ("goodput", "ceiling", "share") and metric.value(arm) is not None
    ]
    return [
        ("Goodput", quantity(arm.goodput.value), "requests/s"),
        ("95 % interval", *interval),
        *shown,
        ("Processes", count(most(trial.server.processes for trial in good)), ""),
        ("Connections", count(most(trial.client.connections for trial in good)), "opened in a trial"),
        ("Reconnects", count(sum(trial.client.reconnects for trial in good)), "in all rounds"),
        ("Rounds", str(arm.rounds), f"{arm.repeated} repeated" if arm.repeated else ""),
        *kernel_tiles(good),
    ]


def kernel_tiles(good: Sequence[Trial]) -> Iterator[Triple]:
    """Show the kernel's counters that are not zero: mishaps of all rounds, the rest per answer."""
    for name, title in MISHAPS.items():
        if total := sum(getattr(trial.server.kernel, name) or 0 for trial in good):
            yield title, count(total), "in all rounds"
    for name, title in PER_ANSWER.items():
        if each := middle(trial.per_answer(getattr(trial.server.kernel, name)) for trial in good):
            yield title, quantity(each), "an answer"


def gauge(cell: MatrixCell) -> Gauge | None:
    arm = cell.arm
    if arm.goodput is None or arm.ceiling is None:
        return None
    model = arm.predicted
    top = 1.04 * max(arm.ceiling.goodput, high(cell), *(model.band if model else ()))
    return Gauge(
        width=round(arm.goodput.value / top * 100, 2),
        ci=span(arm.goodput.ci95, top),
        tick=round(arm.ceiling.goodput / top * 100, 2),
        predicted=f"{quantity(model.goodput)}/s" if model else "",
        predicted_band=f"{quantity(model.band[0])}–{quantity(model.band[1])}" if model else "",
        predicted_ms=f"{milliseconds(model.response_ms)} ms" if model and model.response_ms is not None else "",
        band=span(model.band, top) if model else None,
    )


def identity_lines(seen: Identity) -> list[tuple[str, str]]:
    lines = [
        ("processes", count(seen.processes)),
        ("threads at rest", count(seen.threads)),
        ("event loop", seen.loop or MISSING),
        ("server", seen.server or MISSING),
        ("keep-alive", "holds" if seen.keep_alive else "does not hold"),
        ("database sessions at rest", count(seen.db_sessions)),
    ]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(seen.versions.items()))
    return [*lines, ("versions", versions or MISSING)]


def trial_row(trial: Trial, valid: bool) -> list[str]:
    counts = valid and not trial.reasons
    blank = "" if counts else MISSING
    return [
        str(trial.round + 1),
        str(trial.attempt + 1),
        blank or quantity(trial.client.goodput),
        blank or milliseconds(trial.client.latency_ms.p50),
        blank or milliseconds(trial.client.latency_ms.p99),
        str(trial.client.errors.total),
        blank or quantity(trial.stack_cpu_us),
        percent(trial.client.generator_share),
        percent(trial.server.foreign_share),
        percent(trial.server.steal_share),
        str(trial.client.connections),
        "; ".join(f"{reason.kind}: {reason.detail}" for reason in trial.reasons),
    ]


def ledger_line(entry: LedgerLine) -> LedgerView:
    words = {True: "balanced", False: "does not balance", None: "could not be asked"}[entry.balanced]
    allowed = entry.balanced and entry.counted != entry.implied and not entry.at_least
    slack = f", within {count(entry.slack)} allowed" if allowed else ""
    style = {True: "balanced", False: "unbalanced", None: "muted"}[entry.balanced]
    implied = f"≥ {count(entry.implied)}" if entry.at_least else count(entry.implied)
    return LedgerView(entry.what, implied, count(entry.counted), words + slack, style)


def high(cell: MatrixCell) -> float:
    goodput = cell.arm.goodput
    return (goodput.ci95[1] if goodput.ci95 else goodput.value) if goodput else 0.0


def span(ends: Sequence[float] | None, top: float) -> Stretch | None:
    return (round(ends[0] / top * 100, 2), round((ends[1] - ends[0]) / top * 100, 2)) if ends else None


def bound_view(arm: ArmResult) -> BoundView | None:
    bound = bound_of(arm)
    if bound is None:
        return None
    pool = arm.pool if bound == "slots" else None
    key = bound if bound in BOUND_MEANINGS else "warning"
    taken = f"its {POOLS.get(pool, pool)}{'' if pool == 'loop' else 's'}" if pool else ""
    return BoundView(key, bound, taken or BOUND_MEANINGS.get(bound, bound))


def load_key(cell: MatrixCell) -> tuple[str, float]:
    load = cell.arm.load
    return load.kind, float(load.users or load.rate or 0)
