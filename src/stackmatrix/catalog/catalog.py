"""Every stack and workload of a checkout, by name."""

from collections.abc import Mapping
from dataclasses import dataclass

from stackmatrix.catalog.stacks import Stack
from stackmatrix.catalog.workloads import Workload


@dataclass(frozen=True)
class Catalog:
    """What the arms' names stand for."""

    stacks: Mapping[str, Stack]
    workloads: Mapping[str, Workload]
