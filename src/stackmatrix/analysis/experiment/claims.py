"""Whether the claims of an experiment hold."""

import math
import re
from collections.abc import Sequence

from stackmatrix.analysis.experiment.metrics import MEASURES, Sight
from stackmatrix.catalog.experiments import PLACE, Claim, Figure
from stackmatrix.formatting import listed, percent, quantity
from stackmatrix.results.experiment import ClaimOutcome, ClaimResult


def judge_claim(claim: Claim, sight: Sight) -> ClaimResult:
    value = value_of(claim, sight)
    outcome: ClaimOutcome = "unknown" if value is None else "holds" if claim.least <= value <= claim.most else "fails"
    arms = [claim.arm, *([claim.against] if claim.against else []), *(claim.of or ())]
    words = {"holds": claim.holds, "fails": claim.fails, "unknown": None}[outcome]
    return ClaimResult(
        outcome=outcome,
        words=filled(words, claim, value, sight) if words else unknown(claim, arms, sight),
        metric=claim.metric,
        value=value,
        least=finite(claim.least),
        most=finite(claim.most),
        arms=arms,
    )


def value_of(claim: Claim, sight: Sight) -> float | None:
    """Return the figure, ratio or share that is claimed; None when a part of it was not measured."""
    names = [claim.arm, *([claim.against] if claim.against else []), *(claim.of or ())]
    found = [
        value for name in names if (value := figure_value(Figure(claim.metric, claim.by, name), sight)) is not None
    ]
    if len(found) < len(names):
        return None
    if len(found) == 1:
        return found[0]
    part, whole = (found[0] - found[1], found[2] - found[3]) if claim.of else (found[0], found[1])
    return part / whole if whole else None


def figure_value(wanted: Figure, sight: Sight) -> float | None:
    seen = sight(wanted.arm, wanted.by)
    return None if seen is None else MEASURES[wanted.metric].value(seen)


def filled(words: str, claim: Claim, value: float | None, sight: Sight) -> str:
    def write(place: re.Match[str]) -> str:
        wanted = claim.figure(place[1], sight.names)
        if wanted is None:
            return claimed_words(claim, value)
        found = figure_value(wanted, sight)
        return "an unknown figure" if found is None else MEASURES[wanted.metric].write(found)

    return re.sub(PLACE, write, words)


def claimed_words(claim: Claim, value: float | None) -> str:
    """Write what `{value}` stands for: a ratio, a share, or the figure itself."""
    if value is None:
        return "an unknown figure"
    if claim.of:
        return percent(value)
    return quantity(value) if claim.against else MEASURES[claim.metric].write(value)


def unknown(claim: Claim, arms: Sequence[str], sight: Sight) -> str:
    measure = MEASURES[claim.metric]
    without = []
    for name in dict.fromkeys(arms):
        seen = sight(name, claim.by)
        if seen is None or measure.value(seen) is None:
            without.append(f"{name} ({(seen.void if seen else '') or 'not counted here'})")
    return f"Not told, for want of the {measure.what} of {listed(without)}."


def finite(value: float) -> float | None:
    """Turn no limit into None: JSON has no infinity."""
    return value if math.isfinite(value) else None
