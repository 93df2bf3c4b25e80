"""Settings that have code of their own: they keep the contract, and the stack runs as the manifest then says."""

from collections.abc import Iterator

import pytest

from stackmatrix.catalog.stacks import load_stacks, parse_variant
from stackmatrix.contract.client import ask_once
from stackmatrix.contract.suite import CHECKS, Visit
from stackmatrix.http import Request
from stackmatrix.measure.preflight import differences, observe
from stackmatrix.runtime.base import Runtime
from stackmatrix.runtime.select import choose

STACKS = load_stacks()
VARIANTS = {
    "fastapi-sync[server=gunicorn,workers=2]": {"answers", "shutdown"},
    "fastapi-sync[db=orm]": {"answers", "bad-inputs", "database-down"},
    "fastapi-async[db=two-statements]": {"answers"},
    "fastapi-async[response=encoder]": {"answers"},
}
"""With the checks that the setting could break."""

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    """The stacks, brought up once."""
    with choose("native", print) as chosen:
        chosen.up(STACKS.values())
        yield chosen


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_keeps_the_contract_and_runs_as_the_manifest_says(runtime: Runtime, name: str) -> None:
    variant = parse_variant(name, STACKS)
    with runtime.service(variant) as service:
        assert not list(differences(observe(runtime, service), service))
    with Visit(runtime, variant) as visit:
        for check in CHECKS:
            if check.name in VARIANTS[name]:
                assert not visit.run(check).deviations


@pytest.mark.parametrize(
    ("name", "phases"),
    [
        ("fastapi-sync", ["queue", "gather", "encode", "lag", "total"]),
        ("fastapi-async", ["gather", "encode", "lag", "total"]),
        ("flask-uwsgi-gevent", ["gather", "encode", "lag", "total"]),
    ],
)
def test_server_timing_tells_the_phases_with_their_milliseconds(runtime: Runtime, name: str, phases: list[str]) -> None:
    with runtime.service(parse_variant(f"{name}[server_timing=true]", STACKS)) as service:
        told = ask_once(service, Request("GET", "/sleep?ms=50")).header("server-timing")
    assert told is not None
    spent = {phase: float(ms) for phase, _, ms in (entry.partition(";dur=") for entry in told.split(", "))}
    assert list(spent) == phases
    assert spent["total"] >= spent["gather"] >= 49
