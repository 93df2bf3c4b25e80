"""Both alarms ring when they should, once."""

import asyncio
import statistics
from collections.abc import Callable
from time import monotonic as clock

import pytest
import uvloop

from stackmatrix.load.timer import Alarm, LoopTimer, TimerFd, alarm

Make = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Alarm]


@pytest.mark.parametrize("make", [TimerFd, LoopTimer])
@pytest.mark.parametrize("loop_factory", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_it_rings_once_at_the_instant_last_set(
    make: Make, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def run() -> None:
        rings: list[float] = []
        timer = make(asyncio.get_running_loop(), lambda: rings.append(clock()))
        began = clock()
        timer.set(began + 10)
        timer.set(began + 0.05)
        await asyncio.sleep(0.2)
        assert len(rings) == 1
        assert -0.001 <= rings[0] - began - 0.05 < 0.1
        timer.set(began)
        await asyncio.sleep(0.05)
        assert len(rings) == 2
        timer.set(clock() + 0.02)
        timer.close()
        await asyncio.sleep(0.05)
        assert len(rings) == 2

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(run())


def test_the_one_chosen_is_precise() -> None:
    async def run() -> list[float]:
        late: list[float] = []
        due = 0.0
        timer = alarm(asyncio.get_running_loop(), lambda: late.append(clock() - due))
        for _ in range(50):
            due = clock() + 0.0033
            timer.set(due)
            await asyncio.sleep(0.008)
        timer.close()
        return late

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        late = runner.run(run())
    assert len(late) >= 45
    assert min(late) >= 0
    assert statistics.median(late) < 0.0005
