"""Latencies in a few numbers, and how many records each of them needs."""

from dataclasses import dataclass

# a percentile is given only when at least this many records lie beyond it: p50 from 20 records, p99 from 1000
BEYOND = 10


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the scheduled instant to the last byte; None where the sample cannot support it."""

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None


def supported(n: int, percent: float) -> bool:
    """Tell whether n records support a percentile: at least BEYOND of them lie beyond it."""
    return round(n * (100 - percent), 6) >= BEYOND * 100
