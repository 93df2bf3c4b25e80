"""Requests drawn from contract/openapi.yaml: none may end in a 5xx, or in an answer that the document does not know."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from stackmatrix.catalog import ROOT
from stackmatrix.contract.answer import Deviation, readable
from stackmatrix.contract.client import TIMEOUT_S
from stackmatrix.contract.exchange import Subject
from stackmatrix.runtime.base import Service

DOCUMENT = ROOT / "contract" / "openapi.yaml"
LONGEST_MS = 5
CONFORMANCE = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.positive_data_acceptance,
    checks.negative_data_rejection,
]

Operation = schemathesis.APIOperation[Any, Any, Any, Any]


def with_short_waits() -> schemathesis.BaseSchema:
    """Load the document, and cut each valid wait that is drawn from it down to a short one, which is valid too."""
    schema = schemathesis.openapi.from_path(DOCUMENT, config=schemathesis.Config())

    @schema.hook
    def map_query(_context: schemathesis.HookContext, query: dict[str, Any] | None) -> dict[str, Any] | None:
        if query and type(query.get("ms")) is int and 0 <= query["ms"] <= 60_000:
            query["ms"] %= LONGEST_MS + 1
        return query

    return schema


def operations(schema: schemathesis.BaseSchema) -> Iterator[Operation]:
    for found in schema.get_all_operations():
        if not isinstance(found, Ok):
            raise found.err()
        yield found.ok()


def drawn_requests(subject: Subject) -> Iterator[Deviation]:
    """Draw from every operation; its first wrong answer is shown with the request that got it."""
    subject.runtime.reset_notes()
    drawn = product(operations(with_short_waits()), schemathesis.GenerationMode)
    with requests.Session() as session:
        for operation, mode in subject.steps(list(drawn)):
            holds = property_of(operation, mode, subject.service, session)
            try:
                with suppress(Unsatisfiable):  # nothing to break in an operation without parameters
                    holds()
            except FailureGroup as failures:
                for failure in failures.exceptions:
                    title = f"{failure.operation}: {failure.title}"
                    yield Deviation(title, "an answer that contract/openapi.yaml knows", failure.message)


def property_of(
    operation: Operation,
    mode: schemathesis.GenerationMode,
    service: Service,
    session: requests.Session,
) -> Callable[[], None]:
    """Make the property of one operation, ready to be tried: its own answers and no others."""

    @seed(20_090)
    @settings(
        max_examples=25,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def holds(case: schemathesis.Case[Any]) -> None:
        response = case.call(f"http://{service.host}:{service.port}", session, timeout=TIMEOUT_S)
        try:
            case.validate_response(response, CONFORMANCE)
        except FailureGroup as failures:
            for failure in failures.exceptions:
                asked = f"{response.request.method} {response.request.path_url}"
                came = f"{response.status_code} {readable(response.content[:300])}"
                failure.message = f"{failure.message}\n\n{asked}\n{came}"
            raise

    return holds
