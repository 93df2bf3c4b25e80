"""What failed requests tell of their cause."""

from typing import Any

import pytest

from stackmatrix.analysis.failures import ENDINGS, failure_words
from stackmatrix.results.trial import Errors, Failure

SYNC: dict[str, Any] = {"server": "uvicorn", "worker_timeout": 30, "http_timeout": 65}
GUNICORN = {**SYNC, "server": "gunicorn"}


def words(ending: str, after_ms: float, status: int = 0, settings: dict[str, Any] = SYNC) -> str:
    return failure_words(Failure(ending, status, 24, "notes-create", after_ms), settings)


def test_every_ending_has_words() -> None:
    assert set(ENDINGS) == set(Errors.__slots__)


def test_failures_are_told_with_status_and_time() -> None:
    assert words("status", 12.04, 500) == "with status 500 after 12.0 ms"
    assert words("body", 3.0, 200) == "with status 200 and another body than the right one after 3.00 ms"
    assert words("connect", 1.0) == "for want of a connection after 1.00 ms"


@pytest.mark.parametrize(
    ("told", "named"),
    [
        (words("status", 5004.0, 503), "the wait for a database connection"),
        (words("status", 65_300.0, 504), "the wait for an upstream (HTTP_TIMEOUT=65)"),
        (
            words("closed", 30_000.0, settings=GUNICORN),
            "Gunicorn's wait for a worker's sign of life (WORKER_TIMEOUT=30)",
        ),
        (words("timeout", 800.0), "the load's own time-out"),
    ],
)
def test_a_known_time_out_is_named(told: str, named: str) -> None:
    assert told.endswith(f": {named}")


@pytest.mark.parametrize(
    "told",
    [
        words("status", 5004.0, 500),
        words("status", 5004.0, 504),
        words("status", 65_000.0, 503),
        words("status", 65_000.0, 504, {}),
        words("closed", 30_000.0),  # Uvicorn alone waits for no sign of life
        words("closed", 5000.0, settings=GUNICORN),
        words("protocol", 30_000.0, settings=GUNICORN),
    ],
)
def test_another_ending_status_or_server_has_no_known_time_out(told: str) -> None:
    assert ": " not in told


@pytest.mark.parametrize(
    ("after_ms", "near"), [(4749.0, False), (4751.0, True), (5290.0, True), (6499.0, True), (6501.0, False)]
)
def test_the_pool_s_is_named_as_late_as_the_contract_allows(after_ms: float, near: bool) -> None:
    assert ("database connection" in words("status", after_ms, 503)) is near


@pytest.mark.parametrize(
    ("after_ms", "near"), [(28_499.0, False), (28_501.0, True), (31_499.0, True), (31_501.0, False)]
)
def test_gunicorn_s_is_named_within_five_per_cent(after_ms: float, near: bool) -> None:
    assert ("Gunicorn" in words("closed", after_ms, settings=GUNICORN)) is near
