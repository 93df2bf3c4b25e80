"""One arm as its trials showed it: the facts that the model, the verdict and the explanation start from."""

from collections.abc import Sequence
from dataclasses import dataclass

from stackmatrix.analysis.model.ceiling import Demand
from stackmatrix.analysis.model.facts import CpuTimes, Facts, pools, rates, slots
from stackmatrix.analysis.model.library_defaults import libraries
from stackmatrix.analysis.statistics import middle, most
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Variant
from stackmatrix.catalog.workloads import Waiting, Workload
from stackmatrix.cores import Cores, share_cores
from stackmatrix.results.interval import Interval
from stackmatrix.results.plan import Arm
from stackmatrix.results.reasons import Reason
from stackmatrix.results.trial import Kernel, Trial


@dataclass(frozen=True)
class Setup:
    """What the arms of a run are made of, and the CPUs that they ran on."""

    catalog: Catalog
    cpus: Sequence[int]  # the machine's
    shards: int = 1  # processes of the generator

    def cores(self, workers: int) -> Cores:
        return share_cores(self.cpus, workers, self.shards)

    def variant(self, arm: Arm) -> Variant:
        return Variant(self.catalog.stacks[arm.stack], arm.variant)

    def workload(self, arm: Arm) -> Workload:
        return self.catalog.workloads[arm.workload].with_params({key: str(value) for key, value in arm.params.items()})


def facts_of(
    arm: Arm, trials: Sequence[Trial], setup: Setup, goodput: Interval | None = None, reasons: Sequence[Reason] = ()
) -> Facts:
    variant, workload = setup.variant(arm), setup.workload(arm)
    waiting, effects = workload.waiting(), workload.effects()
    names = ("stack", "postgres", "nginx", "delay")
    cpu = CpuTimes(
        **{name: middle(trial.cpu_us(getattr(trial.server.cpu_s, name)) for trial in trials) for name in names},
        generator=middle(trial.cpu_us(trial.client.cpu_s) for trial in trials),
    )
    stated = stated_wait(variant, waiting)
    # a lower bound of a wait that nobody states
    database_s = middle(trial.per_right(trial.server.database_s) for trial in trials) if effects.statements else None
    # What is fetched from Nginx is waited for as well, for a time that nobody states.
    waits_on = waiting.on if waiting else ("upstream" if effects.fixtures else None)
    response_ms = middle(trial.client.latency_ms.mean for trial in trials)
    return Facts(
        arm=variant.label,
        workload=workload.name,
        demand=demand_of(arm, trials, setup, cpu, (database_s or 0.0) if stated is None else stated),
        waits_on=waits_on,
        wait_known=waits_on is None or stated is not None,
        calls=waiting.calls if waiting and waiting.mode == "parallel" else 1,
        pools=pools(variant, waiting),
        goodput=goodput,
        response_s=None if response_ms is None else response_ms / 1000,
        cpu=cpu,
        cores=setup.cores(workers_of(variant)),
        database_s=database_s,
        in_flight=most(trial.server.upstream_in_flight for trial in trials) if effects.upstream else None,
        call_s=waiting.ms / 1000 if waiting and waiting.on == "upstream" and waiting.ms else None,
        upstream_s=middle(trial.server.upstream_call_s for trial in trials),
        turned_away=sum(turned_away(trial.server.kernel) for trial in trials),
        delayed_acks=middle(trial.per_answer(trial.server.kernel.delayed_acks) for trial in trials),
        writes=middle(trial.per_answer(trial.server.kernel.writes) for trial in trials),
        least_s=stated or None,
        grown_bytes=middle(trial.server.memory_grown_bytes for trial in trials),
        grown_per_answer=middle(trial.per_answer(trial.server.memory_grown_bytes) for trial in trials),
        generator_share=middle(trial.client.generator_share for trial in trials),
        foreign_share=middle(trial.server.foreign_share for trial in trials),
        counted_s=middle(trial.client.window_s for trial in trials) if arm.load.tool or arm.timing else None,
        libraries=libraries(variant),
        reasons=tuple(reasons),
    )


def demand_of(arm: Arm, trials: Sequence[Trial], setup: Setup, cpu: CpuTimes, wait_s: float) -> Demand | None:
    """State what the arm asks of its parts; None where neither a wait nor CPU time is known."""
    variant, waiting = setup.variant(arm), setup.workload(arm).waiting()
    if not stated_wait(variant, waiting) and not cpu.stack:
        return None
    workers = workers_of(variant)
    cores = setup.cores(workers)
    return Demand(
        wait_s=wait_s,
        cpu_s=None if cpu.stack is None else cpu.stack / 1e6,
        users=arm.load.users,
        think_s=arm.load.think_s,
        rate=arm.load.rate,
        slots=slots(pools(variant, waiting), workers),
        workers=workers,
        users_per_worker=users_per_worker(arm, trials, workers),
        cores=len(cores.stack),
        rates=rates(cpu, cores),
    )


def workers_of(variant: Variant) -> int:
    return int(variant.settings.get("workers", 1))


def turned_away(kernel: Kernel) -> int:
    """Count the connections that the kernel did not let in; one that overflows is dropped, too."""
    return max(kernel.listen_overflows or 0, kernel.listen_drops or 0)


def users_per_worker(arm: Arm, trials: Sequence[Trial], workers: int) -> tuple[int, ...] | None:
    """Say how the accepts fell out in the round of the middle goodput; None for one worker, or where not seen."""
    seen = sorted(
        (trial for trial in trials if trial.server.connections_per_worker), key=lambda trial: trial.client.goodput
    )
    if workers == 1 or not seen:
        return None
    counts = tuple(seen[len(seen) // 2].server.connections_per_worker or ())
    return counts if (len(counts), sum(counts)) == (workers, arm.load.users) else None


def stated_wait(variant: Variant, waiting: Waiting | None) -> float | None:
    """Return the seconds that a request waits by the workload's own word; what blocks the loop cannot be gathered."""
    if waiting is None or waiting.ms is None:
        return None
    if variant.stack.concurrency == "blocked-loop":
        return waiting.ms / 1000 * waiting.calls
    return waiting.seconds
