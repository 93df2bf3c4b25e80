"""A thousand requests of all kinds over one connection that the server never closes."""

from collections.abc import Iterator
from itertools import cycle, islice

from stackmatrix.contract.answer import Deviation, compact, essence, problem, success
from stackmatrix.contract.client import Client, NoAnswer
from stackmatrix.contract.endpoints import JSON, get
from stackmatrix.contract.exchange import Exchange, Subject
from stackmatrix.http import Request

REQUESTS = 1_000  # over one connection: no stack may close it before, by a limit on requests or otherwise


def kept_connection(subject: Subject) -> Iterator[Deviation]:
    """Hold every answer on one connection to the one that is due; stop at the first deviation."""
    subject.runtime.reset_notes()
    with Client(subject.service) as connection:
        for number, exchange in enumerate(subject.steps(list(islice(cycle(mixture()), REQUESTS))), 1):
            try:
                found = exchange.judge(essence(connection.ask(exchange.request)))
            except NoAnswer as error:
                found = exchange.judge(NoAnswer(f"request {number} of {REQUESTS} on one connection: {error}"))
            yield from found
            if found:
                return


def mixture() -> list[Exchange]:
    """Return one exchange of each kind, refusals too; not those after which the document lets a connection end."""
    note = b'{"id":1,"title":"t","description":"d"}'
    draft = b'{"title":"t","description":"d"}'
    return [
        Exchange(Request("PUT", "/notes/1", draft, JSON), success(note)),
        Exchange(Request("GET", "/notes/1"), success(note)),
        Exchange(Request("GET", "/notes/?limit=1"), success(b"[" + note + b"]")),
        get("/healthz", {"status": "ok"}),
        get("/sleep?ms=1&n=2&mode=parallel", {"waited_ms": [1, 1]}),
        get("/query?ms=1", {"waited_ms": 1}),
        get("/http?ms=1&n=2", {"waited_ms": [1, 1]}),
        get("/notes/?after=9999999999", []),
        Exchange(Request("DELETE", "/notes/9999999999"), problem(404)),
        Exchange(Request("POST", "/notes/", compact({"title": ""}), JSON), problem(422)),
        Exchange(Request("POST", "/notes/", draft), problem(415)),
        Exchange(Request("POST", "/json?size=small", draft, JSON), problem(405, "GET")),
        Exchange(Request("GET", "/nowhere"), problem(404)),
    ]
