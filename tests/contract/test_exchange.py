"""One stack under check."""

from typing import Any

from stackmatrix.contract.exchange import Subject


def test_a_check_tells_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []
    nobody: Any = None
    subject = Subject(nobody, nobody, on_step=lambda *step: told.append(step))
    assert list(subject.steps("abc")) == ["a", "b", "c"]
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
