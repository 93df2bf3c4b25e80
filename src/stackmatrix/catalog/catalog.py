"""Every stack and workload of a checkout, by name."""

from collections.abc import Mapping
from dataclasses import dataclass

from stackmatrix.catalog.stacks import Stack, load_stacks
from stackmatrix.catalog.workloads import Workload, load_workloads


@dataclass(frozen=True)
class Catalog:
    stacks: Mapping[str, Stack]
    workloads: Mapping[str, Workload]

    @classmethod
    def of_checkout(cls) -> "Catalog":
        return cls(load_stacks(), load_workloads())
