"""Failures that name their cause, of a real stack: sessions that wait for a pool behind threads."""

import os
from pathlib import Path

import pytest

from stackmatrix.catalog.stacks import Variant, load_stacks
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.measure.preflight import check_variant
from stackmatrix.measure.trial import Bench, timed_trial
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.plan import Arm, Load, Timing
from stackmatrix.runtime.native import NativeRuntime


@pytest.mark.native
def test_an_exhausted_pool_is_named_and_the_log_is_kept(tmp_path: Path) -> None:
    variant = Variant(load_stacks()["fastapi-sync"], {"db": "orm"})
    workload, load = load_workloads()["notes-create"], Load("closed", users=60)
    arm = Arm(f"{variant.label}/{workload.name}", "fastapi-sync", {"db": "orm"}, workload.name, {}, load)
    with NativeRuntime(print) as runtime:
        runtime.up([variant.stack])
        bench = Bench(runtime, tuple(sorted(os.sched_getaffinity(0))), RunDirectory.create("pool", tmp_path), seed=1)
        with bench.alone(variant) as service:
            assert check_variant(runtime, service, {"database": 60}).reason is None  # as in a run, before its trials
            for attempt in range(3):  # the pool runs dry when enough requests hold a thread and wait for a session
                trial = timed_trial(bench, service, arm, workload, Timing(1.0, 6.0), 0, attempt)
                failures = [*trial.client.failures, *trial.client.failures_outside]
                if failures:
                    break
    assert ("status", 503, "notes-create") in {(failure.ending, failure.status, failure.kind) for failure in failures}
    told = [reason for reason in trial.reasons if "failed with status 503" in reason.detail]
    assert any(reason.detail.endswith(": the wait for a database connection") for reason in told), told
    assert {str(reason.log) in reason.remedy for reason in told} == {True}
    assert (bench.directory.path / str(told[0].log)).read_text().strip()
