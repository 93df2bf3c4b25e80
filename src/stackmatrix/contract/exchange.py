"""Request and expected-response pairs, and running them against one stack."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from stackmatrix.contract.answer import Deviation, Essence, deviations, essence
from stackmatrix.contract.client import NoAnswer, Response, ask_once
from stackmatrix.http import Request
from stackmatrix.runtime.base import Runtime, Service

Transcript = Mapping[str, Essence]
Stepped = TypeVar("Stepped")

OnStep = Callable[[int, int], None]  # hears how far a check is: how many of its steps are done, of how many


class NotApplicable(Exception):  # noqa: N818 - no error
    """A check that does not apply to this stack; the message says why."""


@dataclass(frozen=True)
class Exchange:
    request: Request
    due: Essence
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.request}" if self.name else str(self.request)

    def judge(self, got: Essence | NoAnswer) -> list[Deviation]:
        return deviations(self, self.due, got)


@dataclass(frozen=True)
class Subject:
    """One running stack under check, with its answers so far to what every stack must answer alike."""

    service: Service
    runtime: Runtime
    transcript: dict[str, Essence] = field(default_factory=dict)
    on_step: OnStep = lambda _done, _of: None

    def steps(self, steps: Sequence[Stepped]) -> Iterator[Stepped]:
        for done, step in enumerate(steps):
            self.on_step(done, len(steps))
            yield step
        self.on_step(len(steps), len(steps))

    @property
    def overlaps(self) -> bool:
        """Whether waits can overlap at all: gathering calls that block the loop gains nothing."""
        return self.service.stack.concurrency != "blocked-loop"

    def put(self, exchanges: Iterable[Exchange]) -> Iterator[Deviation]:
        """Go through the exchanges in order, record the answers, and yield what differs from the due ones."""
        for exchange in exchanges:
            got = reply_to(self.service, exchange.request)
            if isinstance(got, Essence):
                self.transcript[str(exchange)] = got
            yield from exchange.judge(got)


def reply_to(service: Service, request: Request) -> Essence | NoAnswer:
    """Send a request; return the essence of its answer, or why there was none."""
    try:
        return essence(ask_once(service, request))
    except NoAnswer as error:
        return error


def boiled(answer: Response | NoAnswer) -> Essence | NoAnswer:
    return essence(answer) if isinstance(answer, Response) else answer
