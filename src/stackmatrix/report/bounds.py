"""What may bind an arm: its sign in the tables, and what it means."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class BoundSign:
    """One way in which goodput is held down."""

    sign: str
    """At most five letters."""
    meaning: str


BOUND_SIGNS: Final = {
    "load": BoundSign(
        "load", "the offered load: every user waits for an answer that takes its time; more users would get more"
    ),
    "slots": BoundSign("slots", "requests in flight: threads, greenlets or pooled connections are all taken"),
    "server-cpu": BoundSign("cpu", "the stack's CPU: its core is busy all the time"),
    "database": BoundSign("db", "PostgreSQL"),
    "upstream": BoundSign("up", "the delay server or Nginx"),
    "generator": BoundSign("gen", "the load generator: the stack could do more than it was asked"),
}


def bound(name: str) -> BoundSign:
    """The sign and the meaning of a bound; one that is not known here stands for itself."""
    return BOUND_SIGNS.get(name, BoundSign(name, name))
