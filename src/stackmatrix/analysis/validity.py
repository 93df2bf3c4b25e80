"""The gates that a trial must pass before its number counts (`docs/method.md`): pure functions of one trial."""

from collections.abc import Iterator, Mapping, Sequence

from stackmatrix.analysis.failures import failure_words
from stackmatrix.catalog.stacks import Setting
from stackmatrix.formatting import duration, percent, rate
from stackmatrix.load.job import WHOLE_RESPONSES
from stackmatrix.results.plan import Load
from stackmatrix.results.reasons import Reason
from stackmatrix.results.trial import Errors, Failure, Trial

GENERATOR_SHARE = 0.70  # of its core: above it the generator may be what is measured
LITTLE = 0.03  # how far throughput × response time may be from the users
DRIFT_MS = 5.0
DRIFT_OF_P50 = 0.05
SENT_SHARE = 0.99
STEADY = 2.0  # how many times the goodput of one half of the window may be that of the other
STALL_S = 0.25  # without an answer while requests are under way,
STALL_SHARE = 0.1  # and so much of the window,
STALL_OF_OTHERS = 4.0  # and so many times as long as any other such time
READY_S = 2.0  # in which a stack that is ready gives its first answer,
LATE_FIRST_ANSWER = 10.0  # or in so many response times
SMALL_BYTES = 4096  # of a body that head and body of an answer come together
HEAD_GAP = 0.5  # of the latency, between an answer's first byte and its last
HEAD_GAP_MS = 1.0
DELAYED_ACK_MS = (35.0, 55.0)  # what a gap is that TCP makes by itself
SIGMAS = 3  # of a count: what lies within may be chance
FOREIGN_SHARE = 0.25  # of the stack's cores, interrupts included
STEAL_SHARE = 0.02


def gate_reasons(
    trial: Trial,
    load: Load,
    generator_rps: float | None = None,
    fitted: bool = True,
    settings: Mapping[str, Setting] | None = None,
) -> list[Reason]:
    """List every reason not to trust this trial; none when it passed.

    `generator_rps` is the most that the generator can do on this machine, by its calibration. `fitted` is False where
    the window is so long because somebody published it. `settings` are the stack's, which name its time-outs.
    """
    return [
        *failed_requests(trial, settings or {}),
        *keep_alive(trial),
        *early(trial),
        *effects(trial),
        *short_window(trial, fitted and load.tool is None),
        *unsteady_halves(trial),
        *stalls(trial),
        *processes(trial),
        *(closed(trial, load) if load.kind == "closed" else open_(trial, load)),
        *generator(trial, generator_rps if load.tool is None else None),
        *disturbances(trial),
    ]


def failed_requests(trial: Trial, settings: Mapping[str, Setting]) -> Iterator[Reason]:
    """Stop at one failed request: a stack that errs does other work than one that answers."""
    client, outside = trial.client, "of the requests before or after the window failed"
    yield from failed(client.errors, client.failures, f"of {client.offered} requests failed", settings)
    yield from failed(client.errors_outside, client.failures_outside, outside, settings)
    if not trial.client.answered:
        yield Reason("unfinished", f"no request was answered in {trial.client.window_s:.1f} s")
    if trial.client.stuck:
        yield Reason("stuck", f"{trial.client.stuck} requests had no answer after ten times as long as any answer took")


def failed(errors: Errors, failures: Sequence[Failure], what: str, settings: Mapping[str, Setting]) -> Iterator[Reason]:
    """Give a reason for each kind of failure; where they are only counted, one for all."""
    for failure in failures:
        yield Reason("errors", f"{failure.count} {what} {failure_words(failure, settings)}")
    if errors.total and not failures:
        yield Reason("errors", f"{errors.total} {what}: {errors}")


def keep_alive(trial: Trial) -> Iterator[Reason]:
    """Stop at one reconnect: connecting anew is work that the other stacks do not do, and that no workload asks for."""
    if trial.client.reconnects:
        yield Reason(
            "reconnects",
            f"{trial.client.reconnects} connections were closed and opened anew for {trial.client.right} right "
            "answers: keep-alive does not hold under load",
        )


def early(trial: Trial) -> Iterator[Reason]:
    """Stop at one answer that came before the wait that it stands for, and at heads that are sent before the work."""
    client = trial.client
    if client.early:
        yield Reason(
            "early",
            f"{client.early} of {client.right} answers began before their wait was over, the first after "
            f"{duration((client.fastest_ms or 0.0) / 1000)}",
        )
    first, last = client.first_byte_p50_ms, client.latency_ms.p50
    if first is None or last is None or client.bytes > SMALL_BYTES * client.answered:
        return
    gap = last - first
    if gap > max(HEAD_GAP * last, HEAD_GAP_MS) and not DELAYED_ACK_MS[0] <= gap <= DELAYED_ACK_MS[1]:
        yield Reason(
            "early", f"half the answers began after {first:.1f} ms and ended after {last:.1f} ms: the head came alone"
        )


def effects(trial: Trial) -> Iterator[Reason]:
    """Hold the ledger in balance where the other side could be asked."""
    for entry in trial.ledger:
        if entry.balanced is False:
            least = "at least " if entry.at_least else ""
            yield Reason(
                "ledger", f"{entry.what}: the answers imply {least}{entry.implied}, counted were {entry.counted}"
            )


def short_window(trial: Trial, fitted: bool) -> Iterator[Reason]:
    """Hold the window to three response times, or to an even stream of answers: else it tells of its own edges."""
    mean = trial.client.latency_ms.mean
    whole = trial.client.window_s * 1000 / mean if mean else WHOLE_RESPONSES
    if fitted and round(whole, 1) < WHOLE_RESPONSES and not trial.client.even:
        yield Reason(
            "short",
            f"a window of {trial.client.window_s:.1f} s holds {whole:.1f} response times, not {WHOLE_RESPONSES:.0f}",
        )


def unsteady_halves(trial: Trial) -> Iterator[Reason]:
    """Stop a stack that warms up while it is timed, or breaks down: it has no one throughput."""
    first, p50 = trial.client.first_answer_s, trial.client.latency_ms.p50
    if first is not None and p50 is not None and first > max(READY_S, LATE_FIRST_ANSWER * p50 / 1000):
        yield Reason(
            "unsteady",
            f"the first answer came after {first:.1f} s, where one takes {p50 / 1000:.2f} s: it was not ready",
        )
    if trial.client.halves is None:
        return
    less, more = sorted(rate * trial.client.window_s / 2 for rate in trial.client.halves)
    if more > STEADY * less and more - less > SIGMAS * (more + less) ** 0.5:
        before, after = trial.client.halves
        yield Reason("unsteady", f"goodput went from {before:.0f}/s to {after:.0f}/s within the window")


def stalls(trial: Trial) -> Iterator[Reason]:
    """Stop where everything stood still for a part of the window: its throughput is that of the rest, watered down."""
    longest, other = trial.client.gaps_s or (0.0, 0.0)
    if longest > max(STALL_S, STALL_SHARE * trial.client.window_s, STALL_OF_OTHERS * other):
        yield Reason(
            "stall",
            f"no answer came for {duration(longest)} of the window of {duration(trial.client.window_s)}, and otherwise "
            f"never for longer than {duration(other)}",
        )


def processes(trial: Trial) -> Iterator[Reason]:
    """Hold the processes of the end to those of the start, and stop at whatever held them back."""
    if trial.server.started_processes or trial.server.ended_processes:
        yield Reason(
            "restart",
            f"{trial.server.started_processes} processes of the stack came and {trial.server.ended_processes} went "
            "under load",
        )
    for name, periods in trial.server.throttled.items():
        yield Reason("throttled", f"{name} was held back in {periods} periods for its CPU quota")
    for name, kills in trial.server.oom_kills.items():
        yield Reason("oom", f"{kills} processes of {name} were killed for want of memory")


def closed(trial: Trial, load: Load) -> Iterator[Reason]:
    """Hold a closed loop to the interactive response-time law N = X(R + Z) (Denning & Buzen 1978).

    The law speaks of long windows: the edges of one that holds k rounds may shift it by 2/k, and below ten rounds
    it says too little to be asked.
    """
    if trial.client.little is not None and load.users and trial.client.answered >= 10 * load.users:
        off = trial.client.little - 1
        if abs(off) > max(LITTLE, 2 / (trial.client.answered / load.users)):
            yield Reason(
                "little",
                f"throughput × latency gives {trial.client.little * load.users:.1f} users where {load.users} were",
            )


def open_(trial: Trial, load: Load) -> Iterator[Reason]:
    """Hold an open loop to its schedule: requests must have left when they were due."""
    drift, p50 = trial.client.drift_p99_ms, trial.client.latency_ms.p50
    if drift is not None and drift > max(DRIFT_MS, DRIFT_OF_P50 * (p50 or 0)):
        yield Reason("drift", f"1 % of requests left more than {drift:.1f} ms late")
    due = (load.rate or 0) * trial.client.window_s
    if due > 100 and trial.client.offered < SENT_SHARE * due - SIGMAS * due**0.5:
        yield Reason("drift", f"{trial.client.offered} requests were sent of about {due:.0f} due")


def generator(trial: Trial, most_rps: float | None) -> Iterator[Reason]:
    """Stop where what offers the load had no room to offer more."""
    if trial.client.generator_share is not None and trial.client.generator_share > GENERATOR_SHARE:
        yield Reason("generator", f"the generator used {percent(trial.client.generator_share)} of its core")
    elif most_rps is not None and trial.client.goodput > GENERATOR_SHARE * most_rps:
        share = trial.client.goodput / most_rps
        yield Reason("generator", f"{rate(trial.client.goodput)} is {percent(share)} of what the generator can do here")


def disturbances(trial: Trial) -> Iterator[Reason]:
    """Stop where neighbours or the host took part in the result."""
    if trial.server.foreign_share is not None and trial.server.foreign_share > FOREIGN_SHARE:
        yield Reason("neighbour", f"others used {percent(trial.server.foreign_share)} of the stack's core")
    if trial.server.steal_share > STEAL_SHARE:
        yield Reason("steal", f"the host took {percent(trial.server.steal_share)} of the CPU time")
