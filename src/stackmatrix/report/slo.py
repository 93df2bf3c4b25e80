"""Service levels as every report writes them: one table of columns, and the sentences that the search came to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from stackmatrix.formatting import count, milliseconds, percent, quantity
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
    value: Callable[[ServiceLevel], float | None]
    write: Callable[[float | None], str] = quantity

    def show(self, level: ServiceLevel) -> str:
        """Write it as tables do; a recovery that was not seen took longer than was watched."""
        if self.key == "recovery_s" and level.overload is not None and level.overload.recovery_s is None:
            return f"> {quantity(level.overload.watched_s)}"
        return self.write(self.value(level))


def found_rate(level: ServiceLevel) -> float | None:
    return level.rate.value if level.rate else None


SLO_COLUMNS: Final = (
    Column(
        "level_rate",
        "rate kept/s",
        "The largest rate of Poisson arrivals at which the level was kept and no more than 0.1 % of the requests "
        "failed, found by doubling and bisection to 5 %, once in every round; the centre of the rounds with its 95 % "
        "interval. Every request that was due counts; what never ended is slower than any limit.",
        found_rate,
    ),
    Column(
        "level_half",
        "±",
        "Half-width of the 95 % interval over the searches; “–” below six.",
        lambda level: level.rate.half_width if level.rate else None,
        percent,
    ),
    Column(
        "level_kept", "highest kept/s", "The highest rate that was ever kept in one window.", lambda level: level.kept
    ),
    Column(
        "level_broken",
        "lowest not kept/s",
        "The lowest rate that was ever not kept in one window.",
        lambda level: level.broken,
    ),
    Column("level_searches", "searches", "How many searches found a rate.", lambda level: level.rounds, count),
    Column(
        "overload_goodput",
        "answered at 120 %/s",
        "Right answers per second while 120 % of that rate comes, long enough that a fifth too much becomes a queue of "
        "twice the limit.",
        lambda level: level.overload.goodput.value if level.overload else None,
    ),
    Column(
        "overload_ms",
        "latency at 120 %, ms",
        "The level's metric of the requests that come meanwhile; “–” where too many never end.",
        lambda level: level.overload.value_ms if level.overload else None,
        milliseconds,
    ),
    Column(
        "recovery_s",
        "recovery, s",
        "From the end of the overload, when half of the rate that is kept comes, until the first of 20 requests in a "
        "row that are answered within the limit.",
        lambda level: level.overload.recovery_s if level.overload else None,
    ),
)


def ordered(levels: list[ServiceLevel]) -> list[ServiceLevel]:
    return sorted(levels, key=lambda level: (level.rate is None, level.rank or 0, -(found_rate(level) or 0.0)))


def level_cells(level: ServiceLevel) -> list[str]:
    return [column.show(level) for column in SLO_COLUMNS]


def by_arm(levels: list[ServiceLevel]) -> Mapping[str, ServiceLevel]:
    return {level.arm: level for level in levels}


def level_title(found: list[ServiceLevel]) -> str:
    return found[0].level.replace("<", " < ").replace("ms", " ms") if found else ""
