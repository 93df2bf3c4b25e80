"""contract/openapi.yaml is a valid document, and table, titles and workloads say what it says."""

import re
from typing import Any

import pytest
import yaml

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import LATE_S, POOL_WAIT_S
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.contract import faults, keepalive, overlap, shutdown
from stackmatrix.contract.answer import TITLES, Essence, methods
from stackmatrix.contract.bad_inputs import CASES, LIMIT, Stored
from stackmatrix.contract.properties import DOCUMENT, operations, with_short_waits

SPEC: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
ANYWHERE = {404, 405}  # an unknown path or method belongs to no operation


def path_of(target: str) -> str | None:
    """The document's path that a target belongs to."""
    asked = target.partition("?")[0]
    return next((path for path in SPEC["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), asked)), None)


def declared(path: str, method: str) -> dict[str, Any]:
    """The operation of a path."""
    operation: dict[str, Any] = SPEC["paths"][path][method.lower()]
    return operation


def test_the_document_is_valid() -> None:
    schema = with_short_waits()
    schema.validate()
    labels = {operation.label for operation in operations(schema)}
    assert len(labels) == 12
    assert "PUT /notes/{id}" in labels


def test_every_problem_has_the_title_of_its_status() -> None:
    told = {}
    for response in SPEC["components"]["responses"].values():
        for media_type, content in response.get("content", {}).items():
            if media_type == "application/problem+json":
                properties = content["schema"]["properties"]
                told[properties["status"]["const"]] = properties["title"]["const"]
    assert told == TITLES


@pytest.mark.parametrize("workload", load_workloads().values(), ids=load_workloads())
def test_workloads_ask_what_the_document_knows(workload: Any) -> None:
    for request in {workload.requests()[0], workload.requests()[-1]}:
        path = path_of(request.target)
        assert path is not None
        operation = declared(path, request.method)
        assert str(request.expected.status) in operation["responses"]


def test_the_table_is_well_formed() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({str(case.exchange(1)) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_has_an_answer_that_the_document_knows(case: Any) -> None:
    path, due = path_of(case.request.target), case.due
    if isinstance(due, Stored):
        assert len(case.request.body) <= LIMIT
        assert (path, case.request.method) == ("/notes/", "POST")
    elif due.status == 405:
        allowed = [key.upper() for key in SPEC["paths"][path] if key != "parameters"]
        assert dict(due.headers)["allow"] == methods(allowed)
        assert case.request.method not in allowed
    elif path is None:
        assert due.status == 404
    else:
        assert str(due.status) in declared(path, case.request.method)["responses"]


def test_every_refusal_is_in_the_table() -> None:
    seen = {case.due.status for case in CASES if isinstance(case.due, Essence)}
    assert seen == {200, 404, 405, 413, 415, 422}


@pytest.mark.parametrize("document", [SPEC["info"]["description"], (ROOT / "CONTRIBUTING.md").read_text("utf-8")])
def test_what_the_checks_demand_is_written_down(document: str) -> None:
    said = " ".join(document.split())
    assert f"{keepalive.REQUESTS:,} requests".replace(",", " ") in said
    assert f"exit code 0 within {shutdown.EXIT_WITHIN_S:g} s" in said
    assert f"within {faults.REFUSAL_S:g} s" in said
    assert re.search(f"[Ww]ithin {faults.RECOVERY_S:g} s of (its|their) return", said)
    assert re.search(f"(after|within) {POOL_WAIT_S:g} s", said)


def test_the_document_gives_the_latest_answers_of_slow_upstreams() -> None:
    said = SPEC["info"]["description"]
    assert f"at most {POOL_WAIT_S + LATE_S:g} s" in said
    assert f"at most {LATE_S:g} s later" in said
    assert f"holds {overlap.MANY} requests" in said
