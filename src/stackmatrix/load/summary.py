"""The numbers of one load, from its records; every definition is here.

Closed loop: the sample is the requests that *ended* in the window. Open loop: those *scheduled* in it, whenever they
ended, so that a stall at the window's end is not cut off. Latency counts from the scheduled instant, and is that of
right answers; what failed is counted beside it, by class.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackmatrix.load.generator import LoadRun
from stackmatrix.load.histogram import HdrHistogram
from stackmatrix.load.job import Closed, Open
from stackmatrix.load.latency import Latency, supported
from stackmatrix.load.recorder import Ending
from stackmatrix.load.records import Floats, Records

LEAST_GAPS = 8  # between answers, by which a longer one can be told


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of a load; times in milliseconds, None where the sample cannot support a number."""

    seconds: float  # length of the window
    n: int  # right answers in the sample
    # the sample's other requests, by ending; unfinished ones are those without an end in an open loop's sample
    errors: Mapping[str, int]
    # right answers, each counted by the share of its time (and of the thought after it) that lies in the window. With
    # users in step, counting ends is off by up to a whole round; this is not, whatever the window cuts through. Where
    # requests under way at the window's end outlast the drain their shares are unknown, and ends are counted.
    answers: float
    rps: float  # the same per second: goodput
    offered_rps: float  # requests scheduled in the window, per second
    under_way: int  # requests that had been scheduled and had not ended when the window closed
    # X(R+Z)/N of a closed loop, 1 when nothing is lost; X over all by their shares, R over those that ended in it
    little: float | None
    latency: Latency  # of the right answers in the sample
    first_byte_p50_ms: float | None
    drift_p99_ms: float | None  # how late requests left: sent minus scheduled
    cpu_us_per_request: float | None  # the generator's own CPU in the window, over the requests served in it
    # the longest times in the window, in s, in which requests were under way and none ended, longest first
    gaps_s: tuple[float, float] | None

    @property
    def failed(self) -> int:
        return sum(self.errors.values())


def summarise(outcome: LoadRun) -> Summary:
    records, start, end = outcome.records, outcome.start, outcome.end
    seconds = end - start
    per_second = 1 / seconds if seconds else 0.0
    ended = records[within(records["end"], start, end)]
    sample = sampled(outcome)
    right = sample[sample["verdict"] == Ending.OK]
    answers = count_inside(outcome, records[records["verdict"] == Ending.OK], start, end)
    served = count_inside(outcome, records, start, end)
    return Summary(
        seconds=seconds,
        n=len(right),
        errors=count_errors(sample),
        answers=answers,
        rps=answers * per_second,
        offered_rps=int(within(records["scheduled"], start, end).sum()) * per_second,
        under_way=int(((records["scheduled"] < end) & ~(records["end"] < end)).sum()),
        little=little(outcome.job.load, ended, served * per_second),
        latency=latency_ms(right),
        first_byte_p50_ms=percentile(spans_ms(right, "scheduled", "first_byte"), 50),
        drift_p99_ms=percentile(spans_ms(sample, "scheduled", "sent"), 99),
        cpu_us_per_request=outcome.cpu_s / served * 1e6 if served else None,
        gaps_s=longest_gaps(outcome),
    )


def count_inside(outcome: LoadRun, records: Records, start: float, end: float) -> float:
    """Count some of a load's requests in a span of its window, each by its share, or by ends where a drain was cut."""
    if cut_off(outcome):
        return float(within(records["end"], start, end).sum())
    load = outcome.job.load
    return float(np.nansum(shares_inside(records, start, end, load.think_s if isinstance(load, Closed) else 0.0)))


def longest_gaps(outcome: LoadRun) -> tuple[float, float] | None:
    """Find the longest time without an answer in the window, and the next longest; None where too few are compared.

    Time in which nobody waited is no part of it. The second counts in full where an edge of the window cuts it, so that
    the whole rounds of users in step are compared with one another.
    """
    records = outcome.records
    ends = np.where(np.isnan(records["end"]), outcome.given_up, records["end"])
    order = np.argsort(ends, kind="stable")
    ends, scheduled = ends[order], records["scheduled"][order]
    waiting_since = np.minimum.accumulate(scheduled[::-1])[::-1]
    began = np.maximum(waiting_since, np.concatenate([scheduled[:1], ends[:-1]]))
    inside = np.minimum(ends, outcome.end) - np.maximum(began, outcome.start)
    if (inside > 0).sum() <= LEAST_GAPS:
        return None
    longest = int(inside.argmax())
    whole = np.where(inside > 0, ends - began, 0.0)
    whole[longest] = 0.0
    return float(inside[longest]), float(whole.max())


def cut_off(outcome: LoadRun) -> bool:
    """Tell whether requests of the window were still under way when the drain was over."""
    records = outcome.records
    return bool(((records["verdict"] == Ending.UNFINISHED) & (records["scheduled"] < outcome.end)).any())


def sampled(outcome: LoadRun) -> Records:
    instants = "end" if isinstance(outcome.job.load, Closed) else "scheduled"
    return outcome.records[within(outcome.records[instants], outcome.start, outcome.end)]


def histogram_of(outcome: LoadRun) -> HdrHistogram:
    sample = sampled(outcome)
    right = sample[sample["verdict"] == Ending.OK]
    return HdrHistogram.of(right["end"] - right["scheduled"])


def latency_ms(right: Records) -> Latency:
    """Return mean, nearest-rank percentiles where the sample supports them, and maximum of right answers' latencies."""
    ordered = spans_ms(right, "scheduled", "end")
    return Latency(
        mean=float(ordered.mean()) if len(ordered) else None,
        p50=percentile(ordered, 50),
        p90=percentile(ordered, 90),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
        p999=percentile(ordered, 99.9),
        max=float(ordered[-1]) if len(ordered) else None,
    )


def spans_ms(records: Records, start: str, end: str) -> Floats:
    """Return the times between two instants of each request that has both, in ascending order."""
    spans = (records[end] - records[start]) * 1e3
    return np.sort(spans[~np.isnan(spans)])


def within(instants: Floats, start: float, end: float) -> NDArray[np.bool_]:
    """Tell which instants lie in the window [start, end); never those that are NaN."""
    return np.asarray((instants >= start) & (instants < end))


def count_errors(sample: Records) -> dict[str, int]:
    """Count the requests of a sample that had no right answer, by ending; only endings that occurred."""
    counts = np.bincount(sample["verdict"], minlength=len(Ending))
    return {ending.name.lower(): int(counts[ending]) for ending in Ending if ending and counts[ending]}


def shares_inside(records: Records, start: float, end: float, think_s: float) -> Floats:
    """Return the share of each request's cycle in the window: from its schedule until it was thought about."""
    until = records["end"] + think_s
    overlap = np.minimum(until, end) - np.maximum(records["scheduled"], start)
    return np.asarray(np.clip(overlap, 0, None) / np.maximum(until - records["scheduled"], 1e-9))


def little(load: Closed | Open, ended: Records, per_second: float) -> float | None:
    """Return X(R+Z)/N of a closed loop: X over all of the window, R over those that ended in it; None if none."""
    if isinstance(load, Open) or not len(ended):
        return None
    response = float((ended["end"] - ended["scheduled"]).mean())
    return per_second * (response + load.think_s) / load.users


def percentile(ordered: Floats, percent: float) -> float | None:
    """Return the nearest-rank percentile of sorted values; None where too few lie beyond it."""
    if not supported(len(ordered), percent):
        return None
    return float(ordered[int(np.ceil(round(len(ordered) * percent / 100, 6))) - 1])
