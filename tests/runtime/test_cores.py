"""How CPUs are shared out between stack, generator and upstreams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.cores import Cores, share_cores

CPUS = st.sets(st.integers(0, 127), min_size=1, max_size=64)
WORKERS = st.integers(1, 128)


@given(CPUS, WORKERS)
def test_everyone_gets_cpus_that_are_there(cpus: set[int], workers: int) -> None:
    cores = share_cores(sorted(cpus), workers)
    for part in (cores.stack, cores.generator, cores.upstreams):
        assert part
        assert set(part) <= cpus


@given(CPUS, WORKERS)
def test_nobody_shares_a_cpu_with_the_stack_where_there_are_two(cpus: set[int], workers: int) -> None:
    cores = share_cores(sorted(cpus), workers)
    others = {*cores.generator, *cores.upstreams}
    assert bool(set(cores.stack) & others) == (len(cpus) == 1)


@given(CPUS, WORKERS)
def test_generator_and_upstreams_share_only_where_there_are_fewer_than_three(cpus: set[int], workers: int) -> None:
    assert share_cores(sorted(cpus), workers).shared == (len(cpus) < 3)


@given(CPUS, WORKERS)
def test_the_stack_gets_a_cpu_for_each_worker_while_there_are_enough(cpus: set[int], workers: int) -> None:
    assert len(share_cores(sorted(cpus), workers).stack) == max(1, min(workers, len(cpus) - 2))


@given(CPUS, WORKERS)
def test_no_cpu_is_left_idle(cpus: set[int], workers: int) -> None:
    cores = share_cores(sorted(cpus), workers)
    assert {*cores.stack, *cores.generator, *cores.upstreams} == cpus


@given(st.permutations(range(6)), WORKERS)
def test_the_order_in_which_cpus_are_given_does_not_matter(cpus: list[int], workers: int) -> None:
    assert share_cores(cpus, workers) == share_cores(range(6), workers)


def test_two_cpus() -> None:
    assert share_cores([0, 1], 4) == Cores((0,), (1,), (1,))


@pytest.mark.parametrize(("cpus", "shards"), [([], 1), ([0, 1], 2), ([0, 1, 2], 3)])
def test_too_few_cpus_are_refused(cpus: list[int], shards: int) -> None:
    with pytest.raises(ValueError, match=f"{len(cpus)} CPUs for a stack and {shards} processes of the generator"):
        share_cores(cpus, shards=shards)


def test_each_shard_of_the_generator_has_its_own_cpu() -> None:
    assert share_cores(range(4), shards=2) == Cores((0,), (1, 2), (3,))
    assert share_cores(range(3), shards=2) == Cores((0,), (1, 2), (1, 2))
    assert share_cores(range(8), workers=4, shards=2) == Cores((0, 1, 2, 3), (4, 5), (6, 7))
