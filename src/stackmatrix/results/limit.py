"""What `--fail-if-worse` can hold, and what may come of it."""

from typing import Literal

LimitOf = Literal["goodput", "cpu", "instructions"]  # what a limit holds
LimitOutcome = Literal["no worse", "worse", "undecided"]
