"""Counts of the other sides, made up."""

from dataclasses import replace
from typing import Any

from stackmatrix.linux import Io
from stackmatrix.meter.upstreams import Counts

NOTHING = Counts(
    at=100.0,
    statements=0,
    database_s=0.0,
    pages=0,
    rows=0,
    sessions=0,
    upstream=0,
    upstream_ms=0,
    upstream_s=0.0,
    fixtures=0,
    nginx=Io(0, 0, 0, 0),
    stack=Io(0, 0, 0, 0),
)


def counts(**changed: Any) -> Counts:
    """What was counted: nothing but this."""
    return replace(NOTHING, **changed)
