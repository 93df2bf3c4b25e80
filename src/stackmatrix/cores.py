"""How a machine's CPUs are shared out between the stack, the generator and the upstreams."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    stack: tuple[int, ...]
    generator: tuple[int, ...]
    upstreams: tuple[int, ...]

    @property
    def shared(self) -> bool:
        """Whether generator and upstreams share a core: then either may bind, and the verdict must say so."""
        return bool(set(self.generator) & set(self.upstreams))


def share_cores(available: Sequence[int], workers: int = 1, shards: int = 1) -> Cores:
    """Share CPUs out: the stack's workers first, then the generator's shards, then the upstreams.

    On two CPUs generator and upstreams share the second; on one CPU everything shares it.
    Raises ValueError when `available` is empty, or has no CPU for each shard.
    """
    cpus = sorted(available)
    if not cpus or len(cpus) <= shards > 1:
        raise ValueError(f"{len(cpus)} CPUs for a stack and {shards} processes of the generator")
    if len(cpus) == 1:
        return Cores((cpus[0],), (cpus[0],), (cpus[0],))
    stack = max(1, min(workers, len(cpus) - shards - 1))
    generator = cpus[stack : stack + shards]
    return Cores(tuple(cpus[:stack]), tuple(generator), tuple(cpus[stack + shards :]) or tuple(generator))
