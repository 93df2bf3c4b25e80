"""What every report says of an arm in the same words: its place, what bound it, why it has no number."""

from collections.abc import Sequence
from typing import Final

from stackmatrix.formatting import MISSING, listed
from stackmatrix.results.run import ArmResult

UNCOUNTED: Final = "†"
NOT_SUSTAINED: Final = "‡"
BOUND_MEANINGS: Final = {
    "load": "the offered load: every user waits for an answer that takes its time; more users would get more",
    "slots": "requests in flight: threads, greenlets or pooled connections are all taken",
    "server-cpu": "the stack's CPU: its core is busy all the time",
    "database": "PostgreSQL",
    "upstream": "the delay server or Nginx",
    "generator": "the load generator: the stack could do more than it was asked",
    "accept-queue": "connections that the kernel turned away before the stack accepted them",
    "delayed-ack": "answers in two parts, the last of which TCP holds back for some 40 ms",
    "unexplained": "not known: nothing that was metered is used up",
}


def bound_of(arm: ArmResult) -> str | None:
    """Return what bound an arm: the verdict of the meters, or else the smallest term of its ceiling."""
    if arm.verdict != "void":
        return arm.verdict
    return arm.ceiling.bound if arm.ceiling else None


def bound_words(arm: ArmResult) -> str:
    """Return the same with the pool whose slots were taken: `slots (threads)`; empty where it is unknown."""
    found = bound_of(arm) or ""
    return f"{found} ({arm.pool})" if arm.pool and found == "slots" else found


def best_first(arms: Sequence[ArmResult]) -> list[ArmResult]:
    """Sort the arms of one workload and load by place, then goodput; those without a number come last."""
    return sorted(arms, key=lambda arm: (arm.rank is None, arm.rank or 0, -(arm.goodput.value if arm.goodput else 0.0)))


def place_of(arm: ArmResult, group: Sequence[ArmResult]) -> str:
    """Return an arm's place in its workload and load: `1=` when shared, a dash before there are intervals."""
    known = sum(bool(other.goodput and other.goodput.ci95) for other in group)
    if arm.rank is None or known < 2:
        return MISSING
    shared = sum(other.rank == arm.rank for other in group) > 1
    return f"{arm.rank}{'=' if shared else ''}"


def share_of_ceiling(arm: ArmResult) -> float | None:
    """Return goodput ÷ ceiling; None on the CPU, where the ceiling is made of this very cell's CPU time."""
    return arm.ceiling.share if arm.ceiling and arm.verdict != "server-cpu" else None


def uncounted(arm: ArmResult) -> list[str]:
    """List the lines of its ledger that should have been counted elsewhere, and could not be."""
    return [entry.what for entry in arm.ledger if entry.counted is None and entry.implied]


def mark_words(arms: Sequence[ArmResult]) -> list[str]:
    """Say what each mark beside a name means, where any arm has it."""
    lacking = dict.fromkeys(what for arm in arms if arm.valid for what in uncounted(arm))
    found = [f"{UNCOUNTED}: nobody counted what its answers imply: {listed(list(lacking))}"] if lacking else []
    fading = any(NOT_SUSTAINED in marks(arm) for arm in arms)
    return [*found, *([f"{NOT_SUSTAINED}: one long window showed another rate than the short ones"] * fading)]


def marks(arm: ArmResult) -> list[str]:
    fades = arm.sustained is not None and arm.sustained.holds is False
    return [UNCOUNTED] * bool(arm.valid and uncounted(arm)) + [NOT_SUSTAINED] * fades


def marked_name(arm: ArmResult) -> str:
    return " ".join([arm.variant_label, *marks(arm)])


def void_kinds(arm: ArmResult) -> str:
    return ", ".join(dict.fromkeys(reason.kind for reason in arm.reasons)) or "not timed"
