"""The explaining pass: where a request's time goes, as the application times it with SERVER_TIMING on.

Some of the load's users are observers, which read the whole head of each answer; what they see of the application's
phases, beside the response time as they saw it, is the answer. Headline trials never have this on.
"""

import os
import re
import socket
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import cycle
from statistics import fmean

from stackmatrix.catalog.stacks import Variant
from stackmatrix.catalog.workloads import Workload
from stackmatrix.contract.client import Client, NoAnswer
from stackmatrix.errors import UserError
from stackmatrix.http import Request
from stackmatrix.load.generator import Edge
from stackmatrix.measure.offered_load import LEAST_TIMEOUT_S
from stackmatrix.measure.trial import Bench, extra_fields, extra_trial
from stackmatrix.meter.upstreams import activity
from stackmatrix.results.explain import Explained, Phases
from stackmatrix.results.plan import Arm, Load, Timing
from stackmatrix.runtime.base import Runtime, Service

SETTING = "server_timing"
MOST_OBSERVERS = 4
USERS_PER_OBSERVER = 8
OPEN_SHARE = 0.05
"""Of an open load, that its observer asks at most."""
LEAST_ASKED = 4
"""Times in a window that the observer of an open load asks even so."""
SAMPLE_EVERY_S = 0.05

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = r'"(?:[^"\\]|\\.)*"'
PARAMETER = rf";\s*({TOKEN})(?:\s*=\s*({TOKEN}|{QUOTED}))?\s*"
METRIC = re.compile(rf"\s*({TOKEN})\s*((?:{PARAMETER})*)(?:,|$)")
MILLISECONDS = re.compile(r'("?)([0-9]+(?:\.[0-9]+)?)\1')


def parse(header: str) -> dict[str, float]:
    """The seconds of each phase of a `Server-Timing` header (W3C Server Timing, in ms); none where it breaks off.

    A phase that is told more than once counts with all its times; one without a duration is left out.
    """
    found: dict[str, float] = {}
    at = 0
    while at < len(header) and (metric := METRIC.match(header, at)):
        at = metric.end()
        parameters = {name.lower(): value for name, value in reversed(re.findall(PARAMETER, metric[2]))}
        if duration := MILLISECONDS.fullmatch(parameters.get("dur", "")):
            found[metric[1].lower()] = found.get(metric[1].lower(), 0.0) + float(duration[2]) / 1000
    return found


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to an observer; instants are CLOCK_MONOTONIC seconds."""

    sent: float
    ended: float
    phases: Mapping[str, float]


class Observers:
    """Users with one request under way at a time, each in a thread of its own, on the generator's cores."""

    def __init__(
        self, service: Service, requests: Sequence[Request], number: int, pause_s: float, cpus: Collection[int]
    ) -> None:
        self.answers: list[Answer] = []
        self._service = service
        self._requests = requests
        self._pause_s = pause_s
        self._cpus = cpus
        self._stop = threading.Event()
        self._connections: list[Client] = []
        self._threads = [threading.Thread(target=self._ask, name="observer", daemon=True) for _ in range(number)]

    def __enter__(self) -> "Observers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        for connection in self._connections:
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
        for thread in self._threads:
            thread.join()

    def let_go(self) -> None:
        """Nothing more is asked; what is under way may still be answered."""
        self._stop.set()

    def _ask(self) -> None:
        os.sched_setaffinity(0, self._cpus)
        with suppress(NoAnswer), Client(self._service, LEAST_TIMEOUT_S) as connection:
            self._connections.append(connection)
            for request in cycle(self._requests):
                if self._stop.is_set():
                    return
                sent = time.monotonic()
                answer = connection.ask(request)
                ended = time.monotonic()
                if request.expected.matches(answer.status, answer.body):
                    self.answers.append(Answer(sent, ended, parse(answer.header("server-timing") or "")))
                self._stop.wait(self._pause_s)


class Sessions:
    """Samples how many of a stack's database sessions are at work."""

    def __init__(self, runtime: Runtime, stack: str) -> None:
        self.active: list[int] = []
        self.idle: list[int] = []
        self._runtime = runtime
        self._stack = stack
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="sessions", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the database is then anybody's to ask again."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _sample(self) -> None:
        with suppress(UserError):
            while not self._stop.wait(SAMPLE_EVERY_S):
                active, idle = activity(self._runtime, self._stack)
                self.active.append(active)
                self.idle.append(idle)


def timed(variant: Variant) -> Variant:
    """The same variant, which tells its phases."""
    return Variant(variant.stack, {**variant.changed, SETTING: True})


def explain(bench: Bench, service: Service, arm: Arm, workload: Workload, timing: Timing) -> Explained:
    """Put a service that tells its phases under the arm's load once, and see where its requests' time goes.

    Raises UserError when a server or the generator is gone.
    """
    load, number, pause_s = shared_out(arm.load, timing)
    observers = Observers(service, workload.requests(), number, pause_s, bench.cores(service).generator)
    sessions = Sessions(bench.runtime, service.stack.name) if workload.effects().statements else None

    def at_edge(edge: Edge) -> None:
        if edge == "start" and sessions:
            sessions.start()
        if edge == "end":
            observers.let_go()
            if sessions:
                sessions.stop()

    try:
        trial = extra_trial(bench, service, replace(arm, load=load), workload, timing, at_edge, observers)
    finally:
        if sessions:
            sessions.stop()
    client = trial.client
    inside = [answer for answer in observers.answers if client.window_start <= answer.ended < client.window_end]
    phases = means([answer for answer in inside if "total" in answer.phases])
    if phases is not None and sessions and sessions.active:
        phases = replace(phases, sessions_active=fmean(sessions.active), sessions_idle=fmean(sessions.idle))
    whole = replace(
        client, answered=client.answered + len(inside), goodput=client.goodput + len(inside) / client.window_s
    )
    return Explained(
        **extra_fields(replace(trial, client=whole)),
        missing=None if phases else missing(inside, client.window_s),
        observers=number,
        threads=trial.server.threads,
        phases=phases,
    )


def shared_out(load: Load, timing: Timing) -> tuple[Load, int, float]:
    """The generator's part of a load, the number of observers, and how long each pauses after an answer.

    Observers take the place of users, so that the load stays what it was; a single user has to be joined by one.
    """
    if load.kind == "closed":
        users = load.users or 1
        number = min(MOST_OBSERVERS, max(1, users // USERS_PER_OBSERVER))
        return replace(load, users=max(1, users - number)), number, load.think_s
    rate = load.rate or 1.0
    pause_s = min(1 / (OPEN_SHARE * rate), timing.window_s / LEAST_ASKED)
    return replace(load, rate=rate * (1 - OPEN_SHARE)), 1, pause_s


def means(answers: Sequence[Answer]) -> Phases | None:
    """The mean of every phase; None without an answer. A phase that some answers lack took no time in those."""
    if not answers:
        return None

    def mean(name: str) -> float | None:
        seen = [answer.phases[name] for answer in answers if name in answer.phases]
        return sum(seen) / len(answers) if seen else None

    return Phases(
        requests=len(answers),
        response_s=fmean(answer.ended - answer.sent for answer in answers),
        total_s=mean("total") or 0.0,
        queue_s=mean("queue"),
        db_s=mean("db"),
        gather_s=mean("gather"),
        encode_s=mean("encode"),
        lag_s=mean("lag"),
    )


def missing(answers: Sequence[Answer], window_s: float) -> str:
    """Why there are no phases."""
    if answers:
        return "the answers have no Server-Timing header with a total"
    return f"no observer was answered in the window of {window_s:.1f} s"
