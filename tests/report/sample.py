"""Runs that were never measured: made up from a seed, but written and judged by the code that keeps real ones.

Throughput and latency follow the ceilings of four made-up stacks, one of each way to be concurrent, so that a sample
looks like a run. What is to go wrong in it is said by `Spoil`.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from stackmatrix.analysis import validity
from stackmatrix.analysis.judge import judge
from stackmatrix.analysis.latency import pooled_latency, right_answers
from stackmatrix.analysis.model.ceiling import Demand, ceiling
from stackmatrix.analysis.model.facts import pools, slots
from stackmatrix.analysis.model.observed import Setup, stated_wait
from stackmatrix.analysis.slo import verdict as levels
from stackmatrix.analysis.slo.level import parse_level
from stackmatrix.analysis.slo.overload import FACTOR
from stackmatrix.analysis.slo.search import FIRST_FACTOR, LATER_FACTOR, Search
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Variant, load_stacks, parse_variant
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.load import summary
from stackmatrix.load.recorder import Ending
from stackmatrix.load.records import ROW, Records, write_records
from stackmatrix.measure.trial import name_of
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.explain import Explained, Phases, Profiled
from stackmatrix.results.plan import Arm, Load, Plan, arms_of
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import Identity, Run
from stackmatrix.results.slo import Overload, Probe, ProbeOutcome
from stackmatrix.results.trial import Cpu, Errors, LedgerLine, Trial

from ..made_trials import altered, made

CONCURRENCY = {
    "flask-uwsgi-gevent": "greenlets",
    "fastapi-async": "event-loop",
    "fastapi-sync": "threads",
    "fastapi-blocking": "blocked-loop",
}
SLOTS = {"greenlets": '["greenlets"]', "event-loop": '"unlimited"', "threads": '["threads"]', "blocked-loop": "[1]"}
MANIFEST = """
summary = "A made-up stack with {concurrency}"
language = "Python"
framework = "made up"
server = "made up"
concurrency = "{concurrency}"
port = {port}
[settings]
workers = 1
threads = 40
greenlets = 100
db_pool = 10
http_client = "aiohttp"
[choices]
http_client = ["aiohttp", "httpx"]
[capacity]
timer = {slots}
database = {slots}
upstream = {slots}
[packages]
watch = []
[identity]
processes = 1
"""

CPU_US = {
    "notes-create": 520,
    "notes-read": 400,
    "notes-list": 620,
    "query": 420,
    "sleep": 190,
    "sleep-parallel": 340,
    "http": 560,
    "http-parallel": 3900,
    "data": 8200,
    "json-small": 210,
    "json-medium": 1100,
    "json-large": 16000,
}
COST = {"event-loop": 1.0, "threads": 1.7, "greenlets": 1.25, "blocked-loop": 1.1}
"""CPU of each kind of stack, in multiples of the cheapest."""
LOST = {"event-loop": 1.01, "threads": 1.25, "greenlets": 1.09, "blocked-loop": 1.6}
"""How much longer requests take than they would at the ceiling."""

Spoil = Callable[[Trial], Trial]
"""Changes a trial before it is kept."""

ENVIRONMENT = {
    "cpu": "Made-up CPU @ 3.00GHz",
    "cpus": 2,
    "memory_gib": 8.0,
    "kernel": "6.12.0",
    "system": "Debian GNU/Linux 13 (trixie)",
    "virtual": True,
    "python": "3.13.5",
    "revision": "0123456789ab",
    "runtime": "docker 28.0.0",
    "postgres": "17.5",
    "nginx": "1.26.3",
    "delay": "delay server in Go, in a container",
    "seed": 1,
    "window_s": 1.0,
}


@dataclass(frozen=True)
class Sample:
    """What is to be made up."""

    stacks: Sequence[str] = tuple(CONCURRENCY)
    """Names, or variants as the command line takes them."""
    workloads: Sequence[str] = tuple(CPU_US)
    loads: Sequence[Load] = (Load("closed", users=64),)
    rounds: int = 8
    window_s: float = 0.5
    seed: int = 1
    ended_by: str = "precision"
    name: str = "sample"
    started: str = "2026-02-03T04:05:06+00:00"
    spoil: Spoil = field(default=lambda trial: trial)
    environment: Mapping[str, object] = field(default_factory=dict)
    slo: str | None = None
    """A service level whose largest rates were looked for."""
    looked_at: bool = False
    """Whether there was an explaining pass, and flame graphs were drawn."""


def catalog(root: Path) -> Catalog:
    """The made-up stacks, and the real workloads."""
    for port, (name, concurrency) in enumerate(CONCURRENCY.items(), 8101):
        file = root / "stacks" / name / "stack.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(MANIFEST.format(concurrency=concurrency, port=port, slots=SLOTS[concurrency]))
    return Catalog(load_stacks(root), load_workloads())


def make(base: Path, sample: Sample = Sample()) -> RunDirectory:
    """A run directory below `base`, with trials, records and the judgement of them."""
    known = catalog(base / ".catalog")
    directory = RunDirectory(base / f"{sample.started[:19].translate({45: None, 58: None})}Z-{sample.name}")
    (directory.path / "records").mkdir(parents=True)
    variants = [parse_variant(text, known.stacks) for text in sample.stacks]
    timed = [known.workloads[name] for name in sample.workloads]
    arms = arms_of(variants, timed, {}, sample.loads, twice=sample.slo is None)
    command = f"./scripts/check-performance.py --name {sample.name}"
    directory.write(
        "plan.json",
        Plan(
            schema=SCHEMA,
            name=sample.name,
            command=command,
            runtime="docker",
            seed=sample.seed,
            warmup_s=1.0,
            window_s=sample.window_s,
            rounds=None,
            budget_s=600,
            arms=arms,
            inputs={},
            slo=sample.slo,
        ),
    )
    for number in range(sample.rounds):
        for arm in arms:
            directory.append(sample.spoil(one_trial(sample, directory, known, arm, number)))
    if sample.slo is not None:
        search(sample, directory, arms)
    if sample.looked_at:
        look(sample, directory, arms)
    pooled = partial(pooled_latency, directory)
    judged = judge(arms, directory.trials(), Setup(known, (0, 1)), pooled, passes=directory.passes())
    environment = {**ENVIRONMENT, "seed": sample.seed, "window_s": sample.window_s, **sample.environment}
    directory.write("environment.json", environment)
    directory.write(
        "run.json",
        Run(
            schema=SCHEMA,
            name=sample.name,
            command=command,
            started=sample.started,
            ended_by=sample.ended_by,
            environment=environment,
            arms=judged.arms,
            aa=judged.aa,
            answers=judged.answers,
            identities={name: identity(name) for name in sample.stacks},
            levels=levels.judge_levels(arms, directory.probes(), parse_level(sample.slo)) if sample.slo else [],
        ),
    )
    return directory


def search(sample: Sample, directory: RunDirectory, arms: Sequence[Arm]) -> None:
    """Probes of a search by stacks whose latency rises as they fill up; one keeps the level at no rate."""
    level = parse_level(sample.slo or "")
    most = {"fastapi-async": 900.0, "fastapi-sync": 380.0, "flask-uwsgi-gevent": 610.0, "fastapi-blocking": 10.0}
    for number in range(sample.rounds):
        for arm in arms:
            random = np.random.default_rng([sample.seed, number, zlib.crc32(arm.id.encode())])
            asked = Search(most[arm.stack] * 0.4, FIRST_FACTOR if number == 0 else LATER_FACTOR, level.least_rate)
            for step in range(40):
                rate = asked.rate
                if rate is None:
                    break
                ms = 100 / max(0.02, 1 - rate / most[arm.stack] / random.normal(1, 0.02))
                kept = ms < level.limit_ms
                asked.tell(rate, "kept" if kept else "broken")
                trial = Trial(name_of(arm, number, step), f"{arm.id} for {level}", number, step, sample.started)
                found: ProbeOutcome = "kept" if kept else "broken"
                directory.append(Probe(arm.id, number, step, rate, found, 1126, 0, ms, trial))
            if asked.bracket.value is not None:
                over = Overload(asked.bracket.value * 1.1, 480.0, None if arm.workload == "query" else 0.8, 3.0)
                rate = asked.bracket.value * FACTOR
                trial = Trial(name_of(arm, number, 0), f"{arm.id} above {level}", number, 0, sample.started)
                directory.append(Probe(arm.id, number, 0, rate, "broken", 3000, 0, 480.0, trial, "overload", over))


def one_trial(sample: Sample, directory: RunDirectory, known: Catalog, arm: Arm, number: int) -> Trial:
    """One made-up trial, its records written."""
    random = np.random.default_rng([sample.seed, number, zlib.crc32(arm.id.encode())])
    mood = np.random.default_rng([sample.seed, number]).normal(1, 0.02)  # what all arms of a round share
    cpu_us = CPU_US[arm.workload] * COST[known.stacks[arm.stack].concurrency] * random.normal(1, 0.004)
    workload = known.workloads[arm.workload]
    records = answers(random, known, arm, cpu_us * mood * random.normal(1, 0.008), sample.window_s)
    start, end = 1000.0, 1000.0 + sample.window_s
    name = name_of(arm, number, 0)
    write_records(directory.records_file(name), records)
    inside = right_answers(records, start, end)
    right = records[records["verdict"] == Ending.OK]
    used = len(inside) * cpu_us / 1e6
    effects = workload.effects()
    trial = made(
        arm.id,
        number,
        id=name,
        started=sample.started,
        warmup_s=1.0,
        window_start=start,
        window_s=sample.window_s,
        offered=int(summary.within(records["scheduled"], start, end).sum()),
        answered=len(inside),
        unfinished=int(((records["scheduled"] < end) & ~(records["end"] < end)).sum()),
        goodput=float(summary.shares_inside(right, start, end, 0.0).sum()) / sample.window_s,
        little=1.0 if arm.load.kind == "closed" else None,
        errors=Errors(),
        latency_ms=summary.latency_ms(inside),
        bytes=int(inside["bytes"].sum()),
        cpu_s=Cpu(
            stack=used,
            postgres=len(inside) * effects.statements * 1.1e-4,
            nginx=len(inside) * effects.fixtures * 2e-5,
            delay=len(inside) * effects.upstream * 3e-5,
        ),
        generator_cpu_s=len(inside) * 4.1e-5,
        memory_mib=60 + 0.2 * cpu_us**0.5 + number,
        threads=46 if arm.stack == "fastapi-sync" else 5,
        processes=1,
        db_sessions=10,
        connections=arm.load.users or 12,
        reconnects=0,
        right=len(right),
        generator_share=min(0.6, len(inside) * 4.1e-5 / sample.window_s),
        drift_p99_ms=0.4,
        foreign_share=0.05,
        steal_share=0.001,
        ledger=[
            LedgerLine(what, len(right) * each, len(right) * each)
            for what, each in (
                ("SQL statements", effects.statements),
                ("new rows", effects.rows),
                ("upstream calls", effects.upstream),
                ("files from Nginx", effects.fixtures),
            )
        ],
        records=f"records/{name}.npy",
    )
    return replace(trial, reasons=validity.gate_reasons(trial, arm.load, fitted=False))


def look(sample: Sample, directory: RunDirectory, arms: Sequence[Arm]) -> None:
    """What was seen after the rounds: phases of every arm, and a flame graph of the first."""
    first = {trial.arm: trial for trial in directory.trials() if not trial.reasons}
    for trial in (first[arm.id] for arm in arms if arm.twin_of is None and arm.id in first):
        response_s = (trial.client.latency_ms.mean or 1.0) / 1000
        stolen = trial.arm.startswith("fastapi-sync/sleep/")
        directory.append(
            Explained(
                arm=trial.arm,
                started=sample.started,
                window_s=sample.window_s,
                goodput=0.97 * trial.client.goodput,
                cpu_us=1.03 * (trial.stack_cpu_us or 0.0),
                reasons=[Reason("steal", "the host took 3.0% of the CPU time")] if stolen else [],
                observers=4,
                phases=Phases(
                    requests=120,
                    response_s=response_s,
                    total_s=0.9 * response_s,
                    queue_s=0.5 * response_s if trial.arm.startswith("fastapi-sync/") else None,
                    db_s=0.1 * response_s,
                    encode_s=0.01 * response_s,
                    lag_s=0.0004,
                    sessions_active=7.25,
                    sessions_idle=2.75,
                ),
            )
        )
    drawn = "profiles/first.svg"
    (directory.path / "profiles").mkdir()
    (directory.path / drawn).write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    directory.append(Profiled(arm=arms[0].id, started=sample.started, goodput=1.0, file=drawn, samples=300))


def identity(name: str) -> Identity:
    """What was seen of a made-up stack."""
    return Identity(1, 5, "made up", "made-up/1.0", {"python": "3.13.5", name.partition("[")[0]: "1.0"}, True, 0)


def demand_of(known: Catalog, arm: Arm, cpu_us: float) -> Demand:
    """What the model is told of an arm."""
    stack = Variant(known.stacks[arm.stack], arm.variant)
    waiting = known.workloads[arm.workload].waiting()
    return Demand(
        wait_s=stated_wait(stack, waiting) or 0.0,
        cpu_s=cpu_us / 1e6,
        users=arm.load.users,
        rate=arm.load.rate,
        slots=slots(pools(stack, waiting), 1),
    )


def answers(random: np.random.Generator, known: Catalog, arm: Arm, cpu_us: float, window_s: float) -> Records:
    """The requests of a warm-up and of the window: each user asks again when it is answered."""
    demand = demand_of(known, arm, cpu_us)
    expected = ceiling(demand)
    lost = LOST[known.stacks[arm.stack].concurrency]
    warmup_s = max(1.0, 1.2 * lost * (expected.predicted_response_s or 0.0))
    seconds = warmup_s + window_s
    if arm.load.kind == "closed":
        users = arm.load.users or 1
        mean = (expected.predicted_response_s or 1.0) * lost
        turns = int(seconds / mean * 1.3) + 4
        queueing = max(mean - demand.service_s, mean * 0.02)
        spent = mean - queueing + random.gamma(4, queueing / 4, (users, turns))
        ends = np.cumsum(spent, axis=1) - random.uniform(0, mean, (users, 1))
        begins = (ends - spent).ravel()
        over = ends.ravel()
    else:
        rate = arm.load.rate or 1.0
        begins = np.cumsum(random.exponential(1 / rate, int(rate * seconds)))
        mean = expected.predicted_response_s or 0.5
        over = begins + mean * (0.8 + random.gamma(2, 0.1, len(begins)))
    records = np.zeros(len(begins), ROW)
    records["scheduled"] = 1000 - warmup_s + begins
    records["sent"] = records["scheduled"] + 5e-5
    records["end"] = 1000 - warmup_s + over
    records["first_byte"] = records["end"] - 1e-4
    records["bytes"] = 300
    records["status"] = 200
    records = records[(records["scheduled"] >= 1000 - warmup_s) & (records["scheduled"] < 1000 + window_s)]
    kept: Records = records[np.argsort(records["end"], kind="stable")]
    return kept


def failing(trial: Trial) -> Trial:
    """Every trial has failures."""
    told = Reason("errors", "3 of 200 requests failed with status 500 after 12.0 ms", f"logs/{trial.id}.log")
    return altered(trial, errors=Errors(status=3), reasons=[told])


def one_bound_by_its_generator(trial: Trial) -> Trial:
    """One arm cannot be measured."""
    reason = Reason("generator", "the generator used 82% of its core")
    return replace(trial, reasons=[reason]) if trial.arm.startswith("fastapi-sync/http/") else trial


SAMPLES = {
    "matrix": Sample(name="matrix", spoil=one_bound_by_its_generator, looked_at=True),
    "interrupted": Sample(
        name="interrupted", rounds=2, ended_by="interrupted", workloads=("http", "data"), started="2026-02-04T04:05:06"
    ),
    "void": Sample(
        name="void", rounds=1, workloads=("http", "sleep"), spoil=failing, started="2026-02-05T04:05:06", ended_by="cap"
    ),
    "sweep": Sample(
        name="sweep",
        stacks=(
            "fastapi-async",
            "fastapi-sync",
            "fastapi-sync[threads=100]",
            "fastapi-async[http_client=httpx,db_pool=20]",
        ),
        workloads=("http",),
        loads=(
            *(Load("closed", users=n) for n in (8, 64, 256)),
            *(Load("open", rate=rate, arrivals="poisson") for rate in (100.0, 300.0)),
        ),
        window_s=1.0,
        started="2026-02-06T04:05:06",
        environment={"cpu": "Another CPU", "cpus": 8, "virtual": False, "runtime": "native"},
    ),
}

SAMPLES["levels"] = Sample(
    name="levels", workloads=("http", "query"), rounds=6, slo="p99<200ms", started="2026-02-05T05:05:06"
)

Runs = dict[str, RunDirectory]
"""By the name of their sample."""
