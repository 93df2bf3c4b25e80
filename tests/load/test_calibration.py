"""The generator's ceiling is a property of generator and machine, not of who else was about."""

import os

import psutil
import pytest

from stackmatrix.load.calibration import Calibration, calibrate
from stackmatrix.load.generator import GeneratorError

LAST = max(os.sched_getaffinity(0))


@pytest.mark.clock
def test_two_calibrations_agree_and_leave_nobody_behind() -> None:
    first, second = (calibrate({LAST}) for _ in range(2))
    for one in (first, second):
        assert one.generator_share <= 1.05
        assert one.ceiling == pytest.approx(1e6 / one.cpu_us_per_request, rel=0.05)
        assert one.rps <= one.ceiling * 1.05
    assert 0.4 < first.ceiling / second.ceiling < 2.5
    assert not psutil.Process().children()


@pytest.mark.clock
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two shards need two cores")
def test_shards_add_up() -> None:
    both = calibrate(os.sched_getaffinity(0), shards=2)
    assert both.ceiling == pytest.approx(2e6 / both.cpu_us_per_request, rel=0.05)


def test_a_server_that_held_it_back_is_taken_out() -> None:
    free, held = Calibration(80_000, 12.0, 0.96), Calibration(20_000, 12.0, 0.24)
    assert free.ceiling == pytest.approx(held.ceiling)


def test_a_core_that_is_not_there() -> None:
    with pytest.raises(GeneratorError, match="core 4095"):
        calibrate({4095})
