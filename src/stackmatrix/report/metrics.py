"""Every metric of an arm in one table: what it is called, its unit, what it means, and where it is found."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stackmatrix.formatting import count, mib, milliseconds, percent, quantity
from stackmatrix.report.arms import share_of_ceiling
from stackmatrix.results.run import ArmResult

Value = float | int | None


@dataclass(frozen=True)
class Metric:
    key: str  # its column in `report.csv`
    name: str
    unit: str
    meaning: str
    value: Callable[[ArmResult], Value]
    write: Callable[[float | None], str] = quantity

    def show(self, arm: ArmResult) -> str:
        return self.write(self.value(arm))


METRICS: Final = (
    Metric(
        "goodput",
        "Goodput",
        "requests/s",
        "Expected answers per second: status and every byte of the body as the contract has them. A request that is "
        "cut by an edge of the window counts by the share of its time inside. The estimate is the Hodges–Lehmann "
        "centre over the rounds, with the exact Wilcoxon signed-rank interval of 95 %.",
        lambda arm: arm.goodput.value if arm.goodput else None,
    ),
    Metric(
        "p50_ms",
        "p50",
        "ms",
        "Median latency, from the instant a request was due to its last byte, over the right answers of all rounds "
        "together. In a closed loop that is at full load: users divided by goodput, not what a lone user would see.",
        lambda arm: arm.latency_ms.p50,
        milliseconds,
    ),
    Metric(
        "p90_ms", "p90", "ms", "Nine of ten right answers took no longer.", lambda arm: arm.latency_ms.p90, milliseconds
    ),
    Metric(
        "p99_ms",
        "p99",
        "ms",
        "99 of 100 took no longer. A percentile is given only where at least ten requests lie beyond it; percentiles "
        "are never averaged.",
        lambda arm: arm.latency_ms.p99,
        milliseconds,
    ),
    Metric("p999_ms", "p99.9", "ms", "999 of 1000 took no longer.", lambda arm: arm.latency_ms.p999, milliseconds),
    Metric(
        "max_ms",
        "Longest",
        "ms",
        "The slowest right answer of all rounds.",
        lambda arm: arm.latency_ms.max,
        milliseconds,
    ),
    Metric(
        "failed",
        "Failed",
        "",
        "Wrong status, wrong body, time-out, refused or broken connection. One is enough to void a trial: a stack "
        "that errs does other work than one that answers.",
        lambda arm: arm.errors.total,
        count,
    ),
    Metric(
        "cpu_us_stack",
        "CPU",
        "µs/request",
        "CPU time of the stack's processes per expected answer, from its cgroup or process tree: the most robust "
        "figure of efficiency on a noisy machine. It depends on the load, so compare it at the same load only.",
        lambda arm: arm.cpu_us_per_request.stack,
    ),
    Metric(
        "cpu_us_upstreams",
        "Upstream CPU",
        "µs/request",
        "The same of PostgreSQL, Nginx and the delay server together.",
        lambda arm: arm.cpu_us_per_request.upstreams,
    ),
    Metric(
        "cpu_us_generator",
        "Generator CPU",
        "µs/request",
        "The same of the load generator. Above 70 % of its core it may be what is measured, and the trial is void.",
        lambda arm: arm.cpu_us_per_request.generator,
    ),
    Metric(
        "memory_mib",
        "Memory",
        "MiB",
        "The most anonymous memory of the stack's processes that was seen in any round; page cache is not counted.",
        lambda arm: arm.memory_mib,
        mib,
    ),
    Metric(
        "threads",
        "Threads",
        "",
        "The most operating-system threads of the stack, counted from outside.",
        lambda arm: arm.threads,
        count,
    ),
    Metric(
        "db_sessions",
        "Sessions",
        "",
        "The most sessions that the stack held at PostgreSQL.",
        lambda arm: arm.db_sessions,
        count,
    ),
    Metric(
        "ceiling",
        "Ceiling",
        "requests/s",
        "The most that physics allows the arm: the least of users ÷ (wait + CPU), slots ÷ (wait + CPU), and cores ÷ "
        "CPU, each certain from conservation alone.",
        lambda arm: arm.ceiling.goodput if arm.ceiling else None,
    ),
    Metric(
        "share",
        "Share of ceiling",
        "",
        "Goodput divided by the ceiling. Near 100 % the stack does all that can be asked of it; what is lacking is "
        "lost in queues or elsewhere. A cell on the CPU has none: its ceiling is made of its own CPU time.",
        share_of_ceiling,
        percent,
    ),
)

BY_KEY: Final = {metric.key: metric for metric in METRICS}
