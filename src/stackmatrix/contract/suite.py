"""The checks by name, and going through them on one stack."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from itertools import chain

from stackmatrix.catalog.stacks import Setting, Variant
from stackmatrix.contract import bad_inputs, endpoints, faults, keepalive, modes, overlap, shutdown
from stackmatrix.contract.answer import Deviation, Essence, deviations
from stackmatrix.contract.client import NoAnswer
from stackmatrix.contract.exchange import NotApplicable, OnStep, Subject, Transcript
from stackmatrix.runtime.base import Runtime, Service

SAME_BYTES = "same-bytes"


@dataclass(frozen=True)
class Check:
    name: str
    about: str
    run: Callable[[Subject], Iterable[Deviation]]
    changed: Mapping[str, Setting] = field(default_factory=dict)
    quick: bool = False
    ends_service: bool = False


def requests_of_the_document(subject: Subject) -> Iterable[Deviation]:
    """Import schemathesis only for the check that needs it."""
    from stackmatrix.contract.properties import drawn_requests

    return drawn_requests(subject)


CHECKS: tuple[Check, ...] = (
    Check("answers", "every endpoint's exact answer", endpoints.exact_answers, quick=True),
    Check("bad-inputs", "hostile, broken and odd requests", bad_inputs.hostile_requests, quick=True),
    Check("modes", "waits in turn or together, calls counted at the upstream", modes.wait_modes, quick=True),
    Check("keep-alive", "1 000 requests over one connection", keepalive.kept_connection, quick=True),
    Check("properties", "requests drawn from openapi.yaml", requests_of_the_document),
    Check("overlap", "measured capacity against the declared one", overlap.declared_capacity),
    Check("pool-wait", "503 when no pooled connection comes free", faults.pool_wait),
    Check("database-down", "Postgres stopped and started", faults.database_down),
    Check("upstream-down", "delay server and Nginx stopped and started", faults.upstream_down),
    Check("shutdown", "SIGTERM under load", shutdown.graceful_stop, ends_service=True),
    Check("upstream-slow", "504 over the time-out", faults.upstream_timeout, changed={"http_timeout": 1}),
)


@dataclass(frozen=True)
class Result:
    variant: str
    check: str
    seconds: float
    deviations: tuple[Deviation, ...] = ()
    skipped: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing deviated; a check that does not apply is no failure."""
        return not self.deviations


class Visit(AbstractContextManager["Visit"]):
    """Makes checks of one variant in any order; restarts it only for other settings or after its end, leaves it up."""

    def __init__(self, runtime: Runtime, variant: Variant) -> None:
        self.variant = variant
        self.transcript: dict[str, Essence] = {}
        self._runtime = runtime
        self._open = ExitStack()
        self._service: Service | None = None
        self._ended = False

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._ended and kind is None:
            self._serving({})
        self._leave()

    def run(self, check: Check, on_step: OnStep = lambda _done, _of: None) -> Result:
        """Make one check, which tells how far it is; UserError when the stack cannot be brought up for it."""
        service = self._serving(check.changed)
        started = time.monotonic()
        deviations: tuple[Deviation, ...] = ()
        skipped: str | None = None
        try:
            deviations = tuple(check.run(Subject(service, self._runtime, self.transcript, on_step)))
        except NotApplicable as reason:
            skipped = str(reason)
        except NoAnswer as error:
            deviations = (Deviation(check.about, "an answer", f"no answer: {error}"),)
        finally:
            if check.ends_service:
                self._leave()
                self._ended = True
        return Result(self.variant.label, check.name, time.monotonic() - started, deviations, skipped)

    def _serving(self, changed: Mapping[str, Setting]) -> Service:
        wanted = Variant(self.variant.stack, {**self.variant.changed, **changed})
        if self._service is None or self._service.variant != wanted:
            self._leave()
            self._service = self._open.enter_context(self._runtime.service(wanted))
            self._ended = False
        return self._service

    def _leave(self) -> None:
        self._service = None
        self._open.close()


def same_bytes(transcripts: Mapping[str, Transcript]) -> list[Result]:
    (first, due), *others = transcripts.items()
    found: list[Result] = []
    for name, transcript in others:
        both = (asked for asked in transcript if asked in due)
        apart = [deviations(f"{asked}, {first} against {name}", due[asked], transcript[asked]) for asked in both]
        found.append(Result(name, SAME_BYTES, 0.0, tuple(chain.from_iterable(apart))))
    return found
