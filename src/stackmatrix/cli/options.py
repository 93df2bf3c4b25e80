"""Options that several commands share, parsed in one way."""

import argparse
import re

UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """`90`, `90s`, `5m` or `1h` in seconds."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh]?)", text)
    if not match or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 90, 90s, 5m or 1h")
    return float(match[1]) * UNITS[match[2] or "s"]


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999999")
    return int(text)


def several_users(text: str) -> list[int]:
    """`64`, or several with commas: `1,8,32`."""
    return [positive(part) for part in text.split(",")]


def several_rates(text: str) -> list[float]:
    """`200`, or several with commas: `100,200,0.5`; each above 0."""
    return [rate(part) for part in text.split(",")]


def rate(text: str) -> float:
    """So many a second."""
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,6})?", text) or float(text) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate: write arrivals per second, such as 200 or 0.5")
    return float(text)


def pair(text: str) -> tuple[str, str]:
    """`key=value`."""
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r}: write KEY=VALUE")
    return key, value
