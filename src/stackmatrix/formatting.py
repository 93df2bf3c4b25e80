"""How numbers are written, the same in every report; what is missing is a dash, never a zero."""

from stackmatrix.results.interval import Interval

MISSING = "–"


def quantity(value: float | None) -> str:
    """Three significant digits, thousands apart by a thin space: 1 230, 98.4, 0.512."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{round(value, 2 - len(str(int(abs(value)))) + 1 if abs(value) >= 10000 else 0):,.0f}".replace(
            ",", "\u202f"
        )
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def milliseconds(value: float | None) -> str:
    """A latency in ms, to three significant digits."""
    return quantity(value)


def mib(value: float | None) -> str:
    """Memory in MiB, whole."""
    return MISSING if value is None else f"{value:.0f}"


def percent(share: float | None) -> str:
    """A share as whole per cent."""
    return MISSING if share is None else f"{share * 100:.0f} %"


def plus_minus(interval: Interval) -> str:
    """The relative half-width of an interval."""
    if interval.ci95 is None:
        return MISSING
    low, high = interval.ci95
    return f"{(high - low) / 2 / interval.value * 100:.1f} %" if interval.value else MISSING
