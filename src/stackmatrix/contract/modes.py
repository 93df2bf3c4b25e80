"""The waits inside one request really follow one another, or really overlap, and each upstream call is made once."""

import time
from collections.abc import Iterator

from stackmatrix.contract.answers import get
from stackmatrix.contract.dialogue import Subject, outcome
from stackmatrix.contract.essence import Difference

MS = 150
N = 5
MODES = ("sequential", "chained", "parallel")


def check(subject: Subject) -> Iterator[Difference]:
    """The number of waits that each mode takes one after another, and of calls that the upstream saw."""
    for path in ("/sleep", "/http"):
        for mode in MODES:
            expected = 1 if mode == "parallel" and subject.overlaps else N
            exchange = get(f"{path}?ms={MS}&n={N}&mode={mode}", {"waited_ms": [MS] * N})
            calls = subject.runtime.counters()["received"]
            started = time.perf_counter()
            yield from exchange.judge(outcome(subject.service, exchange.request))
            waits = int((time.perf_counter() - started) * 1000 / MS + 0.05)
            if waits != expected:
                yield Difference(str(exchange), f"{expected} × {MS} ms in turn", f"{waits} × {MS} ms in turn")
            calls = subject.runtime.counters()["received"] - calls
            if calls != (due := N if path == "/http" else 0):
                yield Difference(str(exchange), f"{due} upstream calls", f"{calls} upstream calls")
