"""A figure with its interval."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar
import msgspec

@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval; None for the interval when the rounds are too few for one."""

    value: float
    ci95: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """An arm's goodput as a multiple of the baseline's, paired by round."""

    baseline: str
    """The other arm's id: the first valid one of the same workload and load."""
    value: float
    ci95: tuple[float, float] | None
