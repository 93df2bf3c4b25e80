"""The page of one run: what its template shows, and the data that its charts draw."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from stackmatrix.analysis.explain import phases, phrases
from stackmatrix.analysis.statistics import most
from stackmatrix.formatting import MISSING, count, duration, milliseconds, percent, quantity
from stackmatrix.report import charts, curves, experiment, headline, method, slo
from stackmatrix.report import phases as times
from stackmatrix.report.arms import BOUND_MEANINGS, place_of, void_kinds
from stackmatrix.report.html.site import render
from stackmatrix.report.metrics import METRICS
from stackmatrix.report.palette import STEPS, step
from stackmatrix.report.view import Group, MatrixCell, Pair, View
from stackmatrix.results.experiment import ExperimentResult
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import ArmResult, Identity
from stackmatrix.results.trial import LedgerLine, Trial

Context = dict[str, Any]

MATRIX_METRICS: Final = (("goodput", "Goodput"), ("p99", "p99"), ("cpu", "CPU"), ("memory", "Memory"))
COMPARED: Final = tuple(metric for metric in METRICS if metric.key not in ("cpu_us_generator", "max_ms"))
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


def run_page(view: View) -> str:
    """The whole file."""
    looks = charts.stack_looks(view.stack_names)
    shown = Shown(view, looks)
    sweeps = [shown.sweep(index, groups) for index, groups in enumerate(view.sweeps())]
    return render(
        "report.html",
        ("report.js",),
        data(view, looks),
        title=f"{view.run.name}, {moment(view.run.started)} · Stack Matrix",
        home="../index.html",
        run=view.run,
        when=moment(view.run.started),
        machine=method.machine(view.run.environment),
        headline=headline.headline(view),
        notes=method.notes(view),
        facts=method.facts(view),
        experiment=experiment_context(view.run.experiment),
        groups=[shown.group(group) for group in view.groups],
        columns=view.stack_names,
        rows=[shown.row(group) for group in view.groups],
        matrix_metrics=MATRIX_METRICS,
        steps=[(number, label) for number, (_, label) in enumerate(STEPS, 1)],
        bounds=BOUND_MEANINGS.items(),
        voids=shown.voids(),
        sweeps=sweeps,
        levels=shown.levels(),
        level=slo.level_title(view.run.levels),
        level_columns=slo.SLO_COLUMNS,
        looks=list(looks.values()),
        comparable=any(len(group.ranked) > 1 for group in view.groups),
        trial_columns=TRIAL_COLUMNS,
        part_colours=charts.CHART_PARTS,
        time_colours=times.COLOURS,
        limits=method.limits(view),
        unresolved=method.unresolved(view),
        method=[*method.measured(view), *times.costs(view)],
        noise=method.noise(view),
        repeats=method.repeats(view),
        metrics=METRICS,
        stacks=view.stacks,
        environment=method.environment(view),
    )


class Shown:
    """Turns the view's groups and cells into what the template writes."""

    def __init__(self, view: View, looks: Mapping[str, Mapping[str, Any]]) -> None:
        self._view = view
        self._looks = looks
        self._groups = {cell.slug: group for group in view.groups for cell in group.cells}

    def group(self, group: Group) -> Context:
        """One workload under one load."""
        return {
            "slug": group.slug,
            "title": self.title(group),
            "detail": "" if self._view.several_loads else group.load.label,
            "about": group.summary,
            "answer": headline.group_sentence(group),
            "ordered": [self.cell(cell) for cell in group.ordered],
        }

    def row(self, group: Group) -> Context:
        """One row of the matrix."""
        by_name = {cell.name: cell for cell in group.cells}
        cells = [self.brief(by_name[name]) if name in by_name else None for name in self._view.stack_names]
        detail = " ".join(f"{key}={value}" for key, value in group.params.items())
        return {"group": {"slug": group.slug, "title": self.title(group), "detail": detail}, "cells": cells}

    def title(self, group: Group) -> str:
        """Its name, with the load where that tells groups apart."""
        return f"{group.workload} · {group.load.label}" if self._view.several_loads else group.workload

    def brief(self, cell: MatrixCell) -> Context:
        """What tables say of a cell."""
        arm, group = cell.arm, self._groups[cell.slug]
        top = max((high(other) for other in group.ranked), default=1.0)
        ceiling = arm.ceiling
        return {
            "slug": cell.slug,
            "name": cell.name,
            "group": self.title(group),
            "load": arm.load.label,
            "colour": self._looks[cell.name]["colour"],
            "valid": arm.goodput is not None,
            "kinds": void_kinds(arm),
            "goodput": quantity(arm.goodput.value) if arm.goodput else "",
            "half": percent(arm.goodput.half_width) if arm.goodput and arm.goodput.ci95 else "",
            "width": round(arm.goodput.value / top * 100, 2) if arm.goodput else 0,
            "ci": span(arm.goodput.ci95, top) if arm.goodput else None,
            "place": place_of(arm, [other.arm for other in group.ranked]),
            "first": arm.rank == 1 and group.decided,
            "step": step(ceiling.share) if ceiling else 0,
            "share": percent(ceiling.share) if ceiling else "",
            "bound": bound_words(cell) if arm.goodput else None,
            "show": {metric.key: metric.show(arm) for metric in METRICS},
        }

    def cell(self, cell: MatrixCell) -> Context:
        """Everything about a cell."""
        arm, group, shape = cell.arm, self._groups[cell.slug], cell.shape
        histogram = shape.histogram if shape else None
        elsewhere = self._view.elsewhere(cell)
        cpu = [(part, quantity(us)) for part, us in cell.cpu_parts.items()]
        return {
            **self.brief(cell),
            "reasons": distinct(arm.reasons),
            "level": level.words if (level := slo.by_arm(self._view.run.levels).get(arm.id)) else "",
            "both_loops": len({other.arm.load.kind for other in (cell, *elsewhere)}) > 1,
            "explanation": arm.explanation if arm.goodput else [],
            "doubt": arm.doubt.words if arm.doubt and arm.doubt.words not in " ".join(arm.explanation) else "",
            "utilisation": utilisation_bars(arm),
            "tiles": tiles(cell) if arm.goodput else [],
            "gauge": gauge(cell),
            "times": split(arm),
            "profile": flame_graph(arm),
            "requests": count(shape.requests) if shape else "",
            "others": len(group.ranked) > 1,
            "beyond": count(histogram.beyond) if histogram and histogram.beyond else "",
            "log": histogram is not None and histogram.log,
            "cpu": cpu,
            "cpu_words": ", ".join(f"{part} {us}" for part, us in cpu),
            "ledger": [ledger_line(entry) for entry in arm.ledger],
            "identity": identity(cell.identity) if cell.identity else [],
            "elsewhere": [self.brief(other) for other in sorted([cell, *elsewhere], key=load_key)] if elsewhere else [],
            "trials": [trial_row(trial, arm.valid) for trial in cell.trials],
            "command": cell.command,
            "rival": rival(cell, group),
        }

    def sweep(self, index: int, groups: Sequence[Group]) -> Context:
        """One workload under several loads."""
        cells = [self.brief(cell) for group in groups for cell in group.cells]
        names = list(dict.fromkeys(cell["name"] for cell in cells))
        return {
            "key": str(index),
            "title": curves.sweep_title(groups),
            "cells": cells,
            "peaks": curves.peaks(groups),
            "looks": [self._looks[name] for name in names],
        }

    def levels(self) -> list[Context]:
        """The service levels of each workload."""
        found = slo.by_arm(self._view.run.levels)
        return [
            {
                "slug": group.slug,
                "title": self.title(group),
                "looks": [self._looks[cell.name] for cell in group.cells if cell.arm.id in found],
                "rows": [
                    {**self.brief(cells[level.arm]), "figures": slo.level_cells(level), "words": level.words}
                    for level in slo.ordered([found[arm] for arm in cells if arm in found])
                ],
            }
            for group in self._view.groups
            if (cells := {cell.arm.id: cell for cell in group.cells}).keys() & found.keys()
        ]

    def voids(self) -> list[Context]:
        """Every reason why a number is missing, with the cells that it holds for."""
        found: dict[Reason, list[MatrixCell]] = {}
        for cell in self._view.cells:
            for reason in dict.fromkeys(cell.arm.reasons if cell.arm.goodput is None else []):
                found.setdefault(reason, []).append(cell)
        return [
            {
                "kind": reason.kind,
                "detail": reason.detail,
                "remedy": reason.remedy,
                "cells": [self.brief(cell) for cell in cells],
            }
            for reason, cells in found.items()
        ]


def experiment_context(result: ExperimentResult | None) -> Context | None:
    """The question of an experiment, its answer, and the figures that it rests on; None for any other run."""
    if result is None:
        return None
    head, lines = experiment.experiment_table(result)
    return {
        "source": experiment.as_sentence(result.source),
        "command": result.command,
        "scale": experiment.scale(result),
        "claims": experiment.claims(result),
        "drawn": bool(experiment.points(result)),
        "head": head,
        "lines": lines,
        "differences": result.differences,
        "exceptions": experiment.exceptions(result),
    }


def data(view: View, looks: Mapping[str, Any]) -> Context:
    """What the page's scripts draw and place; everything that is read as text is written here already."""
    return {
        "floor": view.floor,
        "looks": looks,
        "metrics": [
            (metric.key, f"{metric.name}, {metric.unit}" if metric.unit else metric.name) for metric in COMPARED
        ],
        "specs": specs(view),
        "experiment": experiment.points(view.run.experiment) if view.run.experiment else [],
        "groups": {
            group.slug: {
                "title": Shown(view, looks).title(group),
                "cells": [cell.slug for cell in reversed(group.ranked)],
                "ranked": [cell.slug for cell in group.ranked],
            }
            for group in view.groups
        },
        "cells": {cell.slug: drawn(cell, group) for group in view.groups for cell in group.ranked},
        "pairs": {
            f"{one.first.slug} {one.second.slug}": pair_data(one, group, view)
            for group in view.groups
            for pair in group.pairs
            for one in (pair, group.versus(pair.second, pair.first))
        },
        "sweeps": {str(index): curves.sweep_rows(groups) for index, groups in enumerate(view.sweeps())},
        "levels": {group.slug: rows for group in view.groups if (rows := slo.probe_points(group, view))},
    }


def specs(view: View) -> Context:
    """The charts that this page may draw."""
    found = {
        "spectrum": charts.spectrum(),
        "histogram": charts.histogram(log=False),
        "histogram-log": charts.histogram(log=True),
        "goodput": charts.goodput_rounds(),
        "latency": charts.latency_rounds(),
        "cpu": charts.cpu(),
        "pair": charts.pair(),
    }
    for index, groups in enumerate(view.sweeps()):
        for what in charts.CURVES:
            found[f"curves-{what}-{index}"] = charts.curves(
                what, curves.load_axis_title(groups), curves.swept_loads(groups)
            )
    if view.run.levels:
        found["level"] = charts.level(view.run.levels[0].level.partition("<")[0])
    if view.run.experiment:
        found["experiment"] = experiment.chart(view.run.experiment)
    return found


def drawn(cell: MatrixCell, group: Group) -> Context:
    """One valid cell's numbers for the charts."""
    arm, shape = cell.arm, cell.shape
    assert arm.goodput is not None, "only valid cells are drawn"
    histogram = shape.histogram if shape else None
    good = [trial for trial in cell.standing if not trial.reasons]
    return {
        "stack": cell.name,
        "group": group.slug,
        "spectrum": shape.spectrum if shape else [],
        "histogram": {"edges": histogram.edges, "counts": histogram.counts, "log": histogram.log}
        if histogram
        else {"edges": [], "counts": [], "log": False},
        "slices": [(number + 1, [(s.at, s.goodput, s.p50) for s in slices]) for number, slices in shape.slices.items()]
        if shape
        else [],
        "rounds": [(t.round + 1, t.client.goodput, t.client.latency_ms.p50, t.client.latency_ms.p99) for t in good],
        "estimate": (arm.goodput.value, *(arm.goodput.ci95 or (None, None))),
        "cpu": [(part, us) for part, us in cell.cpu_parts.items() if us],
        "show": {metric.key: metric.show(arm) for metric in COMPARED},
    }


def pair_data(pair: Pair, group: Group, view: View) -> Context:
    """One comparison, in words and for its chart."""
    interval = pair.goodput.interval if pair.goodput else None
    return {
        "says": headline.comparison(pair, group.floor),
        "value": pair.goodput.value if pair.goodput else None,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "ratios": {"goodput": headline.times(pair.goodput), "cpu_us_stack": headline.times(pair.cpu)},
        "why": view.explained(pair),
        "settings": settings(pair.first, pair.second),
    }


def settings(first: MatrixCell, second: MatrixCell) -> list[tuple[str, str, str]]:
    """The settings in which two arms differ; a setting that one does not have is a dash."""
    keys = dict.fromkeys([*first.settings, *second.settings])
    lines = ((key, first.settings.get(key), second.settings.get(key)) for key in keys)
    return [(f"Setting {key}", word(one), word(other)) for key, one, other in lines if one != other]


def tiles(cell: MatrixCell) -> list[tuple[str, str, str]]:
    """The figures at the head of a cell: name, value, unit."""
    arm = cell.arm
    assert arm.goodput is not None
    good = [trial for trial in cell.standing if not trial.reasons]
    low, high = arm.goodput.ci95 or (None, None)
    interval = (f"{quantity(low)} – {quantity(high)}", "") if arm.goodput.ci95 else (MISSING, "needs 6 rounds")
    peak = most(trial.server.processes for trial in good)
    first = [
        ("Goodput", f"{quantity(arm.goodput.value)}", "requests/s"),
        ("95 % interval", *interval),
    ]
    shown = [
        (metric.name, metric.show(arm), metric.unit)
        for metric in METRICS
        if metric.key not in ("goodput", "ceiling", "share") and metric.value(arm) is not None
    ]
    last = [
        ("Processes", count(peak), ""),
        ("Connections", count(most(trial.client.connections for trial in good)), "opened in a trial"),
        ("Reconnects", count(sum(trial.client.reconnects for trial in good)), "in all rounds"),
        ("Rounds", str(arm.rounds), f"{arm.repeated} repeated" if arm.repeated else ""),
    ]
    return [*first, *shown, *last]


def gauge(cell: MatrixCell) -> Context | None:
    """Measured, predicted and ceiling on one scale, in per cent of its width."""
    arm = cell.arm
    if arm.goodput is None or arm.ceiling is None:
        return None
    model = arm.predicted
    top = 1.04 * max(arm.ceiling.goodput, high(cell), *(model.band if model else ()))
    return {
        "width": round(arm.goodput.value / top * 100, 2),
        "ci": span(arm.goodput.ci95, top),
        "tick": round(arm.ceiling.goodput / top * 100, 2),
        "predicted": f"{quantity(model.goodput)}/s" if model else "",
        "predicted_band": f"{quantity(model.band[0])}–{quantity(model.band[1])}" if model else "",
        "predicted_ms": f"{milliseconds(model.response_ms)} ms" if model and model.response_ms is not None else "",
        "band": span(model.band, top) if model else None,
    }


def split(arm: ArmResult) -> Context | None:
    """Where the time of a request goes: parts as name, seconds, share, and width in per cent."""
    if arm.phases is None or arm.explaining is None:
        return None
    parts = phases.time_by_part(arm.phases)
    whole = sum(parts.values()) or 1.0
    return {
        "parts": [
            (part, duration(seconds), percent(seconds / whole), round(seconds / whole * 100, 2))
            for part, seconds in parts.items()
        ],
        "remarks": times.phase_remarks(arm.phases),
        "cost": times.cost(arm.explaining),
    }


def flame_graph(arm: ArmResult) -> Context | None:
    """The profile beside the page, and what it cost."""
    if arm.profile is None:
        return None
    return {"file": arm.profile.file, "samples": count(arm.profile.samples), "cost": times.cost(arm.profile.cost)}


def utilisation_bars(arm: ArmResult) -> list[tuple[str, str, float]]:
    """How full each resource was: its name, the share, and the width of its bar."""
    ordered = sorted(arm.utilisation.items(), key=lambda item: -item[1])
    return [(name, percent(share), round(min(share, 1) * 100, 1)) for name, share in ordered]


def identity(seen: Identity) -> list[tuple[str, str]]:
    """What was seen, line by line."""
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
    """One trial in words; the numbers of one that does not count are not given."""
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


def ledger_line(entry: LedgerLine) -> Context:
    """One line of the ledger."""
    words = {True: "balanced", False: "does not balance", None: "could not be asked"}[entry.balanced]
    slack = f", within {count(entry.slack)} cut off" if entry.balanced and entry.counted != entry.implied else ""
    css = {True: "balanced", False: "unbalanced", None: "muted"}[entry.balanced]
    return {
        "what": entry.what,
        "implied": count(entry.implied),
        "counted": count(entry.counted),
        "words": words + slack,
        "class": css,
    }


def rival(cell: MatrixCell, group: Group) -> Context | None:
    """The arm that a reader would compare this one with: the best other one."""
    if cell not in group.ranked:
        return None
    other = next((other for other in group.ranked if other is not cell), None)
    return {"slug": other.slug, "name": other.name} if other else None


def high(cell: MatrixCell) -> float:
    """The upper end of what is drawn of a cell's goodput."""
    goodput = cell.arm.goodput
    return (goodput.ci95[1] if goodput.ci95 else goodput.value) if goodput else 0.0


def span(ends: tuple[float, float] | Sequence[float] | None, top: float) -> tuple[float, float] | None:
    """Left edge and width of a stretch, in per cent of a scale."""
    return (round(ends[0] / top * 100, 2), round((ends[1] - ends[0]) / top * 100, 2)) if ends else None


def bound_words(cell: MatrixCell) -> Context | None:
    """Icon, sign and meaning of what binds a cell."""
    if cell.bound is None:
        return None
    key = cell.bound if cell.bound in BOUND_MEANINGS else "warning"
    pool = cell.arm.pool if cell.bound == "slots" else None
    taken = (
        f"its {phrases.POOLS.get(pool, pool)}{'' if pool == 'loop' else 's'}"
        if pool
        else BOUND_MEANINGS.get(cell.bound, cell.bound)
    )
    return {"key": key, "name": cell.bound, "meaning": taken}


def distinct(reasons: Iterable[Reason]) -> list[Reason]:
    """Each reason once."""
    return list(dict.fromkeys(reasons))


def load_key(cell: MatrixCell) -> tuple[str, float]:
    """Loads in order."""
    load = cell.arm.load
    return load.kind, float(load.users or load.rate or 0)


def word(value: int | str | bool | None) -> str:
    """A setting."""
    return MISSING if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def moment(text: str) -> str:
    """A UTC instant as people write it."""
    return datetime.fromisoformat(text).strftime("%-d %B %Y, %H:%M UTC")
