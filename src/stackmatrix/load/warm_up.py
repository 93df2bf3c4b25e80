"""When a window may open, how long it and its drain last: by the response time that the warm-up saw."""

import math

from stackmatrix.load.generator import Pace, Progress
from stackmatrix.load.job import WHOLE_RESPONSES, LoadJob, Open

LONGEST_WARM_UP_S = 10.0  # that is waited for two response times
LONGEST_FITTED_S = 12.0  # to which a window is lengthened for slow answers
SILENT_WINDOW_S = 4.0  # where the warm-up saw no answer at all
WARM_RESPONSES = 2.0  # response times of a warm-up, at least
FIT_MARGIN = 1.1  # of a response time, which differs from request to request
LONGEST_RESPONSE_S = LONGEST_FITTED_S / WHOLE_RESPONSES / FIT_MARGIN
LEAST_ANSWERS = 10  # that a window should hold
SPAN = 2  # ticks of the generator, ten a second


class WarmUp:
    """Lasts WARM_RESPONSES response times at least, and then until throughput holds or `warmup_s` are over.

    Throughput holds when two spans of 0.2 s in a row differ by less than a tenth, or by less than three standard
    deviations of a count. After `longest_s` the window opens whatever was seen. With `fit_window` the window is
    lengthened to WHOLE_RESPONSES response times and LEAST_ANSWERS answers, up to LONGEST_FITTED_S. Response times that
    no such window can hold are not waited for: a long queue before one slot is answered in an even stream.
    """

    def __init__(self, warmup_s: float, longest_s: float, fit_window: bool) -> None:
        self.longest_s = max(warmup_s, longest_s)
        self._warmup_s = warmup_s
        self._fit_window = fit_window
        self._seen: list[Progress] = []

    def steady(self, progress: Progress) -> bool:
        self._seen.append(progress)
        if progress.at < WARM_RESPONSES * self._response_s and not self._endless:
            return False
        return progress.at >= self._warmup_s or self._holds()

    @property
    def _response_s(self) -> float:
        """The longest of the latest requests' times and, by Little's law, of what is under way; infinite before any."""
        latest = self._seen[-2 * SPAN - 1 :]
        if not latest or latest[-1].response_s is None:
            return math.inf
        ended = latest[-1].ended - latest[0].ended
        by_law = latest[-1].under_way * (latest[-1].at - latest[0].at) / ended if ended else 0.0
        return max(by_law, *(seen.response_s for seen in latest if seen.response_s is not None))

    @property
    def _endless(self) -> bool:
        """Whether the latest answer took longer than any window can hold three times."""
        return (self._seen[-1].response_s or 0.0) > LONGEST_RESPONSE_S if self._seen else False

    def _holds(self) -> bool:
        if len(self._seen) <= 2 * SPAN:
            return False
        last, middle, first = (self._seen[-1 - i * SPAN].ended for i in range(3))
        now, earlier = last - middle, middle - first
        return abs(now - earlier) <= max(0.1 * earlier, 3 * (now + earlier) ** 0.5) and now > 0

    def pace(self, job: LoadJob) -> Pace:
        """Set the lengths of window and drain; answers of users that would outlast the drain are not waited for."""
        waited_for = isinstance(job.load, Open) or FIT_MARGIN * self._response_s <= job.drain_s
        return Pace(max(job.duration_s, self._whole_s()), job.drain_s if waited_for else 0.0)

    def _whole_s(self) -> float:
        if not self._fit_window:
            return 0.0
        if self._response_s == math.inf or not self._seen[-1].ended:
            return SILENT_WINDOW_S
        each_s = self._seen[-1].at / self._seen[-1].ended
        whole_s = 0.0 if self._endless else WHOLE_RESPONSES * self._response_s
        return min(FIT_MARGIN * max(whole_s, LEAST_ANSWERS * each_s), LONGEST_FITTED_S)
