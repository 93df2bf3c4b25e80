"""Whether two runs were measured in the same way: only then does a difference between them speak of the stacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
"""Of `environment.json`, with what each is called. The seed and the checkout's revision may differ; so may what the
calibration of the generator found, which is a measurement itself."""

SETTINGS: Mapping[str, str] = {"warmup_s": "warm-up, s", "shards": "shards of the generator"}
"""Of `plan.json`."""


@dataclass(frozen=True)
class Difference:
    """Something that should be the same, and is not."""

    what: str
    a: str
    b: str


def differences(
    environments: tuple[Mapping[str, Any], Mapping[str, Any]],
    plans: tuple[Mapping[str, Any], Mapping[str, Any]],
    inputs: tuple[Mapping[str, str], Mapping[str, str]],
) -> list[Difference]:
    """What keeps two runs from being compared: machine, software, settings, and inputs other than the stacks.

    `inputs` are digests by path; of the workloads only those count that both runs have.
    """
    found = [
        Difference(name, told(one.get(key)), told(other.get(key)))
        for (one, other), keys in ((environments, MUST_AGREE), (plans, SETTINGS))
        for key, name in keys.items()
        if one.get(key) != other.get(key)
    ]
    both = [path for path in inputs[0] if path in inputs[1] and not path.startswith("stacks/")]
    return [*found, *(Difference(path, *(each[path] for each in inputs)) for path in both if differs(path, inputs))]


def differs(path: str, inputs: tuple[Mapping[str, str], Mapping[str, str]]) -> bool:
    """Whether an input changed between two runs."""
    return inputs[0][path] != inputs[1][path]


def told(value: object) -> str:
    """A value as the table shows it."""
    return "–" if value is None else str(value)
