"""The client's side of a trial: offer the load, by the project's own generator or by another tool, and count."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stackmatrix.analysis.latency import right_answers
from stackmatrix.catalog.workloads import Workload
from stackmatrix.load import summary
from stackmatrix.load.generator import Edge, LoadRun, generate
from stackmatrix.load.job import MOST_DRAIN_S, Closed, LoadJob, Open, RequestKind, Step
from stackmatrix.load.recorder import Ending
from stackmatrix.load.records import Floats, Records
from stackmatrix.load.tools.run import OTHER_GENERATORS, run_other
from stackmatrix.load.warm_up import LEAST_ANSWERS, LONGEST_FITTED_S, LONGEST_WARM_UP_S, WarmUp
from stackmatrix.results.plan import Load, Timing
from stackmatrix.results.trial import ClientSide, Errors, Failure, ToolSays
from stackmatrix.runtime.base import Service

# a request that outlasts the whole trial is unfinished, which is reported; only a shorter limit would be a failure
LEAST_TIMEOUT_S = 60.0

STUCK = 10  # times the slowest answer
EVEN = 2.0  # mean gaps between answers that one may take in an even stream
EARLY = 0.99  # of a wait; the fastest of all honest answers was seen at 99.3 ms of 100
TIMER_GRAIN_S = 0.001  # of event loops' timers


@dataclass(frozen=True)
class OfferedLoad:
    client: ClientSide
    doubtful: int  # requests that were sent and not answered as they should: they may or may not have had their effect
    in_hand: bool  # whether the stack may still work on requests that nobody waits for


OnEdge = Callable[[Edge, float], None]  # is called as the window opens and closes, with the instant


def offer(
    service: Service,
    load: Load,
    workload: Workload,
    timing: Timing,
    seed: int,
    records: Path,
    cpus: Collection[int],
    shards: int,
    on_edge: OnEdge,
) -> OfferedLoad:
    """Put a service under a load, by tool or own generator, and keep every request; UserError if one is gone."""
    job = trial_job(service, load, workload, timing, seed)
    if load.tool is not None:
        return by_tool(load.tool, job, load.requests, records, cpus, on_edge)
    longest_s = LONGEST_WARM_UP_S if timing.fitted else timing.warmup_s
    warm_up = (
        None if load.steps else WarmUp(timing.warmup_s, longest_s, timing.fitted)
    )  # the instants of steps are fixed
    outcome = generate(job, records=records, cpus=cpus, shards=shards, on_window=on_edge, warm_up=warm_up)
    waiting = workload.waiting()
    return by_generator(outcome, records, (waiting.seconds if waiting else None) or 0.0)


def by_generator(outcome: LoadRun, file: Path, wait_s: float) -> OfferedLoad:
    """Summarise what the project's own generator counted; each answer stands for a wait of `wait_s`."""
    records = outcome.records
    totals = summary.summarise(outcome)
    inside = right_answers(records, outcome.start, outcome.end)
    right = records[records["verdict"] == Ending.OK]
    took_s = right["first_byte"] - right["sent"]
    client = ClientSide(
        warmup_s=outcome.start - outcome.began,
        window_start=outcome.start,
        window_s=totals.seconds,
        offered=round(totals.offered_rps * totals.seconds),
        answered=len(inside),
        unfinished=totals.under_way,
        answers=totals.answers,
        goodput=totals.rps,
        little=totals.little,
        halves=halves(outcome),
        errors=failures(totals.errors),
        errors_outside=failures(summary.count_errors(outside(outcome))),
        failures=failed_alike(summary.sampled(outcome), outcome.job.kinds),
        failures_outside=failed_alike(outside(outcome), outcome.job.kinds),
        even=even(inside["end"], outcome.start, outcome.end),
        early=int((took_s < least_s(wait_s)).sum()),
        fastest_ms=float(took_s.min()) * 1000 if len(right) else None,
        first_byte_p50_ms=totals.first_byte_p50_ms,
        first_answer_s=float(right["end"].min()) - outcome.began if len(right) else None,
        gaps_s=totals.gaps_s,
        stuck=stuck(records, outcome.given_up),
        latency_ms=summary.latency_ms(inside),
        bytes=int(inside["bytes"].sum()),
        cpu_s=outcome.cpu_s,
        connections=outcome.connections,
        reconnects=outcome.reconnects,
        generator_share=outcome.busiest,
        drift_p99_ms=totals.drift_p99_ms,
        right=len(right),
        records=f"records/{file.name}",
    )
    in_hand = bool((records["verdict"] == Ending.UNFINISHED).any())
    return OfferedLoad(client, int((~np.isnan(records["sent"])).sum()) - len(right), in_hand)


def even(ends: Floats, start: float, end: float) -> bool:
    """Tell whether enough answers came, and none much later than the one before it: then a count of ends is a rate."""
    gaps = np.diff(np.sort(ends), prepend=start, append=end)
    return len(ends) >= LEAST_ANSWERS and bool(gaps.max() <= EVEN * (end - start) / len(ends))


def least_s(wait_s: float) -> float:
    """Return the least time in which an honest answer can come: timers end up to a millisecond early."""
    return min(wait_s * EARLY, wait_s - TIMER_GRAIN_S)


def by_tool(
    name: str, job: LoadJob, requests: int | None, file: Path, cpus: Collection[int], on_edge: OnEdge
) -> OfferedLoad:
    """Offer a load with another tool; the window is its whole run, and requests that it cuts off are nobody's."""
    told = run_other(OTHER_GENERATORS[name], job, cpus=cpus, records=file, on_window=on_edge, stop_after=requests)
    runs = [told] if told.warmup is None else [told.warmup, told]
    length = told.end - told.start
    client = ClientSide(
        warmup_s=told.start - told.began,
        window_start=told.start,
        window_s=length,
        offered=told.requests,
        answered=told.n,
        answers=float(told.n),
        goodput=told.n / told.seconds,
        errors=failures(told.failed),
        errors_outside=failures(told.warmup.failed) if told.warmup else Errors(),
        latency_ms=told.latency,
        cpu_s=told.cpu_s,
        generator_share=told.cpu_s / length / max(1, len(cpus)),
        right=sum(each.n for each in runs),
        records=f"records/{file.name}" if told.records is not None else None,
        tool=ToolSays(
            tool=told.tool,
            version=told.version,
            command=told.command,
            requests=told.requests,
            seconds=told.seconds,
            rps=told.rps,
            notes=list(told.notes),
        ),
    )
    users = job.load.users if isinstance(job.load, Closed) else 0
    doubtful = sum(sum(each.failed.values()) + users for each in runs)
    return OfferedLoad(client, doubtful, in_hand=True)


def trial_job(service: Service, load: Load, workload: Workload, timing: Timing, seed: int) -> LoadJob:
    waiting = workload.waiting()
    wait_s = waiting.seconds if waiting else None
    if load.kind == "closed":
        # Users that start together stay in step when a wait of fixed length is all they do, and then a window counts
        # one round more or less; started over the length of the wait they are spread as in the long run.
        ramp_s = min(wait_s or 0.0, timing.warmup_s) if load.ramp_s is None else load.ramp_s
        offered: Closed | Open = Closed(load.users or 1, load.think_s, ramp_s)
    else:
        steps = tuple(Step(step.after_s, step.rate) for step in load.steps)
        offered = Open(load.rate or 1.0, load.arrivals or "poisson", steps=steps)
    longest_s = timing.warmup_s + max(timing.window_s, LONGEST_FITTED_S) + 2 * MOST_DRAIN_S + LONGEST_WARM_UP_S
    return LoadJob(
        host=service.host,
        port=service.port,
        kinds=(RequestKind(workload.name, workload.requests()),),
        load=offered,
        warmup_s=timing.warmup_s,
        duration_s=timing.window_s,
        timeout_s=load.timeout_s or max(LEAST_TIMEOUT_S, longest_s),
        drain_s=MOST_DRAIN_S,
        seed=seed,
    )


def halves(outcome: LoadRun) -> tuple[float, float] | None:
    """Compute the goodput of the window's halves, each answer counted by its shares; None where those are unknown."""
    if summary.cut_off(outcome):
        return None
    right = outcome.records[outcome.records["verdict"] == Ending.OK]
    half = (outcome.end - outcome.start) / 2
    first, second = (
        summary.count_inside(outcome, right, start, start + half) / half
        for start in (outcome.start, outcome.start + half)
    )
    return first, second


def outside(outcome: LoadRun) -> Records:
    """Select the requests that ended outside the window's sample."""
    records = outcome.records
    instants = records["end" if isinstance(outcome.job.load, Closed) else "scheduled"]
    found: Records = records[~summary.within(instants, outcome.start, outcome.end) & ~np.isnan(records["end"])]
    return found


def failures(counts: Mapping[str, int]) -> Errors:
    """Count endings as errors; a request that was cut off is none."""
    return Errors(**{key: count for key, count in counts.items() if key in Errors.__slots__})


def failed_alike(records: Records, kinds: Sequence[RequestKind]) -> list[Failure]:
    """Group the requests that failed by ending and status, most first; one that was cut off is none."""
    failed = records[(records["verdict"] != Ending.OK) & (records["verdict"] != Ending.UNFINISHED)]
    took_s = failed["end"] - np.where(np.isnan(failed["sent"]), failed["scheduled"], failed["sent"])
    order = np.argsort(took_s, kind="stable")
    failed, took_s = failed[order], took_s[order]
    found: list[Failure] = []
    for verdict, status in np.unique(failed[["verdict", "status"]]).tolist():
        alike = np.flatnonzero((failed["verdict"] == verdict) & (failed["status"] == status))
        middle = alike[(len(alike) - 1) // 2]
        kind = kinds[failed["kind"][middle]].name
        found.append(
            Failure(Ending(verdict).name.lower(), status, len(alike), kind, after_ms=float(took_s[middle]) * 1000)
        )
    return sorted(found, key=lambda failure: -failure.count)


def stuck(records: Records, given_up: float) -> int:
    """Count requests that had no answer by `given_up`, though they had far longer than any answer took."""
    took = records["end"] - records["sent"]
    if np.isnan(took).all():
        return 0
    waited = given_up - records["sent"][records["verdict"] == Ending.UNFINISHED]
    return int((waited > STUCK * np.nanmax(took)).sum())
