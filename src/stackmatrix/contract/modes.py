"""The waits inside one request really follow one another, or really overlap, and each upstream call is made once."""

import time
from collections.abc import Iterator
from itertools import product

from stackmatrix.contract.answer import Deviation
from stackmatrix.contract.endpoints import get
from stackmatrix.contract.exchange import Subject, reply_to

MS, N = 150, 5
SUM_S = MS * N / 1000
IN_TURN_S = SUM_S * 0.95  # timers have grains


def wait_modes(subject: Subject) -> Iterator[Deviation]:
    """Compare how long each mode takes with the sum of its waits, and count the calls that the upstream saw."""
    for path, mode in subject.steps(list(product(("/sleep", "/http"), ("sequential", "chained", "parallel")))):
        exchange = get(f"{path}?ms={MS}&n={N}&mode={mode}", {"waited_ms": [MS] * N})
        calls = subject.runtime.counters()["received"]
        started = time.perf_counter()
        yield from exchange.judge(reply_to(subject.service, exchange.request))
        elapsed = time.perf_counter() - started
        calls = subject.runtime.counters()["received"] - calls
        if mode == "parallel" and subject.overlaps:
            right, words = elapsed < SUM_S / 2, f"waits together: in less than {SUM_S / 2:g} s"
        else:
            right, words = elapsed >= IN_TURN_S, f"waits in turn: in {SUM_S:g} s or more"
        if not right:
            yield Deviation(str(exchange), words, f"{N} waits of {MS} ms in {elapsed:.2f} s")
        if calls != (due := N if path == "/http" else 0):
            yield Deviation(str(exchange), f"{due} upstream calls", f"{calls} upstream calls")
