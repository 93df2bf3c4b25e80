"""Every endpoint's exact answer: status, headers, and the body byte for byte."""

import re
from collections.abc import Iterator, Mapping

import orjson

from stackmatrix.catalog.stacks import Setting, Stack
from stackmatrix.catalog.workloads import Workload, fixture, load_workloads
from stackmatrix.contract.answer import DELETED, Deviation, Essence, compact, deviations, essence, problem, success
from stackmatrix.contract.client import NoAnswer, Response, ask_once
from stackmatrix.contract.exchange import Exchange, Subject, reply_to
from stackmatrix.http import Request
from stackmatrix.runtime.base import Service

JSON = (("Content-Type", "application/json"),)
VERSION = re.compile(r"[0-9]+(\.[0-9A-Za-z]+)+")


def exact_answers(subject: Subject) -> Iterator[Deviation]:
    subject.runtime.reset_notes()
    for workload in load_workloads().values():
        yield from works(subject.service, workload)
    subject.runtime.reset_notes()
    yield from wrong_identity(subject.service)
    yield from subject.put((*fixed(), *refusals()))
    yield from subject.put(life_cycle(newest(subject.service)))


def spot_check(service: Service) -> list[Deviation]:
    """Check every endpoint and one refusal of each kind, in seconds; the notes it makes are gone afterwards."""
    exchanges = (*fixed(), *refusals(), *life_cycle(newest(service)))
    differences = (exchange.judge(reply_to(service, exchange.request)) for exchange in exchanges)
    return [*wrong_identity(service), *(one for found in differences for one in found)]


def fixed() -> Iterator[Exchange]:
    """Yield the requests whose answers depend on nothing but the request."""
    yield get("/healthz", {"status": "ok"})
    for ms in (0, 1, 20):
        yield get(f"/query?ms={ms}", {"waited_ms": ms})
    for path in ("/sleep", "/http"):
        yield get(f"{path}?ms=1", {"waited_ms": [1]})
        yield get(f"{path}?ms=0&n=100&mode=parallel", {"waited_ms": [0] * 100})
        for mode in ("sequential", "chained", "parallel"):
            yield get(f"{path}?ms=5&n=3&mode={mode}", {"waited_ms": [5, 5, 5]})
    for n in (1, 2, 20, 100):
        files = b",".join(fixture(f"data/{i:03}.json") for i in range(n))
        yield Exchange(Request("GET", f"/data?n={n}"), success(b"[" + files + b"]"))
    for size in ("small", "medium", "large"):
        yield Exchange(Request("GET", f"/json?size={size}"), success(fixture(f"json/{size}.json")))


def refusals() -> Iterator[Exchange]:
    yield Exchange(Request("GET", "/nowhere"), problem(404))
    yield Exchange(Request("POST", "/sleep?ms=1"), problem(405, allow="GET"))
    yield Exchange(Request("POST", "/notes/", b" " * 65_537, JSON), problem(413), "65 537 bytes")
    yield Exchange(Request("POST", "/notes/", b"{}"), problem(415), "no Content-Type")
    yield Exchange(Request("GET", "/sleep?ms=60001"), problem(422))


def life_cycle(last: int) -> Iterator[Exchange]:
    """Take two notes from creation to deletion, in a table that nobody else writes to and whose last id is `last`."""
    one, two = last + 1, last + 2
    here, there = f"/notes/{one}", f"/notes/{two}"
    text, changed_text = "äöü 漢字 🎉", '"quoted" \\ / <b>&amp;'
    first, second, changed = (
        note_json(one, "first", text),
        note_json(two, "second", ""),
        note_json(one, "changed", changed_text),
    )
    yield Exchange(draft("POST", "/notes/", "first", text), success(first, 201, here), "the first is made")
    yield Exchange(draft("POST", "/notes/", "second", ""), success(second, 201, there), "the second is made")
    yield Exchange(Request("GET", here), success(first), "the first is read")
    yield Exchange(draft("PUT", here, "changed", changed_text), success(changed), "the first is changed")
    yield Exchange(Request("GET", here), success(changed), "the change is read")
    yield Exchange(Request("GET", f"/notes/?after={last}&limit=1"), success(b"[%b]" % changed), "a page of one")
    yield Exchange(Request("GET", f"/notes/?after={last}"), success(b"[%b,%b]" % (changed, second)), "a page of both")
    yield Exchange(Request("DELETE", here), DELETED, "the first is deleted")
    yield Exchange(Request("GET", here), problem(404), "no longer there to read")
    yield Exchange(draft("PUT", here, "again", ""), problem(404), "no longer there to change")
    yield Exchange(Request("DELETE", here), problem(404), "no longer there to delete")
    yield Exchange(Request("DELETE", there), DELETED, "the second is deleted")
    yield Exchange(Request("GET", f"/notes/?after={last}"), success(b"[]"), "an empty page")


def newest(service: Service) -> int:
    """Learn the table's last id by making a note and deleting it; 0 where that fails."""
    try:
        made = ask_once(service, draft("POST", "/notes/", "newest", ""))
        found = re.match(rb'\{"id":([1-9][0-9]{0,17}),', made.body)
        if found:
            ask_once(service, Request("DELETE", f"/notes/{int(found[1])}"))
        return int(found[1]) if found else 0
    except NoAnswer:
        return 0


def wrong_identity(service: Service) -> list[Deviation]:
    """Hold `/` to the manifest: name, settings in force, versions of what is watched, a process number."""
    request = Request("GET", "/")
    due = success(described(service.stack, service.settings))
    try:
        return deviations(request, due, masked(ask_once(service, request)))
    except NoAnswer as error:
        return deviations(request, due, error)


def described(stack: Stack, settings: Mapping[str, Setting]) -> bytes:
    """Write the identity that the manifest promises, the free values masked, members sorted."""
    versions = dict.fromkeys({"python", *stack.packages}, "…")
    whole = {"stack": stack.name, "settings": dict(settings), "versions": versions, "pid": 1}
    return orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)


def masked(answer: Response) -> Essence:
    """Mask the versions of an identity that look like versions, and the pid if it is one; sort the members."""
    seen = essence(answer)
    try:
        told = orjson.loads(answer.body)
        if list(told) != ["stack", "settings", "versions", "pid"] or compact(told) != answer.body:
            return seen
        told["versions"] = {k: "…" if VERSION.fullmatch(v) else v for k, v in told["versions"].items()}
        told["pid"] = 1 if type(told["pid"]) is int and told["pid"] > 0 else told["pid"]
    except (orjson.JSONDecodeError, TypeError, AttributeError):
        return seen
    return Essence(seen.status, seen.headers, orjson.dumps(told, option=orjson.OPT_SORT_KEYS))


def works(service: Service, workload: Workload) -> Iterator[Deviation]:
    """Hold the workload's first and last request to the answer that its file gives."""
    requests = workload.requests()
    for request in dict.fromkeys((requests[0], requests[-1])):
        got, expected = reply_to(service, request), request.expected
        if isinstance(got, NoAnswer) or not expected.matches(got.status, got.body):
            due = Essence(expected.status, () if isinstance(got, NoAnswer) else got.headers, expected.example)
            yield from deviations(f"workload {workload.name}: {request}", due, got)


def get(target: str, answer: object) -> Exchange:
    return Exchange(Request("GET", target), success(compact(answer)))


def draft(method: str, target: str, title: str, description: str) -> Request:
    return Request(method, target, compact({"title": title, "description": description}), JSON)


def note_json(number: int, title: str, description: str) -> bytes:
    return compact({"id": number, "title": title, "description": description})
