"""Where a tool and the project's own generator differ, or an arm and its prediction, and why."""

from collections.abc import Iterable, Sequence
from statistics import median

from stackmatrix.analysis.experiment.metrics import (
    HELD,
    MEASURES,
    ArmView,
    Sight,
    counted_seconds,
    expected_figure,
    is_predictable,
    measured_rate,
    of_predicted,
    requests,
)
from stackmatrix.analysis.explain.phrases import listed
from stackmatrix.analysis.model.ceiling import BAND
from stackmatrix.analysis.statistics import middle, most
from stackmatrix.analysis.validity import GENERATOR_SHARE
from stackmatrix.catalog.experiments import Candidate, Experiment, PublishedLoad
from stackmatrix.formatting import duration, percent, quantity, rate, some


def tool_differences(experiment: Experiment, sight: Sight) -> list[str]:
    """Where tool and generator agree, where whole rounds part them, and where something else does, with the reason."""
    agreeing: list[ToolPair] = []
    rounded: list[ToolPair] = []
    parted: dict[str, list[str]] = {}
    absent: list[str] = []
    for candidate in experiment.candidates:
        own, tool = sight(candidate.name, "generator"), sight(candidate.name, "tool")
        if own is None or tool is None:
            continue
        one, other = measured_rate(own), measured_rate(tool)
        if not one or other is None:
            absent.append(f"{candidate.name}: {without_figure(own, tool)}.")
        elif abs(other / one - 1) <= BAND:
            agreeing.append((own, tool, other / one))
        elif whole_rounds(own, tool) and abs((of_predicted(tool) or 0.0) - 1) <= BAND:
            rounded.append((own, tool, other / one))
        else:
            figures = f"{rate(other)} by {tool.offer.tool} against {rate(one)} on {candidate.name}"
            parted.setdefault(listed(why(own, tool)), []).append(figures)
    told = [f"{listed(figures)}: {reasons}." for reasons, figures in parted.items()]
    return [*agreement(agreeing), *cut_rounds(rounded), *told, *absent]


ToolPair = tuple[ArmView, ArmView, float]
"""The same arm by the generator and by the tool, and the tool's rate as a multiple of the generator's."""


def agreement(pairs: Sequence[ToolPair]) -> Iterable[str]:
    """On which arms there is nothing to explain."""
    for name, group in grouped_by_tool(pairs):
        widest = max(abs(ratio - 1) for _, _, ratio in group)
        yield (
            f"{name} and the project's own generator agree within {percent(widest)} on "
            f"{listed([own.candidate.name for own, _, _ in group])}."
        )


def cut_rounds(pairs: Sequence[ToolPair]) -> Iterable[str]:
    """The arms on which a cold window of whole rounds explains all."""
    for name, group in grouped_by_tool(pairs):
        tools = [tool for _, tool, _ in group]
        ratios = [ratio for _, _, ratio in group]
        low, high = min(ratios), max(ratios)
        span_words = percent(low) if percent(low) == percent(high) else f"{percent(low)} to {percent(high)}"
        off = max(abs((of_predicted(tool) or 0.0) - 1) for tool in tools)
        counts = listed([f"{middle(map(requests, tool.counted)) or 0:.0f}" for tool in tools])
        yield (
            f"{name} counts {span_words} of the rate that the project's own generator sees in steady state on "
            f"{listed([tool.candidate.name for tool in tools])}: its {duration(tools[0].offer.seconds)} begin "
            f"cold{ramped(tools[0].offer)}, and only whole rounds end in them. The model makes that "
            f"{listed([str(tool.rounds.requests) for tool in tools if tool.rounds])} requests, counted were {counts}, "
            f"within {percent(off)} of the predicted rate."
        )


def grouped_by_tool(pairs: Sequence[ToolPair]) -> Iterable[tuple[str, list[ToolPair]]]:
    """The pairs of each tool, with its name."""
    for name in dict.fromkeys(tool.offer.tool for _, tool, _ in pairs):
        yield name, [pair for pair in pairs if pair[1].offer.tool == name]


def ramped(offer: PublishedLoad) -> str:
    """That users are started one after another, if so."""
    return f", {duration(offer.ramp_s)} of them to start the users" if offer.ramp_s else ""


def without_figure(own: ArmView, tool: ArmView) -> str:
    """Which of the two has no figure, and why."""
    parts = [
        f"no figure by {'the project’s own generator' if seen.by == 'generator' else seen.offer.tool}"
        f" ({'; '.join(reasons_of(seen)) or 'not timed'})"
        for seen in (own, tool)
        if not measured_rate(seen)
    ]
    return listed(parts)


def reasons_of(seen: ArmView) -> list[str]:
    """What speaks against its trials."""
    return list(dict.fromkeys(reason.detail for trial in seen.trials for reason in trial.reasons))


def why(own: ArmView, tool: ArmView) -> list[str]:
    """The measured facts that part the two, the most telling first; that there is none, if so."""
    connecting = noted(tool)
    facts = (
        whole_rounds(own, tool),
        too_late(tool),
        killed(tool),
        busy(tool),
        connecting,
        None if connecting else dearer(own, tool),  # connecting is what costs it
    )
    return [fact for fact in facts if fact] or ["nothing that was measured explains it"]


def whole_rounds(own: ArmView, tool: ArmView) -> str | None:
    """The tool's window begins cold and cuts its last round off: held against what that makes the count."""
    rounds, steady = tool.rounds, own.bounds
    if rounds is None or steady is None or not rounds.requests:
        return None
    lost = rounds.requests / counted_seconds(rounds, tool.offer) / steady.predicted_goodput - 1
    seen = measured_rate(tool)
    if abs(lost) <= BAND / 2 or seen is None:
        return None
    counts = median(requests(trial) for trial in tool.counted)
    return (
        f"in {duration(tool.offer.seconds)} that begin cold{ramped(tool.offer)} only whole rounds of "
        f"{duration(rounds.cycle_s)} end, {rounds.requests} requests by the model and {counts:.0f} as counted"
    )


def too_late(tool: ArmView) -> str | None:
    """Answers beyond the tool's time-out."""
    late = median(trial.errors.timeout for trial in tool.counted) if tool.counted else 0
    if not late or tool.offer.timeout_s is None:
        return None
    return f"{late:.0f} answers took longer than its time-out of {duration(tool.offer.timeout_s)}"


def killed(seen: ArmView) -> str | None:
    """Workers that went under the load."""
    ended = most(trial.ended_processes for trial in seen.counted)
    if not ended:
        return None
    timeout = seen.candidate.variant(seen.scale).settings.get("worker_timeout")
    after = f", whose time-out is {timeout} s" if timeout is not None else ""
    return f"{some(ended, 'process')} of the stack ended under the load{after}"


def busy(tool: ArmView) -> str | None:
    """The tool was near its own limit."""
    share = middle(trial.generator_share for trial in tool.counted)
    return (
        f"{tool.offer.tool} itself used {percent(share)} of its core"
        if share is not None and share > GENERATOR_SHARE
        else None
    )


def dearer(own: ArmView, tool: ArmView) -> str | None:
    """A request cost the stack another amount of CPU, where that binds it."""
    one, other = MEASURES["cpu_us"].value(own), MEASURES["cpu_us"].value(tool)
    if not one or not other or abs(other / one - 1) <= BAND or own.bounds is None or own.bounds.bound in HELD:
        return None
    write = MEASURES["cpu_us"].write
    return f"a request cost the stack {write(other)} of CPU with {tool.offer.tool}, {write(one)} with the generator"


def noted(tool: ArmView) -> str | None:
    """What the tool says of its connections in this very run; of answers that were too late there is a figure."""
    notes = (note for trial in tool.counted if trial.told for note in trial.told.notes)
    return next((note for note in notes if note[:1].isdigit() and "connection" in note), None)


def missed_predictions(candidate: Candidate, sight: Sight) -> Iterable[str]:
    """Why an arm that load or slots bind is not within the band of its prediction; void arms, and why."""
    if candidate.expects_failures:
        return
    for by in ("generator", "tool"):
        seen = sight(candidate.name, "generator" if by == "generator" else "tool")
        if seen is None:
            continue
        who = f"{candidate.name}, by {'the project’s own generator' if by == 'generator' else candidate.offer.tool}"
        expected, found = expected_figure("goodput", seen), measured_rate(seen)
        if found is None:
            yield f"{who}: no number ({'; '.join(reasons_of(seen)) or seen.void or 'not timed'})."
        elif expected and is_predictable(seen) and abs(found / expected - 1) > BAND:
            yield (
                f"{who}: {rate(found)}, {percent(found / expected)} of the predicted {rate(expected)}: "
                f"{why_missed(seen)}."
            )


def why_missed(seen: ArmView) -> str:
    """What the facts say against the prediction."""
    facts = [fact for fact in (too_late(seen), killed(seen), busy(seen)) if fact] if seen.by == "tool" else []
    if facts:
        return listed(facts)
    if seen.rounds is not None:
        counts = median(requests(trial) for trial in seen.counted)
        off = (counts - seen.rounds.requests) / seen.rounds.lanes
        return f"{quantity(abs(off))} rounds {'more' if off > 0 else 'fewer'} than predicted ended in its window"
    if seen.result.doubt is not None:
        return seen.result.doubt.words
    return "nothing that was measured explains it"
