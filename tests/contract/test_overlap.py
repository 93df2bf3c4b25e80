"""The capacity that is measured is the capacity that is there, whatever the requests cost beside waiting."""

import math

from hypothesis import assume, given
from hypothesis import strategies as st

from stackmatrix.contract.overlap import MANY, WAVE_EARLY, WAVE_LATE, Burst, CapacityRange, capacity_of, sizes_around

slots = st.integers(1, 2_000)
cost = st.floats(-WAVE_EARLY * 0.9, WAVE_LATE * 0.9)  # of a wait, beside the waits themselves


def taken(k: int, capacity: float, cost: float, wait_s: float = 1.0) -> Burst:
    """What an idle stack of this capacity takes for k requests."""
    return Burst(k, wait_s, (math.ceil(k / capacity) + cost) * wait_s)


@given(slots, st.data())
def test_a_stack_of_the_declared_capacity_is_measured_exactly(capacity: int, data: st.DataObject) -> None:
    loads = [taken(k, capacity, data.draw(cost)) for k in sizes_around(capacity)]
    found = capacity_of(loads)
    assert found == CapacityRange(capacity, capacity)
    assert found.confirms(capacity)


@given(slots, slots, st.data())
def test_no_other_capacity_passes_for_the_declared_one(declared: int, capacity: int, data: st.DataObject) -> None:
    assume(declared != capacity)
    found = capacity_of([taken(k, capacity, data.draw(cost)) for k in sizes_around(declared)])
    assert found is not None
    assert not found.confirms(declared)
    assert found.least <= capacity <= (found.most or math.inf)


@given(slots, cost)
def test_an_unlimited_stack_holds_all_and_a_limited_one_does_not(capacity: int, cost: float) -> None:
    k = sizes_around(None)[-1]
    free = capacity_of([Burst(k, 1.0, 1.0 + cost)])
    assert free is not None
    assert free.confirms(None)
    assert free.least == MANY
    bound = capacity_of([taken(k, capacity, cost)])
    assert bound is not None
    assert bound.confirms(None) == (capacity >= MANY)


def test_a_time_between_two_whole_numbers_of_waits_says_nothing() -> None:
    assert Burst(10, 2.0, 3.4).waves is None
    assert capacity_of([Burst(10, 2.0, 3.4), Burst(11, 2.0, 4.0)]) is None


def test_an_answer_before_its_wait_is_no_wave() -> None:
    assert Burst(10, 1.0, 0.5).waves is None


def test_loads_that_no_one_capacity_explains_clash() -> None:
    assert capacity_of([Burst(10, 1.0, 3.0), Burst(20, 1.0, 1.0)]) is None


def test_a_load_fits_the_capacity_that_explains_it() -> None:
    assert Burst(11, 1.0, 2.1).fits(10)
    assert not Burst(11, 1.0, 1.1).fits(10)
    assert Burst(400, 1.0, 1.4).fits(None)
    assert not Burst(400, 1.0, 1.8).fits(None)


def test_one_slot_is_told_from_two() -> None:
    assert sizes_around(1) == [1, 2]
    assert str(capacity_of([Burst(1, 1.0, 1.01), Burst(2, 1.0, 2.02)])) == "1"
    assert str(capacity_of([Burst(1, 1.0, 1.01), Burst(2, 1.0, 1.02)])) == "at least 2"
    assert str(capacity_of([Burst(100, 1.0, 3.0)])) == "34 to 49"
