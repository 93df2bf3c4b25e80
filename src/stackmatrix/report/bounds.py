"""What may bind an arm: its sign in the tables, and what it means."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bound:
    """One way in which goodput is held down."""

    sign: str
    """At most five letters."""
    meaning: str


BOUNDS: Final = {
    "load": Bound(
        "load", "the offered load: every user waits for an answer that takes its time; more users would get more"
    ),
    "slots": Bound("slots", "requests in flight: threads, greenlets or pooled connections are all taken"),
    "server-cpu": Bound("cpu", "the stack's CPU: its core is busy all the time"),
    "database": Bound("db", "PostgreSQL"),
    "upstream": Bound("up", "the delay server or Nginx"),
    "generator": Bound("gen", "the load generator: the stack could do more than it was asked"),
}


def bound(name: str) -> Bound:
    """The sign and the meaning of a bound; one that is not known here stands for itself."""
    return BOUNDS.get(name, Bound(name, name))
