"""What bound an arm: a resource that was used up, or what a doubt about the model names; else it is unexplained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from stackmatrix.analysis.model.ceiling import Bound
from stackmatrix.analysis.model.disagreement import Doubt, doubt
from stackmatrix.analysis.model.facts import USED_UP, Cause, Facts, Pool, Shared, fullest, shared, utilisation
from stackmatrix.analysis.model.library_defaults import Default, matching
from stackmatrix.results.reasons import Reason

Name = Literal[Bound, Cause, "unexplained", "void"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    name: Name
    pool: Pool | None = None  # of `slots`: which; None for a limit that no manifest names
    default: Default | None = None  # the library's own limit that the pool, or the number in flight, equals
    # of every resource that was metered, by this arm's requests; 1 is all that it can do
    utilisation: Mapping[Bound, float]
    # the same, whoever used it: the fullest is the verdict if it is used up, unless a doubt about the model says else
    full: Mapping[Bound, float]
    shared: Shared | None = None  # the core that generator and upstreams share
    of_ceiling: float | None = None
    of_predicted: float | None = None
    doubt: Doubt | None = None  # why the model disagrees; None when it does not
    reasons: tuple[Reason, ...] = ()  # why there is no number

    @property
    def bound(self) -> Bound | None:
        """Which term of the model bound the arm; None where that is not known, or none of them did."""
        if self.name == "accept-queue" or self.name == "delayed-ack":
            return None
        return None if self.name == "void" or self.name == "unexplained" else self.name


def verdict(facts: Facts) -> Verdict:
    """Find what bound the arm: void without trusted or metered numbers; what is not used up binds nobody."""
    if facts.reasons or facts.ceiling is None or facts.goodput is None:
        kinds = {reason.kind for reason in facts.reasons}
        return Verdict(
            name="generator" if kinds == {"generator"} else "void", utilisation={}, full={}, reasons=facts.reasons
        )
    full, doubted = fullest(facts), doubt(facts)
    fullest_one = max(full, key=lambda bound: full[bound])
    cut_off = doubted is not None and doubted.kind == "short-window"  # what is missing is what the window's end cut off
    used_up: Name = fullest_one if full[fullest_one] >= USED_UP or cut_off else "unexplained"
    name = doubted.bound if doubted and doubted.bound else used_up
    pool = facts.pool if name == "slots" and not (doubted and doubted.bound) else None
    default = doubted.default if doubted else None
    if pool is not None and doubted is None:
        default = matching(pool.size, {pool.name}, facts.libraries, cpus=facts.cpus, tolerance=0)
    return Verdict(
        name=name,
        pool=pool,
        default=default,
        utilisation=utilisation(facts),
        full=full,
        shared=shared(facts),
        of_ceiling=facts.goodput.value / facts.ceiling.goodput,
        of_predicted=facts.of_predicted,
        doubt=doubted,
    )
