"""The contract against every stack on both runtimes: a test for each stack and check, so that what fails has a name."""

from collections.abc import Iterator

import pytest

from stackmatrix.catalog.stacks import Variant, load_stacks
from stackmatrix.contract.exchange import Transcript
from stackmatrix.contract.suite import CHECKS, Check, Visit, same_bytes
from stackmatrix.errors import UserError
from stackmatrix.runtime.base import Runtime
from stackmatrix.runtime.docker import engine_version
from stackmatrix.runtime.select import choose

STACKS = load_stacks()
TRANSCRIPTS: dict[tuple[str, str], Transcript] = {}

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module", params=["native", "docker"])
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """All stacks and upstreams, brought up once; in containers only where an engine answers."""
    if request.param == "docker":
        try:
            engine_version()
        except UserError as error:
            pytest.skip(f"the contract in containers: {error}")
    with choose(request.param, print) as chosen:
        chosen.up(STACKS.values())
        yield chosen


@pytest.fixture(scope="module", params=STACKS)
def visit(request: pytest.FixtureRequest, runtime: Runtime) -> Iterator[Visit]:
    """One stack, for as many checks as follow."""
    with Visit(runtime, Variant(STACKS[request.param], {})) as visit:
        TRANSCRIPTS[runtime.name, visit.variant.label] = visit.transcript
        yield visit


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_contract(visit: Visit, check: Check) -> None:
    result = visit.run(check)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.ok, "\n\n".join(str(difference) for difference in result.deviations[:3])


def test_all_stacks_answered_alike() -> None:
    if not {("native", name) for name in STACKS} <= TRANSCRIPTS.keys():
        pytest.skip("compares what test_contract of every stack left")
    transcripts = {f"{label} ({runtime})": transcript for (runtime, label), transcript in TRANSCRIPTS.items()}
    for result in same_bytes(transcripts):
        assert result.ok, "\n\n".join(str(difference) for difference in result.deviations[:3])
