"""The user class of a job, for `locust -f locustfile.py` beside a `job.pickle`; every request becomes a row."""

import os
import pickle
import time
from http.client import HTTPException
from pathlib import Path
from time import monotonic as clock
from typing import Any

import gevent  # type: ignore[import-untyped]
from geventhttpclient.response import HTTPConnectionClosed
from locust import constant, events, task
from locust.contrib.fasthttp import FastHttpUser

from stackmatrix.load.job import Closed, LoadJob, Prepared, prepared
from stackmatrix.load.recorder import Ending, Recorder
from stackmatrix.load.tools.base import MARKS

with Path("job.pickle").open("rb") as file:
    given: Any = pickle.load(file)
job: LoadJob = given[0]
recorder = Recorder(given[1])
following = prepared(job)


class JobUser(FastHttpUser):
    host = f"http://{job.authority}"
    wait_time = constant(job.load.think_s if isinstance(job.load, Closed) else 0.0)
    connection_timeout = network_timeout = job.timeout_s

    def on_start(self) -> None:
        """Count a connection that closes without an answer as a failure: geventhttpclient would try once more than its
        pool has places, and tell nobody."""
        client: Any = self.client.client.clientpool.get_client(self.host)
        client._connection_pool.size = -1  # only read for this, once the pool is made

    @task
    def ask(self) -> None:
        wanted = next(following)
        body: Any = wanted.data.partition(b"\r\n\r\n")[2] or None  # bytes are taken, though not declared
        with self.client.request(
            wanted.source.method,
            wanted.source.target,
            name=job.kinds[wanted.kind].name,
            data=body,
            headers=headers_of(wanted),
            catch_response=True,
            allow_redirects=False,
            context={"wanted": wanted},
        ) as response:
            if wanted.expected.has_status(response.status_code):
                response.success()
            else:
                response.failure(f"status {response.status_code}")


def headers_of(wanted: Prepared) -> dict[str, str]:
    """Return the request's headers, but those that locust writes; ask for no encoding, as the others do."""
    own = {name: value for name, value in wanted.source.headers if name.lower() != "content-length"}
    return {"Accept-Encoding": "identity", **own}


def keep(response_time: float, response_length: int, response: Any, start_time: float, context: Any, **_: Any) -> None:
    wanted: Prepared = context["wanted"]
    started = start_time + offset
    status = response.status_code or 0
    recorder.take(
        became(wanted, status, getattr(response, "error", None)),
        wanted.kind,
        started,
        started,
        end=started + response_time / 1e3,
        size=response_length,
        status=status,
    )
    if len(recorder.rows) > 1 << 16:
        recorder.flush()


def became(wanted: Prepared, status: int, error: BaseException | None) -> Ending:
    if status:
        return Ending.OK if wanted.expected.has_status(status) else Ending.STATUS
    failures: dict[type[BaseException], Ending] = {
        TimeoutError: Ending.TIMEOUT,
        ConnectionRefusedError: Ending.CONNECT,
        HTTPConnectionClosed: Ending.CLOSED,
        HTTPException: Ending.PROTOCOL,
    }
    cause = getattr(error, "original", error)  # what the client gave up over
    return next((found for kind, found in failures.items() if isinstance(cause, kind)), Ending.CLOSED)


def mark_edge(edge: str) -> None:
    if MARKS in os.environ:
        os.write(int(os.environ[MARKS]), f"{edge} {clock()}\n".encode())


offset = clock() - time.time()
hooks: Any = events
# The run's timer counts from when the event loop last looked at the clock, which was before all the imports.
hooks.init.add_listener(lambda **_: gevent.get_hub().loop.update_now())
hooks.request.add_listener(keep)
hooks.test_start.add_listener(lambda **_: mark_edge("start"))
hooks.test_stopping.add_listener(lambda **_: mark_edge("end"))
hooks.quitting.add_listener(lambda **_: recorder.close())
