"""What failed requests tell of their cause: how they ended, after how long, and whose time-out that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stackmatrix.catalog.stacks import LATE_S, POOL_WAIT_S, Setting
from stackmatrix.formatting import duration
from stackmatrix.results.trial import Failure

NEAR: Final = 0.05  # of a time-out: what fails later or earlier did not fail by it

ENDINGS: Final = {
    "status": "with status {status}",
    "body": "with status {status} and another body than the right one",
    "timeout": "without a whole answer",
    "connect": "for want of a connection",
    "closed": "by a connection that was closed or reset early",
    "protocol": "with what is not HTTP/1.1",
}


@dataclass(frozen=True)
class TimeOut:
    what: str
    ending: str
    status: int = 0
    setting: str | None = None  # the stack's, in seconds
    seconds: float | None = None  # without a setting; None where only this time-out ends requests so
    server: str | None = None  # the only one that has it
    late_s: float = 0.0  # how long after it requests may fail, for they also wait before it begins

    def ended(self, failure: Failure, settings: Mapping[str, Setting]) -> bool:
        """Tell whether requests failed in its way and after its time, on a stack that has it."""
        if (failure.ending, failure.status) != (self.ending, self.status):
            return False
        if self.server is not None and settings.get("server") != self.server:
            return False
        if self.setting is None and self.seconds is None:
            return True
        limit_s = self.seconds if self.setting is None else settings.get(self.setting)
        if not isinstance(limit_s, int | float):
            return False
        return -NEAR * limit_s <= failure.after_ms / 1000 - limit_s <= max(NEAR * limit_s, self.late_s)

    def named(self, settings: Mapping[str, Setting]) -> str:
        return self.what if self.setting is None else f"{self.what} ({self.setting.upper()}={settings[self.setting]})"


TIME_OUTS: Final = (
    TimeOut("the load's own time-out", "timeout"),
    TimeOut("the wait for a database connection", "status", 503, seconds=POOL_WAIT_S, late_s=LATE_S),
    TimeOut("the wait for an upstream", "status", 504, setting="http_timeout", late_s=LATE_S),
    TimeOut("Gunicorn's wait for a worker's sign of life", "closed", setting="worker_timeout", server="gunicorn"),
)


def failure_words(failure: Failure, settings: Mapping[str, Setting]) -> str:
    """Say how and after how long requests failed, and whose time-out that is, if it is a known one."""
    told = f"{ENDINGS[failure.ending].format(status=failure.status)} after {duration(failure.after_ms / 1000)}"
    known = [each.named(settings) for each in TIME_OUTS if each.ended(failure, settings)]
    return ": ".join([told, *known])
