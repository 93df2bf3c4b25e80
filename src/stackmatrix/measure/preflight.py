"""Check whether a stack may be timed: it obeys the contract, and is and waits as its manifest says."""

from collections.abc import Mapping
from dataclasses import dataclass

from stackmatrix.catalog.stacks import Wait
from stackmatrix.contract import overlap
from stackmatrix.contract.endpoints import spot_check
from stackmatrix.measure.identity import differences, observe
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import Identity
from stackmatrix.runtime.base import Runtime, Service


@dataclass(frozen=True)
class PreflightResult:
    """What was seen of a stack before its first trial, and why it gets none, if so."""

    identity: Identity | None = None
    reason: Reason | None = None
    words: str = ""  # the reason in full


def check_variant(runtime: Runtime, service: Service, users: Mapping[Wait, int]) -> PreflightResult:
    """Check a running stack against contract and manifest; `users` says how many will wait at once, by kind of wait."""
    for difference in spot_check(service):
        reason = Reason("contract", f"another answer than the contract's to {difference.asked}")
        return PreflightResult(None, reason, f"it breaks the contract:\n{difference}")
    seen = observe(runtime, service)
    if found := list(differences(seen, service)):
        reason = Reason("identity", "; ".join(found))
        return PreflightResult(seen, reason, reason.detail)
    for difference in overlap.spot_overlap(service, users):
        got = " ".join(difference.got.split())
        reason = Reason("overlap", f"{difference.asked}: declared {difference.expected}, but {got}")
        return PreflightResult(seen, reason, reason.detail)
    return PreflightResult(seen)
