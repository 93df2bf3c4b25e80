"""Every stack and workload of a checkout, by name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stackmatrix.catalog.stacks import Stack, load_stacks
from stackmatrix.catalog.workloads import Workload, load_workloads
from stackmatrix.errors import pick

ALL = "all"  # in place of a workload's name


@dataclass(frozen=True)
class Catalog:
    stacks: Mapping[str, Stack]
    workloads: Mapping[str, Workload]

    @classmethod
    def of_checkout(cls) -> "Catalog":
        return cls(load_stacks(), load_workloads())

    def chosen(self, names: Iterable[str]) -> list[Workload]:
        """Look up workloads; `all` names every one. Raises UserError for a name that none has."""
        names = list(names)
        wanted = self.workloads if ALL in names else names
        return [pick("workload", name, self.workloads) for name in wanted]
