"""What a reader must know before believing a run: its limits, how it was measured, what it could not resolve."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from stackmatrix.analysis.statistics import DEFAULT_RULE, LEAST_ROUNDS
from stackmatrix.formatting import MISSING, factor, listed, percent, some
from stackmatrix.report.headline import ENDED_BY, times
from stackmatrix.report.view import View

NAMES: Final = {
    "cpu": "Processor",
    "cpus": "CPUs used",
    "memory_gib": "Memory, GiB",
    "kernel": "Kernel",
    "system": "System",
    "virtual": "Virtual machine",
    "python": "Python",
    "revision": "Revision of the checkout",
    "runtime": "Runtime",
    "postgres": "PostgreSQL",
    "nginx": "Nginx",
    "delay": "Delay server",
    "seed": "Seed",
    "window_s": "Window, s",
}
TIGHT_CPUS: Final = 2


def machine(found: Mapping[str, Any]) -> str:
    cpus = found.get("cpus")
    parts = [f"{cpus} CPU{'' if cpus == 1 else 's'}" if cpus else "", found.get("cpu"), found.get("runtime")]
    return ", ".join(str(part) for part in parts if part)


def environment(view: View) -> list[tuple[str, str]]:
    words = {True: "yes", False: "no", None: MISSING}
    return [
        (NAMES.get(key, key), words[value] if value is None or isinstance(value, bool) else str(value))
        for key, value in view.run.environment.items()
    ]


def facts(view: View) -> list[tuple[str, str, str]]:
    """Sum the run up in a few figures: name, value, remark."""
    valid = sum(cell.arm.goodput is not None for cell in view.cells)
    window = view.run.environment.get("window_s")
    aa = "measured by timing one arm twice" if view.run.aa else "not measured; the least of any run"
    return [
        ("Cells with a number", f"{valid} of {len(view.cells)}", void_remark(view)),
        ("Rounds", str(view.rounds), f"ended because {ENDED_BY.get(view.run.ended_by, view.run.ended_by)}"),
        ("Noise floor", percent(view.floor), aa),
        ("Load", loads(view), ""),
        ("Window", f"{window:.3g} s", "per trial") if isinstance(window, int | float) else ("Window", MISSING, ""),
    ]


def void_remark(view: View) -> str:
    kinds = Counter(
        kind for cell in view.cells if cell.arm.goodput is None for kind in {r.kind for r in cell.arm.reasons}
    )
    return f"void: {listed([f'{kind} {count}' for kind, count in kinds.most_common()])}" if kinds else ""


def loads(view: View) -> str:
    labels = list(dict.fromkeys(group.load.label for group in view.groups))
    return ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")


def notes(view: View) -> list[tuple[str, str, str]]:
    """List what a reader must not miss: kind, title, text."""
    found: list[tuple[str, str, str]] = []
    if not view.honest and view.run.aa and view.run.aa.ci95:
        low, high = view.run.aa.ci95
        text = (
            f"Two copies of one arm differ: their ratio lies between {factor(low)} and {factor(high)}, more than "
            "2 % from 1. Something other than the stacks moved the numbers; no difference is stated. Run it again."
        )
        found.append(("bad", "This run is not valid.", text))
    if view.run.ended_by == "interrupted":
        text = f"What was measured until then is shown: {some(view.rounds, 'round')} at most."
        found.append(("warn", "Interrupted.", text))
    if view.cells and not any(cell.arm.goodput for cell in view.cells):
        found.append(("bad", "Every cell is void.", "The reasons stand below the matrix, each with its remedy."))
    elif 0 < view.rounds < LEAST_ROUNDS:
        text = f"A 95 % interval needs {LEAST_ROUNDS} rounds and this run has {view.rounds}: its order is a hint."
        found.append(("warn", "No intervals.", text))
    return found


def limits(view: View) -> list[str]:
    found = [
        "These are small services on one machine, over loopback or a container bridge. They rank concurrency models "
        "and drivers under equal work; they do not predict your production.",
        "Trust ratios and CPU per request; absolute rates belong to the machine named below.",
        "PostgreSQL runs with synchronous_commit = off: stacks are compared, not disks.",
    ]
    if any(group.load.kind == "closed" for group in view.groups):
        found.append(
            "A closed loop finds capacity. Its latencies are those at full load (users ÷ goodput), not what a user "
            "sees at a lower load, and while a stack stalls nobody asks: for latency, offer an open load."
        )
    if view.run.levels:
        found.append(
            "A rate that keeps the service level in windows of a few seconds may still be a little more than a stack "
            "can take for an hour: its queue grows too slowly to be seen. Leave room below it."
        )
    found_in = view.run.environment
    if isinstance(found_in.get("cpus"), int) and found_in["cpus"] <= TIGHT_CPUS:
        found.append(
            f"With {found_in['cpus']} CPUs the generator and the upstreams share one, and each may slow the other."
        )
    if found_in.get("virtual"):
        found.append(
            "The machine is virtual: its host may take CPU time away. What was seen of that is gated as “steal”."
        )
    if found_in.get("runtime") == "native":
        found.append("The stacks ran as processes of the machine itself, without the network of containers.")
    if view.run.aa is None:
        found.append("No arm was timed twice, so the noise floor is the least of any run, not this one's.")
    return found


def measured(view: View) -> list[str]:
    return [
        f"{some(view.rounds, 'round')}: in each, every arm is timed once, in a fresh random order. The run ended "
        f"because {ENDED_BY.get(view.run.ended_by, view.run.ended_by)}.",
        "Every stack obeys one contract, byte for byte; each answer is checked in full, and only the right ones count.",
        "The load generator is a process of its own on its own core, and keeps one record per request.",
        "Arms of one workload are compared by the logarithm of their ratio, round by round. The estimate is the "
        "Hodges–Lehmann centre, the interval the exact Wilcoxon signed-rank interval of 95 %.",
        "A trial counts only when it passes every gate: no failure, a balanced ledger, a generator with room to spare, "
        "Little's law, nobody else on the stack's core.",
    ]


def noise(view: View) -> str:
    aa = view.run.aa
    if aa is None:
        return f"No arm was timed twice; differences below {percent(view.floor)} are never told apart."
    interval = f", between {factor(aa.ci95[0])} and {factor(aa.ci95[1])}" if aa.ci95 else ", without an interval yet"
    return (
        f"One arm was timed against itself: the ratio is {factor(aa.value)}{interval}. The floor is the largest of "
        f"2 %, the half-width of that interval and its distance from 1: {percent(aa.floor)}. Arms whose interval "
        "touches it share a rank."
    )


def repeats(view: View) -> str:
    again = sum(cell.arm.repeated for cell in view.cells)
    if not again:
        return "No trial had to be repeated."
    last = {id(trial) for cell in view.cells for trial in cell.standing}
    tried = (trial for cell in view.cells for trial in cell.trials if id(trial) not in last)
    kinds = Counter(kind for trial in tried for kind in {reason.kind for reason in trial.reasons})
    why = listed([f"{kind} ({count})" for kind, count in kinds.most_common()] or ["an arm they are compared with"])
    return (
        f"{again} trial{' was' if again == 1 else 's were'} repeated, because of {why}. A failure is repeated alone; "
        "where the machine spoils a trial, the round is repeated for all that are compared with it. Both at most "
        "twice; the last attempt stands, never the best."
    )


def unresolved(view: View) -> list[str]:
    """List comparisons that more rounds would settle, and ratios known less well than wanted."""
    if 0 < view.rounds < LEAST_ROUNDS:
        return [f"Every comparison: {some(view.rounds, 'round')} give no interval, {LEAST_ROUNDS} are needed."]
    found: list[str] = []
    for group in view.groups:
        where = f"{group.workload}, {group.load.label}" if view.several_loads else group.workload
        for pair in group.pairs:
            if pair.standing == "tie" and pair.settles_in:
                found.append(
                    f"{where}: {pair.first.name} against {pair.second.name} is {times(pair.goodput)}; about "
                    f"{some(pair.settles_in, 'round')} more would settle it, should the ratio hold."
                )
        widths = [p.goodput.interval.half_width for p in group.pairs if p.goodput and p.goodput.interval]
        if widths and max(widths) > DEFAULT_RULE.half_width:
            found.append(
                f"{where}: ratios are known to {percent(max(widths))}, "
                f"and {percent(DEFAULT_RULE.half_width)} was wanted."
            )
    return found
