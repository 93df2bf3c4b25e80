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

OnStep = Callable[[int, int], None]
"""Hears how far a check is: how many of its steps are done, of how many."""


class NotApplicable(Exception):  # noqa: N818 - no error
    """A check that this stack cannot be put to; the message says why."""


@dataclass(frozen=True)
class Exchange:
    """A request, the answer that is due, and a name where the request alone does not tell it from others."""

    request: Request
    due: Essence
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.request}" if self.name else str(self.request)

    def judge(self, got: Essence | NoAnswer) -> list[Deviation]:
        """The difference between the answer that was due and what came; empty when there is none."""
        return deviations(self, self.due, got)


@dataclass(frozen=True)
class Subject:
    """One running stack, and what it has answered so far to the requests that every stack must answer alike."""

    service: Service
    runtime: Runtime
    transcript: dict[str, Essence] = field(default_factory=dict)
    on_step: OnStep = lambda _done, _of: None

    def steps(self, steps: Sequence[Stepped]) -> Iterator[Stepped]:
        """Go through the steps of a check, and tell how many are done."""
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
    """What the contract fixes of the answer, or why there was none."""
    try:
        return essence(ask_once(service, request))
    except NoAnswer as error:
        return error


def boiled(answer: Response | NoAnswer) -> Essence | NoAnswer:
    """The essence of an answer, if it is one."""
    return essence(answer) if isinstance(answer, Response) else answer


def disagreements(one: str, reference: Transcript, other: str, transcript: Transcript) -> Iterator[Deviation]:
    """Where two stacks answered the same request differently, whatever was due."""
    for asked, got in transcript.items():
        if asked in reference:
            yield from deviations(f"{asked}, {one} against {other}", reference[asked], got)
