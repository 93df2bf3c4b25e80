"""How numbers are written, the same in every table, sentence and picture; what is missing is a dash, never a zero.

Text that a stack, a file or an option has put into a report is made harmless here as well.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

# a terminal obeys these, and the chart library dies of them; line feed, tab and no-break spaces are left
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Write control characters as escapes, so that nobody obeys them."""
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Copy a value with every text in its containers and dataclasses changed, keys too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {each_text(key, change): each_text(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(each_text(item, change) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: each_text(getattr(value, each.name), change) for each in fields(value)})
    return value


def listed(parts: Sequence[str], last: str = "and") -> str:
    """Write `a`, `a and b`, `a, b and c`."""
    return f" {last} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


MISSING = "–"


THIN_SPACE = "\u202f"


def quantity(value: float | None) -> str:
    """Write three significant digits, thousands apart by a thin space: 0.512, 2.51, 39.8, 1 230, 12 300."""
    if value is None:
        return MISSING
    if abs(value) >= 99.95:
        whole = round(value) if abs(value) < 10_000 else round(float(f"{value:.3g}"))
        return f"{whole:,}".replace(",", THIN_SPACE)
    rounded = float(f"{value:.3g}")
    if abs(rounded) < 1:
        return f"{rounded:.{max(3, 2 - exponent(rounded))}f}".rstrip("0").rstrip(".")
    return f"{rounded:.1f}" if abs(rounded) >= 10 else f"{rounded:.2f}"


def exponent(value: float) -> int:
    return int(f"{value:e}".partition("e")[2]) if value else 0


def count(value: float | None) -> str:
    """Write a number of things, most of which come whole: 40, 1.50."""
    if value is None:
        return MISSING
    return quantity(value) if value % 1 else f"{int(value):,}".replace(",", THIN_SPACE)


def some(value: float, noun: str) -> str:
    """Write a number with its noun: `1 thread`, `40 threads`."""
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def rate(per_second: float | None) -> str:
    """Write a rate: `39.8/s`."""
    return MISSING if per_second is None else f"{quantity(per_second)}/s"


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it: `2.51 s`, `100 ms`, `410 µs`."""
    if seconds >= 0.9995:
        return f"{quantity(seconds)} s"
    if seconds >= 0.0009995:
        return f"{quantity(seconds * 1e3)} ms"
    return f"{whole(seconds * 1e6)} µs" if seconds else "0 s"


def whole(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else quantity(value)


def factor(value: float) -> str:
    """Write a ratio: to a thousandth around 1, where ratios are told apart, else as a figure: 0.980, 1.004, 2.51."""
    return f"{value:.3f}" if 0.0995 <= value < 1.0995 else quantity(value)


def milliseconds(value: float | None) -> str:
    """Write a latency that is given in ms, without its unit."""
    return quantity(value)


def mib(value: float | None) -> str:
    """Write memory that is given in MiB, without its unit."""
    return MISSING if value is None else whole(value)


def change(factor: float) -> str:
    """Write a ratio as a change in per cent: `+3.1 %`, `−0.4 %`, `<0.1 %` either way."""
    moved = percent(abs(factor - 1))
    return moved if abs(factor - 1) < 0.0005 else f"{'+' if factor > 1 else '−'}{moved}"


def percent(share: float | None) -> str:
    """Write a share: whole per cent from ten on, one decimal below, `<0.1 %` for what is there but less."""
    if share is None:
        return MISSING
    if 0 < abs(share) < 0.0005:
        return f"{'-' if share < 0 else ''}<0.1 %"
    if abs(share) < 0.0995 and share:
        return f"{share * 100:.1f} %"
    return f"{share * 100:,.0f} %".replace(",", THIN_SPACE)
