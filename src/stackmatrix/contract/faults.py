"""What a stack says while something that it needs is down, and that it works again by itself afterwards."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import orjson

from stackmatrix.catalog.stacks import LATE_S, POOL_WAIT_S
from stackmatrix.catalog.workloads import fixture
from stackmatrix.contract.answer import Deviation, problem, success
from stackmatrix.contract.client import Flight, NoAnswer, Reply, Response, ask_once, together
from stackmatrix.contract.endpoints import draft, get, note_json
from stackmatrix.contract.exchange import Exchange, NotApplicable, Subject, boiled, reply_to
from stackmatrix.http import Request
from stackmatrix.runtime.base import Service, Upstream

REFUSAL_S = POOL_WAIT_S + 2.0  # the longest that any stack may think about a database that is down
RECOVERY_S = 10.0

READ = Exchange(Request("GET", "/notes/1"), success(note_json(1, "note 1", "description of note 1")))
QUERY = get("/query?ms=1", {"waited_ms": 1})
SLEEP = get("/sleep?ms=1", {"waited_ms": [1]})
HTTP = get("/http?ms=1", {"waited_ms": [1]})
HEALTH = get("/healthz", {"status": "ok"})


def database_down(subject: Subject) -> Iterator[Deviation]:
    """Stop Postgres under a running query: 503 where it is needed, all else as before; then start it again."""
    subject.runtime.reset_notes()
    needs_it = [HEALTH.request, READ.request, QUERY.request, draft("POST", "/notes/", "t", "d")]
    with same_process(subject) as same:
        with Flight(subject.service, [Request("GET", "/query?ms=9000")]) as flight:
            time.sleep(0.5)  # the query is to run by then; not a wait for readiness
            with down(subject, "postgres"):
                yield from refuses(flight.land(), [Request("GET", "/query?ms=9000")], 503, None)
                for request in needs_it:
                    yield from refuses(together(subject.service, [request]), [request], 503, REFUSAL_S)
                yield from SLEEP.judge(reply_to(subject.service, SLEEP.request))
        yield from recovers(subject.service, [READ, QUERY, HEALTH], int(subject.service.settings["db_pool"]))
        yield from same()


def upstream_down(subject: Subject) -> Iterator[Deviation]:
    """Stop the delay server, then Nginx: 502 where it is needed, all else as before; then start it again."""
    upstreams: tuple[tuple[Upstream, Exchange, Exchange], ...] = (
        ("delay", HTTP, one_file()),
        ("nginx", one_file(), HTTP),
    )
    with same_process(subject) as same:
        for upstream, needs_it, needs_other in upstreams:
            with down(subject, upstream):
                yield from refuses(together(subject.service, [needs_it.request]), [needs_it.request], 502, REFUSAL_S)
                yield from needs_other.judge(reply_to(subject.service, needs_other.request))
                yield from SLEEP.judge(reply_to(subject.service, SLEEP.request))
            yield from recovers(subject.service, [needs_it, SLEEP], 10)
        yield from same()


def pool_wait(subject: Subject) -> Iterator[Deviation]:
    """Send more long queries than pooled connections: those without one get 503, the others their full answer."""
    service, pool = subject.service, int(subject.service.settings["db_pool"])
    handlers = service.variant.slots("timer")
    asked = pool + 3
    if handlers is not None and handlers < asked:
        raise NotApplicable(f"{handlers} requests in flight cannot use {pool} connections up")
    long = get("/query?ms=7000", {"waited_ms": 7000})
    replies = together(service, [long.request] * asked)
    served = [reply for reply in replies if isinstance(reply.outcome, Response) and reply.outcome.status == 200]
    others = [reply for reply in replies if reply not in served]
    if len(served) != pool:
        yield Deviation(f"{asked} × {long}", f"{pool} times 200", f"{len(served)} times 200")
    for reply in served:
        yield from long.judge(boiled(reply.outcome))
    yield from refuses(others, [long.request] * len(others), 503, POOL_WAIT_S + LATE_S, POOL_WAIT_S - 0.5)
    yield from recovers(service, [QUERY], pool)


def upstream_timeout(subject: Subject) -> Iterator[Deviation]:
    """Call an upstream that is slower than HTTP_TIMEOUT: 504 when that has passed, and the next call works."""
    limit = float(subject.service.settings["http_timeout"])
    for target, calls in (("/http?ms=5000", 1), ("/http?ms=5000&n=3&mode=parallel", 3)):
        slow = Request("GET", target)
        latest = limit * (1 if subject.overlaps else calls) + LATE_S
        yield from refuses(together(subject.service, [slow]), [slow], 504, latest, limit - 0.1)
    yield from recovers(subject.service, [HTTP, one_file()], 10)


def one_file() -> Exchange:
    return Exchange(Request("GET", "/data?n=1"), success(b"[%b]" % fixture("data/000.json")))


def refuses(
    replies: Iterable[Reply], requests: Iterable[Request], status: int, within_s: float | None, after_s: float = 0.0
) -> Iterator[Deviation]:
    """Hold each reply to this problem, not sooner than `after_s` and not later than `within_s`."""
    for reply, request in zip(replies, requests, strict=True):
        found = Exchange(request, problem(status)).judge(boiled(reply.outcome))
        yield from found
        if not found and not after_s <= reply.seconds <= (within_s or reply.seconds):
            expected = f"{status} within {after_s:g} to {within_s:g} s"
            yield Deviation(str(request), expected, f"{status} after {reply.seconds:.1f} s")


def recovers(service: Service, exchanges: Iterable[Exchange], together_now: int) -> Iterator[Deviation]:
    """Wait until every pooled connection serves again: so many requests at once, all with their full answer."""
    for exchange in exchanges:
        deadline = time.monotonic() + RECOVERY_S
        while found := wrong(service, exchange, together_now):
            if time.monotonic() > deadline:
                yield Deviation(f"{exchange}, {RECOVERY_S:g} s after recovery", found.expected, found.got)
                break


def wrong(service: Service, exchange: Exchange, times: int) -> Deviation | None:
    try:
        replies = together(service, [exchange.request] * times)
    except NoAnswer as error:
        return exchange.judge(error)[0]
    return next((found for reply in replies for found in exchange.judge(boiled(reply.outcome))), None)


@contextmanager
def down(subject: Subject, upstream: Upstream) -> Iterator[None]:
    """Stop the upstream inside the context, and have it healthy again after it."""
    subject.runtime.stop_upstream(upstream)
    try:
        yield
    finally:
        subject.runtime.start_upstream(upstream)


@contextmanager
def same_process(subject: Subject) -> Iterator[Callable[[], Iterator[Deviation]]]:
    """Yield a check that the stack has come through in the process that it had before, without a restart."""
    before = pid(subject.service)
    alone = subject.service.settings.get("workers", 1) == 1  # which of several workers answers is luck

    def same() -> Iterator[Deviation]:
        if (after := pid(subject.service)) != before and alone:
            yield Deviation("the process behind GET /", str(before), str(after))

    yield same


def pid(service: Service) -> object:
    return orjson.loads(ask_once(service, Request("GET", "/")).body).get("pid")
