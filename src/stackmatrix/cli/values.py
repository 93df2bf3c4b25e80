"""Reads rates, durations, percentages, counts and lists as people type them; ValueError has the remedy."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Num = TypeVar("Num", int, float)

NUMBER = re.compile(r"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)(?P<unit>[^0-9.]*)", re.ASCII)


@dataclass(frozen=True)
class Amount(Generic[Num]):
    """A number with a unit, and the bounds between which it must lie; both written as a user would type them."""

    kind: str
    example: str
    least: str
    most: str
    as_type: Callable[[float], Num]
    units: Mapping[str, float]  # what each suffix multiplies by; the empty one stands for no suffix

    def __call__(self, text: str) -> Num:
        """Read one amount; ValueError when it is none, or lies outside the bounds."""
        value = self._value(text)
        if value is None or not self.lowest <= value <= self.highest or self.as_type(value) != value:
            raise ValueError(f"write {self.kind} from {self.least} to {self.most}, such as {self.example}")
        return self.as_type(value)

    def several(self, text: str) -> tuple[Num, ...]:
        """Read a list with commas; ValueError for an item that is none, or stands there twice."""
        found: list[Num] = []
        for part in text.split(","):
            value = self(part.strip())
            if value in found:
                raise ValueError(f"{part.strip()} stands there twice; write each once")
            found.append(value)
        return tuple(found)

    @property
    def lowest(self) -> float:
        return self._value(self.least) or 0.0

    @property
    def highest(self) -> float:
        return self._value(self.most) or 0.0

    def within(self, least: str, most: str, example: str | None = None) -> "Amount[Num]":
        return Amount(self.kind, example or self.example, least, most, self.as_type, self.units)

    def written(self, value: float) -> str:
        """Write a value as it could be typed, in the largest unit of which it holds a whole number."""
        units = sorted(self.units.items(), key=lambda unit: (-unit[1], -len(unit[0])))
        unit, size = next((unit for unit in units if value / unit[1] == int(value / unit[1])), units[-1])
        return f"{value / size:g}{unit}"

    def _value(self, text: str) -> float | None:
        match = NUMBER.fullmatch(text)
        if not match or match["unit"].strip() not in self.units:
            return None
        return float(match["number"]) * self.units[match["unit"].strip()]


# in seconds; without a unit it is seconds
DURATION = Amount(
    "a duration", "500ms, 90s or 10m", "1ms", "24h", float, {"": 1, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600}
)
RATE = Amount("arrivals per second", "200, 0.5 or 1e3", "0.001", "1e6", float, {"": 1, "/s": 1})
COUNT = Amount("a whole number", "8 or 64", "1", "999999", int, {"": 1})
# as a share of one: `5%` and `5` are 0.05
SEED = COUNT.within("0", "2147483647", "1")
PERCENTAGE = Amount("a percentage", "5% or 2.5%", "0.01%", "99%", float, {"": 0.01, "%": 0.01})


def key_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise ValueError("write KEY=VALUE, such as ms=10")
    return key, value


def run_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,59}", text):
        raise ValueError("write 1 to 60 letters, digits and hyphens, such as before-upgrade")
    return text


def header(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"([!#-'*+.^-z|~0-9A-Z-]+):[ \t]*([ -~\t]*)", text)
    if not match:
        raise ValueError("write 'Name: value', such as 'Accept: application/json'")
    return match[1], match[2]


def core_list(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", part)
        if not match or int(match[1]) > int(match[2] or match[1]):
            raise ValueError("write cores from 0 to 9999, such as 1 or 2,3 or 4-7")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(found)
