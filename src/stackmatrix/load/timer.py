"""One precise timer for the event loop: a Linux timerfd (to some 30 µs), else the loop's own (to 1 ms)."""

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from time import monotonic as clock
from typing import Final

CLOCK_MONOTONIC: Final = 1
NONBLOCK_CLOEXEC: Final = 0o2004000
ABSOLUTE: Final = 1


class TimerFd:
    """An alarm on a timerfd; OSError or AttributeError where the system has none."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._fd = libc.timerfd_create(CLOCK_MONOTONIC, NONBLOCK_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = (ctypes.c_long * 4)()  # interval and first expiry, each as seconds and nanoseconds
        self._pointer = ctypes.byref(self._spec)
        self._loop = loop
        self._ring = ring
        loop.add_reader(self._fd, self._expired)

    def set(self, at: float) -> None:
        seconds = int(at)
        self._spec[2] = seconds
        self._spec[3] = int((at - seconds) * 1e9) or 1  # all zero would disarm it
        self._settime(self._fd, ABSOLUTE, self._pointer, None)

    def _expired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # moved since it expired
            return
        self._ring()

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


class LoopTimer:
    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at: float) -> None:
        self.close()
        self._handle = self._loop.call_later(max(0.0, at - clock()), self._ring)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


# calls back once at an instant of CLOCK_MONOTONIC, or at once when it is past; setting it again moves it
Alarm = TimerFd | LoopTimer


def alarm(loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> Alarm:
    if sys.platform == "linux":
        try:
            return TimerFd(loop, ring)
        except (OSError, AttributeError):
            pass
    return LoopTimer(loop, ring)
