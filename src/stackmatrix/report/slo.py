"""Service levels as every report writes them: one table of columns, and the sentences that the search came to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from stackmatrix.formatting import MISSING, milliseconds, percent, quantity
from stackmatrix.results.slo import ProbeOutcome, ServiceLevel

PROBE_WORDS: Final[Mapping[ProbeOutcome, str]] = {
    "kept": "kept",
    "broken": "not kept",
    "generator": "the generator could not keep up",
    "spoiled": "the machine took part; asked again",
    "unsupported": "too few requests; asked again",
    "failed": "the stack failed",
}


@dataclass(frozen=True)
class Column:
    key: str  # its column in `report.csv`
    name: str
    meaning: str
    value: Callable[[ServiceLevel], float | int | str | None]
    show: Callable[[ServiceLevel], str]


def amount(value: Callable[[ServiceLevel], float | None]) -> Callable[[ServiceLevel], str]:
    return lambda level: quantity(value(level))


def found_rate(level: ServiceLevel) -> float | None:
    return level.rate.value if level.rate else None


def answered(level: ServiceLevel) -> float | None:
    return level.overload.goodput.value if level.overload else None


def recovery(level: ServiceLevel) -> float | None:
    """Return the seconds until the overload is over."""
    return level.overload.recovery_s if level.overload else None


def recovered(level: ServiceLevel) -> str:
    """Write the same: what was not seen took longer than was watched."""
    if level.overload is not None and level.overload.recovery_s is None:
        return f"> {quantity(level.overload.watched_s)}"
    return quantity(recovery(level))


SLO_COLUMNS: Final = (
    Column(
        "level_rate",
        "rate kept/s",
        "The largest rate of Poisson arrivals at which the level was kept and no more than 0.1 % of the requests "
        "failed, found by doubling and bisection to 5 %, once in every round; the centre of the rounds with its 95 % "
        "interval. Every request that was due counts; what never ended is slower than any limit.",
        found_rate,
        amount(found_rate),
    ),
    Column(
        "level_half",
        "±",
        "Half-width of the 95 % interval over the searches; “–” below six.",
        lambda level: level.rate.half_width if level.rate else None,
        lambda level: percent(level.rate.half_width) if level.rate else MISSING,
    ),
    Column(
        "level_kept",
        "highest kept/s",
        "The highest rate that was ever kept in one window.",
        lambda level: level.kept,
        amount(lambda level: level.kept),
    ),
    Column(
        "level_broken",
        "lowest not kept/s",
        "The lowest rate that was ever not kept in one window.",
        lambda level: level.broken,
        amount(lambda level: level.broken),
    ),
    Column(
        "level_searches",
        "searches",
        "How many searches found a rate.",
        lambda level: level.rounds,
        lambda level: str(level.rounds),
    ),
    Column(
        "overload_goodput",
        "answered at 120 %/s",
        "Right answers per second while 120 % of that rate comes, long enough that a fifth too much becomes a queue of "
        "twice the limit.",
        answered,
        amount(answered),
    ),
    Column(
        "overload_ms",
        "latency at 120 %, ms",
        "The level's metric of the requests that come meanwhile; “–” where too many never end.",
        lambda level: level.overload.value_ms if level.overload else None,
        lambda level: milliseconds(level.overload.value_ms) if level.overload else MISSING,
    ),
    Column(
        "recovery_s",
        "recovery, s",
        "From the end of the overload, when half of the rate that is kept comes, until the first of 20 requests in a "
        "row that are answered within the limit.",
        recovery,
        recovered,
    ),
)


def ordered(levels: list[ServiceLevel]) -> list[ServiceLevel]:
    return sorted(levels, key=lambda level: (level.rate is None, level.rank or 0, -(found_rate(level) or 0.0)))


def level_cells(level: ServiceLevel) -> list[str]:
    return [column.show(level) for column in SLO_COLUMNS]


def by_arm(levels: list[ServiceLevel]) -> Mapping[str, ServiceLevel]:
    """Find each by the arm whose load it began from."""
    return {level.arm: level for level in levels}


def level_title(found: list[ServiceLevel]) -> str:
    """Name the level that was asked about; empty where none was."""
    return found[0].level.replace("<", " < ").replace("ms", " ms") if found else ""
