"""SIGTERM under load: every request that was in flight gets its full answer, and the stack ends with exit code 0."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice, repeat

from stackmatrix.catalog.stacks import Wait
from stackmatrix.contract.answer import Deviation
from stackmatrix.contract.client import Client, Flight
from stackmatrix.contract.endpoints import get
from stackmatrix.contract.exchange import Exchange, Subject, boiled
from stackmatrix.contract.overlap import PATHS
from stackmatrix.http import Request

WAIT_MS = 3_000
OF_ALL_KINDS = 12
SURPLUS = 20  # requests beyond the slots: received, and waiting inside for one to come free
SENT_BEFORE_S = 1.0
EXIT_WITHIN_S = 5.0  # after the last answer


def graceful_stop(subject: Subject) -> Iterator[Deviation]:
    """Send the signal while requests wait for each kind of thing, with an idle connection beside them."""
    service = subject.service
    exchanges = requests_in_flight(service.variant.slots("timer"))
    with Client(service) as idle, ThreadPoolExecutor(1) as aside:
        idle.ask(Request("GET", "/sleep?ms=0"))
        with Flight(service, [exchange.request for exchange in exchanges]) as flight:
            time.sleep(SENT_BEFORE_S)  # the requests are to be under way by then; not a wait for readiness
            ending = aside.submit(subject.runtime.terminate, service)
            replies = flight.land()
            answered = time.perf_counter()
            code = ending.result()
            lingered = time.perf_counter() - answered
    for exchange, reply in zip(exchanges, replies, strict=True):
        yield from exchange.judge(boiled(reply.outcome))
    if code != 0:
        yield Deviation("exit code after SIGTERM", "0", str(code))
    if lingered > EXIT_WITHIN_S:
        yield Deviation("end after the last answer", f"within {EXIT_WITHIN_S:g} s", f"after {lingered:.1f} s")


def requests_in_flight(slots: int | None) -> list[Exchange]:
    """Choose each kind of wait in turn, then timers beyond the slots; no more than the slots if these are few."""
    waited: dict[Wait, object] = {"timer": [WAIT_MS], "database": WAIT_MS, "upstream": [WAIT_MS]}
    kinds = [get(f"{PATHS[wait]}?ms={WAIT_MS}", {"waited_ms": answer}) for wait, answer in waited.items()]
    if slots is not None and slots < OF_ALL_KINDS:
        return list(islice(cycle(kinds), slots))
    timers = max(slots or 0, OF_ALL_KINDS) - OF_ALL_KINDS + SURPLUS
    return [*islice(cycle(kinds), OF_ALL_KINDS), *repeat(kinds[0], timers)]
