"""The user class of a plan, for locust: `locust -f locustfile.py` beside a `plan.pickle`.

Every request becomes a row as the generator's own does, for locust's histogram has two digits only.
"""

import os
import pickle
import time
from http.client import HTTPException
from pathlib import Path
from time import monotonic as clock
from typing import Any, Final

import gevent  # type: ignore[import-untyped]
from geventhttpclient.response import HTTPConnectionClosed
from locust import constant, events, task
from locust.contrib.fasthttp import FastHttpUser

from stackmatrix.load.job import Closed, Exchange, LoadJob, exchanges
from stackmatrix.load.recorder import CHUNK_BYTES, Recorder, Verdict
from stackmatrix.load.tools.base import MARKS
from stackmatrix.load.tools.request import Asked, authority, parse, rightful

FAILURES: Final[dict[type[BaseException], Verdict]] = {
    TimeoutError: Verdict.TIMEOUT,
    ConnectionRefusedError: Verdict.CONNECT,
    HTTPConnectionClosed: Verdict.CLOSED,
    HTTPException: Verdict.PROTOCOL,
}

with Path("plan.pickle").open("rb") as file:
    given: Any = pickle.load(file)
plan: LoadJob = given[0]
recorder = Recorder(given[1])
following = exchanges(plan.kinds, plan.seed)
think_s = plan.load.think_s if isinstance(plan.load, Closed) else 0.0


class PlanUser(FastHttpUser):
    """Sends the plan's next request, and waits."""

    host = f"http://{authority(plan)}"
    wait_time = constant(think_s)
    connection_timeout = network_timeout = plan.timeout_s

    def on_start(self) -> None:
        """Have a connection that closes without an answer be a failure: geventhttpclient would try once more than its
        pool has places, and tell nobody."""
        client: Any = self.client.client.clientpool.get_client(self.host)
        client._connection_pool.size = -1  # only read for this, once the pool is made

    @task
    def ask(self) -> None:
        """One request; its status decides whether it was right."""
        exchange = next(following)
        asked = parse(exchange.request)
        body: Any = asked.body or None  # bytes are taken, though not declared
        with self.client.request(
            asked.method,
            asked.target,
            name=plan.kinds[exchange.kind].name,
            data=body,
            headers=headers(asked),
            catch_response=True,
            allow_redirects=False,
            context={"exchange": exchange},
        ) as response:
            if rightful(exchange, response.status_code):
                response.success()
            else:
                response.failure(f"status {response.status_code}")


def headers(asked: Asked) -> dict[str, str]:
    """The plan's own, but those that locust writes; no encoding is asked for, as by the other generators."""
    own = authority(plan)
    return {"Accept-Encoding": "identity"} | {
        name: value
        for name, value in asked.headers
        if name.lower() != "content-length" and (name.lower(), value) != ("host", own)
    }


def keep(response_time: float, response_length: int, response: Any, start_time: float, context: Any, **_: Any) -> None:
    """Take the row of a request."""
    exchange: Exchange = context["exchange"]
    started = start_time + offset
    status = response.status_code or 0
    recorder.take(
        verdict(exchange, status, getattr(response, "error", None)),
        exchange.kind,
        started,
        started,
        end=started + response_time / 1e3,
        size=response_length,
        status=status,
    )
    if len(recorder.rows) > CHUNK_BYTES:
        recorder.flush()


def verdict(exchange: Exchange, status: int, error: BaseException | None) -> Verdict:
    """What became of a request."""
    if status:
        return Verdict.OK if rightful(exchange, status) else Verdict.STATUS
    cause = getattr(error, "original", error)  # what the client gave up over
    return next((found for kind, found in FAILURES.items() if isinstance(cause, kind)), Verdict.CLOSED)


def mark(edge: str) -> None:
    """Tell whoever started this that the load starts, or ends."""
    if MARKS in os.environ:
        os.write(int(os.environ[MARKS]), f"{edge} {clock()}\n".encode())


offset = clock() - time.time()
hooks: Any = events
# The run's timer counts from when the event loop last looked at the clock, which was before all the imports.
hooks.init.add_listener(lambda **_: gevent.get_hub().loop.update_now())
hooks.request.add_listener(keep)
hooks.test_start.add_listener(lambda **_: mark("start"))
hooks.test_stopping.add_listener(lambda **_: mark("end"))
hooks.quitting.add_listener(lambda **_: recorder.close())
