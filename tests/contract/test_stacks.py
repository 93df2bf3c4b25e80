"""The contract against every stack in containers: one test for each stack and check, so that what fails has a name."""

from collections.abc import Iterator

import pytest

from stackmatrix.catalog.stacks import Variant, load_stacks
from stackmatrix.contract.dialogue import Transcript
from stackmatrix.contract.suite import CHECKS, Check, Visit, same_bytes
from stackmatrix.runtime.base import Runtime
from stackmatrix.runtime.docker import DockerRuntime

STACKS = load_stacks()
TRANSCRIPTS: dict[str, Transcript] = {}

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    """All stacks and upstreams, brought up once."""
    docker = DockerRuntime(print)
    try:
        docker.up(STACKS.values())
        yield docker
    finally:
        docker.down()


@pytest.fixture(scope="module", params=STACKS)
def visit(request: pytest.FixtureRequest, runtime: Runtime) -> Iterator[Visit]:
    """One stack, for as many checks as follow."""
    with Visit(runtime, Variant(STACKS[request.param], {})) as visit:
        TRANSCRIPTS[visit.variant.label] = visit.transcript
        yield visit


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_contract(visit: Visit, check: Check) -> None:
    result = visit.run(check)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.ok, "\n\n".join(str(difference) for difference in result.differences[:3])


def test_all_stacks_answered_alike() -> None:
    if TRANSCRIPTS.keys() != STACKS.keys():
        pytest.skip("compares what test_contract of every stack left")
    for result in same_bytes(TRANSCRIPTS):
        assert result.ok, "\n\n".join(str(difference) for difference in result.differences[:3])
