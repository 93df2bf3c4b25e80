"""Judge a run by what is on disk, and keep that as run.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from stackmatrix.analysis.experiment.judge import examined
from stackmatrix.analysis.judge import judge
from stackmatrix.analysis.latency import pooled_latency
from stackmatrix.analysis.model.observed import Setup
from stackmatrix.analysis.slo.verdict import service_levels_of_run
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.plan import Plan
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import Identity, Run


@dataclass(frozen=True)
class Circumstances:
    ended_by: str
    environment: dict[str, Any]
    cpus: Sequence[int]  # the machine's
    barred: Mapping[str, Reason] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)


def judge_run(plan: Plan, directory: RunDirectory, catalog: Catalog, seen: Circumstances) -> Run:
    """Judge a run by what is on disk, and keep that as run.json; UserError when records are missing."""
    setup = Setup(catalog, seen.cpus, plan.shards)
    pooled = partial(pooled_latency, directory)
    judged = judge(plan.arms, directory.trials(), setup, pooled, seen.barred, directory.passes())
    run = Run(
        schema=SCHEMA,
        name=plan.name,
        command=plan.command,
        started=directory.started,
        ended_by=seen.ended_by,
        environment=seen.environment,
        **vars(judged),
        identities=seen.identities,
        levels=service_levels_of_run(plan, directory),
        experiment=examined(plan, directory, judged.arms, setup),
    )
    directory.write("run.json", run)
    return run
