"""What two runs must have in common before a difference between them speaks of the stacks."""

import pytest

from stackmatrix.analysis.comparability import Conditions, mismatches

ENVIRONMENT = ["cpu", "cpus", "memory_gib", "kernel", "system", "virtual", "runtime", "python", "postgres", "nginx"]


@pytest.mark.parametrize("key", [*ENVIRONMENT, "delay", "window_s"])
def test_the_environment_must_agree(key: str) -> None:
    one, other = (Conditions({key: value, "revision": value}, {}, {}) for value in ("1", "2"))
    assert mismatches(one, one) == []
    (found,) = mismatches(one, other)
    assert (found.a, found.b) == ("1", "2")
    (gone,) = mismatches(one, Conditions({}, {}, {}))
    assert (gone.a, gone.b) == ("1", "–")


@pytest.mark.parametrize("key", ["warmup_s", "shards"])
def test_the_plan_s_settings_must_agree(key: str) -> None:
    (found,) = mismatches(Conditions({}, {key: 1}, {}), Conditions({}, {key: 2}, {}))
    assert (found.a, found.b) == ("1", "2")
