"""Colours, each named once: CSS variables in a page, as they are in files; nothing is said by colour alone."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

PALETTE: Final = {  # by name: on a light ground, on a dark one
    "surface": ("#f6f6f2", "#12171a"),
    "panel": ("#ffffff", "#1a2024"),
    "ink": ("#1b2329", "#e7ebed"),
    "muted": ("#55616a", "#a0acb4"),
    "line": ("#dfe1db", "#2e383e"),
    "grid": ("#e9eae5", "#283136"),
    "accent": ("#0b6570", "#72c8cd"),
    "accent-soft": ("#e2f0f0", "#173539"),
    "good": ("#1f6b41", "#7ccb9b"),
    "warn": ("#835400", "#e3b85c"),
    "warn-soft": ("#fbf2dd", "#33290f"),
    "bad": ("#a3302a", "#f19a92"),
    "bad-soft": ("#fbe9e7", "#3a1f1d"),
    "share-1": ("#f3f5f3", "#1c2327"),
    "share-2": ("#dcebea", "#1c3135"),
    "share-3": ("#bcdcdb", "#1c4147"),
    "share-4": ("#97c9ca", "#1c525a"),
    "share-5": ("#6fb4b8", "#1b646e"),
    "series-1": ("#8079dc", "#8f89e8"),
    "series-2": ("#7d3f02", "#c9732a"),
    "series-3": ("#2e8568", "#92e7c5"),
    "series-4": ("#ba64ab", "#c78abb"),
    "series-5": ("#978432", "#e3c953"),
    "series-6": ("#60723a", "#a4b87f"),
    "series-7": ("#764372", "#f7baf1"),
    "series-8": ("#2e478b", "#99b6fa"),
}
LIGHT: Final = {name: light for name, (light, _) in PALETTE.items()}
DARK: Final = {name: dark for name, (_, dark) in PALETTE.items()}

SERIES: Final = 8
# the scale of shares, each step from its least on; finer where shares that matter lie
STEPS: Final = ((0.0, "under 50 %"), (0.5, "50–70 %"), (0.7, "70–85 %"), (0.85, "85–95 %"), (0.95, "95 % and over"))

SHAPES: Final = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "triangle-left",
)
FONT: Final = "Inter, 'Segoe UI', system-ui, -apple-system, Roboto, 'Helvetica Neue', Arial, sans-serif"


def var(name: str) -> str:
    assert name in LIGHT, name
    return f"var(--{name})"


def series(index: int) -> str:
    return var(f"series-{index % SERIES + 1}")


@dataclass(frozen=True, slots=True)
class StackLook:
    stack: str
    colour: str
    shape: str


def stack_looks(names: Sequence[str]) -> Mapping[str, StackLook]:
    return {name: StackLook(name, series(index), SHAPES[index % len(SHAPES)]) for index, name in enumerate(names)}


def step(share: float) -> int:
    return sum(share >= least for least, _ in STEPS) or 1


def css(palette: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in palette.items())


def coloured(spec: dict[str, Any], palette: dict[str, str]) -> dict[str, Any]:
    text = re.sub(r"var\(--([a-z0-9-]+)\)", lambda match: palette[match[1]], json.dumps(spec))
    filled: dict[str, Any] = json.loads(text)
    return filled
