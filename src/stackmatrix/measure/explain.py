"""Explain where a request's time goes: an extra trial in which observers read the phases in answers' heads."""

import os
import re
import socket
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import cycle
from statistics import fmean

from stackmatrix.catalog.stacks import Variant
from stackmatrix.catalog.workloads import Workload
from stackmatrix.contract.client import Client, NoAnswer
from stackmatrix.http import Request
from stackmatrix.load.generator import Edge
from stackmatrix.measure.offered_load import LEAST_TIMEOUT_S
from stackmatrix.measure.trial import Bench, extra_fields, extra_trial
from stackmatrix.meter.meter import repeating
from stackmatrix.meter.upstreams import activity
from stackmatrix.results.explain import Explained, Phases
from stackmatrix.results.plan import Arm, Load, Timing
from stackmatrix.runtime.base import Service

PHASES_SETTING = "server_timing"
MOST_OBSERVERS = 4
USERS_PER_OBSERVER = 8
OPEN_SHARE = 0.05  # of an open load, that its observer asks at most
LEAST_ASKED = 4  # times in a window that the observer of an open load asks even so
SAMPLE_EVERY_S = 0.05

HEADER_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED_STRING = r'"(?:[^"\\]|\\.)*"'
PARAMETER = rf";\s*({HEADER_TOKEN})(?:\s*=\s*({HEADER_TOKEN}|{QUOTED_STRING}))?\s*"
TIMING_METRIC = re.compile(rf"\s*({HEADER_TOKEN})\s*((?:{PARAMETER})*)(?:,|$)")
MILLISECONDS = re.compile(r'("?)([0-9]+(?:\.[0-9]+)?)\1')


def parse_server_timing(header: str) -> dict[str, float]:
    """Read seconds by phase from `Server-Timing` (W3C, in ms) up to where it is broken; a phase's times add up."""
    found: dict[str, float] = {}
    at = 0
    while at < len(header) and (metric := TIMING_METRIC.match(header, at)):
        at = metric.end()
        parameters = {name.lower(): value for name, value in reversed(re.findall(PARAMETER, metric[2]))}
        if duration := MILLISECONDS.fullmatch(parameters.get("dur", "")):
            found[metric[1].lower()] = found.get(metric[1].lower(), 0.0) + float(duration[2]) / 1000
    return found


@dataclass(frozen=True, slots=True)
class ObservedAnswer:
    """One answer to an observer; instants are CLOCK_MONOTONIC seconds."""

    sent: float
    ended: float
    phases: Mapping[str, float]


class Observers:
    """Asks as some of the load's users, each in a thread of its own, on the generator's cores."""

    def __init__(
        self, service: Service, requests: Sequence[Request], number: int, pause_s: float, cpus: Collection[int]
    ) -> None:
        self.answers: list[ObservedAnswer] = []
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
        """Ask nothing more; what is under way may still be answered."""
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
                    phases = parse_server_timing(answer.header("server-timing") or "")
                    self.answers.append(ObservedAnswer(sent, ended, phases))
                self._stop.wait(self._pause_s)


def with_phases(variant: Variant) -> Variant:
    return Variant(variant.stack, {**variant.changed, PHASES_SETTING: True})


def explain(bench: Bench, service: Service, arm: Arm, workload: Workload, timing: Timing) -> Explained:
    """Put a service with SERVER_TIMING on under the arm's load, and average its phases; UserError if one is gone."""
    load, number, pause_s = split_load(arm.load, timing)
    observers = Observers(service, workload.requests(), number, pause_s, bench.cores(service).generator)
    sessions: list[tuple[int, int]] = []
    sampling, name = ExitStack(), service.stack.name

    def at_edge(edge: Edge) -> None:
        if edge == "start" and workload.effects().statements:
            sampling.enter_context(repeating(lambda: sessions.append(activity(bench.runtime, name)), SAMPLE_EVERY_S))
        if edge == "end":
            observers.let_go()
            sampling.close()  # which leaves the database free for others to ask

    with sampling:
        trial = extra_trial(bench, service, replace(arm, load=load), workload, timing, at_edge, observers)
    client = trial.client
    inside = [answer for answer in observers.answers if client.window_start <= answer.ended < client.window_end]
    phases = mean_phases([answer for answer in inside if "total" in answer.phases])
    if phases is not None and sessions:
        active, idle = zip(*sessions, strict=True)
        phases = replace(phases, sessions_active=fmean(active), sessions_idle=fmean(idle))
    whole = replace(
        client, answered=client.answered + len(inside), goodput=client.goodput + len(inside) / client.window_s
    )
    return Explained(
        **extra_fields(replace(trial, client=whole)),
        missing=None if phases else why_no_phases(inside, client.window_s),
        observers=number,
        threads=trial.server.threads,
        phases=phases,
    )


def split_load(load: Load, timing: Timing) -> tuple[Load, int, float]:
    """Split a load into the generator's part and observers in place of users, with their pause after an answer."""
    if load.kind == "closed":
        users = load.users or 1
        number = min(MOST_OBSERVERS, max(1, users // USERS_PER_OBSERVER))
        return replace(load, users=max(1, users - number)), number, load.think_s
    rate = load.rate or 1.0
    pause_s = min(1 / (OPEN_SHARE * rate), timing.window_s / LEAST_ASKED)
    return replace(load, rate=rate * (1 - OPEN_SHARE)), 1, pause_s


def mean_phases(answers: Sequence[ObservedAnswer]) -> Phases | None:
    """Average every phase; None without an answer. A phase that some answers lack took no time in those."""
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


def why_no_phases(answers: Sequence[ObservedAnswer], window_s: float) -> str:
    if answers:
        return "the answers have no Server-Timing header with a total"
    return f"no observer was answered in the window of {window_s:.1f} s"
