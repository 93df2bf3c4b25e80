"""Where a tool and the project's own generator differ, or an arm and its prediction, and why."""

from collections.abc import Iterable
from statistics import median

from stackmatrix.analysis.experiment import metrics
from stackmatrix.analysis.model.ceiling import BAND, WAIT_BOUNDS
from stackmatrix.analysis.statistics import middle, most
from stackmatrix.analysis.validity import GENERATOR_SHARE
from stackmatrix.catalog.experiments import Candidate, Experiment, PublishedLoad
from stackmatrix.formatting import duration, listed, percent, quantity, rate, some


def tool_differences(experiment: Experiment, sight: metrics.Sight) -> list[str]:
    """Say arm by arm whether tool and generator agree, and if not why: whole rounds, or something else."""
    told: list[str] = []
    for candidate in experiment.candidates:
        own, tool = sight(candidate.name, "generator"), sight(candidate.name, "tool")
        if own is not None and tool is not None:
            told += difference_lines(own, tool)
    return list(dict.fromkeys(told))


def difference_lines(own: metrics.ArmView, tool: metrics.ArmView) -> list[str]:
    """Hold the tool's figure of an arm against the generator's; a claim a line."""
    name = f"“{own.candidate.name}”"
    one, other = metrics.measured_rate(own), metrics.measured_rate(tool)
    if not one or other is None:
        without = [seen for seen in (own, tool) if not metrics.measured_rate(seen)]
        return [
            f"No figure by {program_of(seen)} on {name}: {'; '.join(reasons_of(seen)) or 'not timed'}."
            for seen in without
        ]
    share = f"{percent(other / one)} of the generator's rate by {tool.offer.tool} on {name}"
    if abs(other / one - 1) <= BAND:
        return [f"{share}: they agree."]
    if tool.rounds and whole_rounds(own, tool) and abs((metrics.of_predicted(tool) or 0.0) - 1) <= BAND:
        counted = middle(map(metrics.requests, tool.counted)) or 0
        cold = f"The {duration(tool.offer.seconds)} of {tool.offer.tool} begin cold{ramped(tool.offer)}"
        return [
            f"{share}: whole rounds alone, {tool.rounds.requests} requests predicted and {counted:.0f} counted.",
            f"{cold}: only whole rounds end in them.",
        ]
    first, *more = why(own, tool)
    figures = f"{rate(other)} by {tool.offer.tool} against {rate(one)} on {name}"
    return [f"{figures}: {first}.", *(f"Besides, on {name}: {reason}." for reason in more)]


def ramped(offer: PublishedLoad) -> str:
    return f", {duration(offer.ramp_s)} of them to start the users" if offer.ramp_s else ""


def program_of(seen: metrics.ArmView) -> str:
    return "the generator" if seen.by == "generator" else seen.offer.tool


def reasons_of(seen: metrics.ArmView) -> list[str]:
    return list(dict.fromkeys(reason.detail for trial in seen.trials for reason in trial.reasons))


def why(own: metrics.ArmView, tool: metrics.ArmView) -> list[str]:
    """List the measured facts that part the two, the most telling first; or that there is none."""
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


def whole_rounds(own: metrics.ArmView, tool: metrics.ArmView) -> str | None:
    """Say that the tool's window begins cold and cuts off its last round, if that changes its count."""
    rounds, steady = tool.rounds, own.facts.ceiling
    if rounds is None or steady is None or not rounds.requests:
        return None
    lost = rounds.requests / metrics.counted_seconds(rounds, tool.offer) / steady.predicted_goodput - 1
    seen = metrics.measured_rate(tool)
    if abs(lost) <= BAND / 2 or seen is None:
        return None
    counts = median(metrics.requests(trial) for trial in tool.counted)
    return (
        f"{duration(tool.offer.seconds)} that begin cold end only whole rounds, "
        f"{rounds.requests} requests predicted, {counts:.0f} counted"
    )


def too_late(tool: metrics.ArmView) -> str | None:
    late = median(trial.client.errors.timeout for trial in tool.counted) if tool.counted else 0
    if not late or tool.offer.timeout_s is None:
        return None
    return f"{late:.0f} answers took longer than its time-out of {duration(tool.offer.timeout_s)}"


def killed(seen: metrics.ArmView) -> str | None:
    ended = most(trial.server.ended_processes for trial in seen.counted)
    if not ended:
        return None
    timeout = seen.candidate.variant(seen.scale).settings.get("worker_timeout")
    if timeout is None:
        return f"{some(ended, 'process')} of the stack ended under the load"
    return f"{some(ended, 'blocked worker')} killed after the timeout of {timeout} s"


def busy(tool: metrics.ArmView) -> str | None:
    share = middle(trial.client.generator_share for trial in tool.counted)
    if share is None or share <= GENERATOR_SHARE:
        return None
    return f"{tool.offer.tool} itself used {percent(share)} of its core"


def dearer(own: metrics.ArmView, tool: metrics.ArmView) -> str | None:
    """Say that a request cost the stack another amount of CPU, where that binds it."""
    one, other = metrics.MEASURES["cpu_us"].value(own), metrics.MEASURES["cpu_us"].value(tool)
    if (
        not one
        or not other
        or abs(other / one - 1) <= BAND
        or own.facts.ceiling is None
        or own.facts.ceiling.bound in WAIT_BOUNDS
    ):
        return None
    write = metrics.MEASURES["cpu_us"].write
    return f"{write(other)} of CPU a request with {tool.offer.tool}, {write(one)} with the generator"


def noted(tool: metrics.ArmView) -> str | None:
    """Say what the tool says of its connections in this very run; of answers that were too late there is a figure."""
    notes = (note for trial in tool.counted if trial.client.tool for note in trial.client.tool.notes)
    return next((note for note in notes if note[:1].isdigit() and "connection" in note), None)


def missed_predictions(candidate: Candidate, sight: metrics.Sight) -> Iterable[str]:
    """Say why an arm that load or slots bind is not within the band of its prediction, and why one is void."""
    if candidate.expects_failures:
        return
    for seen in (sight(candidate.name, by) for by in metrics.SIDES):
        if seen is None:
            continue
        who = f"by {program_of(seen)} on “{candidate.name}”"
        expected, found = metrics.expected_figure("goodput", seen), metrics.measured_rate(seen)
        if found is None:
            yield f"No number {who}: {'; '.join(reasons_of(seen)) or seen.void or 'not timed'}."
        elif expected and metrics.is_predictable(seen) and abs(found / expected - 1) > BAND:
            yield f"{rate(found)} {who}, {percent(found / expected)} of the predicted {rate(expected)}."
            yield f"On “{candidate.name}” by {program_of(seen)}: {why_missed(seen)}."


def why_missed(seen: metrics.ArmView) -> str:
    facts = [fact for fact in (too_late(seen), killed(seen), busy(seen)) if fact] if seen.by == "tool" else []
    if facts:
        return listed(facts)
    if seen.rounds is not None:
        counts = median(metrics.requests(trial) for trial in seen.counted)
        off = (counts - seen.rounds.requests) / seen.rounds.lanes
        return f"{quantity(abs(off))} rounds {'more' if off > 0 else 'fewer'} than predicted ended in its window"
    if seen.result.doubt is not None:
        return seen.result.doubt.words
    return "nothing that was measured explains it"
