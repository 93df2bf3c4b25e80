"""Whether two runs were measured in the same way: only then does a difference between them speak of the stacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# of `environment.json`, with what each is called. The seed and the checkout's revision may differ; so may what the
# calibration of the generator found, which is a measurement itself.
MUST_AGREE: Mapping[str, str] = {
    "cpu": "processor",
    "cpus": "cores",
    "memory_gib": "memory, GiB",
    "kernel": "kernel",
    "system": "system",
    "virtual": "virtual machine",
    "runtime": "runtime",
    "python": "Python",
    "postgres": "PostgreSQL",
    "nginx": "Nginx",
    "delay": "delay server",
    "window_s": "window, s",
}
SETTINGS: Mapping[str, str] = {"warmup_s": "warm-up, s", "shards": "shards of the generator"}  # of `plan.json`


@dataclass(frozen=True)
class Conditions:
    environment: Mapping[str, Any]
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]  # digests by path


@dataclass(frozen=True)
class Mismatch:
    what: str
    a: str
    b: str


def mismatches(a: Conditions, b: Conditions) -> list[Mismatch]:
    """List what keeps two runs from being compared; stacks do not, nor workloads that only one of them has."""
    both = {path: path for path in a.inputs if path in b.inputs and not path.startswith("stacks/")}
    tables = (
        (a.environment, b.environment, MUST_AGREE),
        (a.settings, b.settings, SETTINGS),
        (a.inputs, b.inputs, both),
    )
    return [
        Mismatch(name, told(one.get(key)), told(other.get(key)))
        for one, other, names in tables
        for key, name in names.items()
        if one.get(key) != other.get(key)
    ]


def told(value: object) -> str:
    return "–" if value is None else str(value)
