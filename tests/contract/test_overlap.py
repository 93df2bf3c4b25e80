"""The capacity that is measured is the capacity that is there, whatever the requests cost beside waiting."""

import math

from hypothesis import assume, given
from hypothesis import strategies as st

from stackmatrix.contract.overlap import EARLY, LATE, MANY, Capacity, Load, loads_around, measured

slots = st.integers(1, 2_000)
cost = st.floats(-EARLY * 0.9, LATE * 0.9)  # of a wait, beside the waits themselves


def taken(k: int, capacity: float, cost: float, wait_s: float = 1.0) -> Load:
    """What an idle stack of this capacity takes for k requests."""
    return Load(k, wait_s, (math.ceil(k / capacity) + cost) * wait_s)


@given(slots, st.data())
def test_a_stack_of_the_declared_capacity_is_measured_exactly(capacity: int, data: st.DataObject) -> None:
    loads = [taken(k, capacity, data.draw(cost)) for k in loads_around(capacity)]
    found = measured(loads)
    assert found == Capacity(capacity, capacity)
    assert found.confirms(capacity)


@given(slots, slots, st.data())
def test_no_other_capacity_passes_for_the_declared_one(declared: int, capacity: int, data: st.DataObject) -> None:
    assume(declared != capacity)
    found = measured([taken(k, capacity, data.draw(cost)) for k in loads_around(declared)])
    assert found is not None
    assert not found.confirms(declared)
    assert found.least <= capacity <= (found.most or math.inf)


@given(slots, cost)
def test_an_unlimited_stack_holds_all_and_a_limited_one_does_not(capacity: int, cost: float) -> None:
    k = loads_around(None)[-1]
    free = measured([Load(k, 1.0, 1.0 + cost)])
    assert free is not None
    assert free.confirms(None)
    assert free.least == MANY
    bound = measured([taken(k, capacity, cost)])
    assert bound is not None
    assert bound.confirms(None) == (capacity >= MANY)


def test_a_time_between_two_whole_numbers_of_waits_says_nothing() -> None:
    assert Load(10, 2.0, 3.4).waves is None
    assert measured([Load(10, 2.0, 3.4), Load(11, 2.0, 4.0)]) is None


def test_an_answer_before_its_wait_is_no_wave() -> None:
    assert Load(10, 1.0, 0.5).waves is None


def test_loads_that_no_one_capacity_explains_clash() -> None:
    assert measured([Load(10, 1.0, 3.0), Load(20, 1.0, 1.0)]) is None


def test_a_load_fits_the_capacity_that_explains_it() -> None:
    assert Load(11, 1.0, 2.1).fits(10)
    assert not Load(11, 1.0, 1.1).fits(10)
    assert Load(400, 1.0, 1.4).fits(None)
    assert not Load(400, 1.0, 1.8).fits(None)


def test_one_slot_is_told_from_two() -> None:
    assert loads_around(1) == [1, 2]
    assert str(measured([Load(1, 1.0, 1.01), Load(2, 1.0, 2.02)])) == "1"
    assert str(measured([Load(1, 1.0, 1.01), Load(2, 1.0, 1.02)])) == "at least 2"
    assert str(measured([Load(100, 1.0, 3.0)])) == "34 to 49"
