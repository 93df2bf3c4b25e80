"""Every liar is caught under its own name, and no honest stack is: contract, identity, overlap, and a short trial."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from stackmatrix.analysis.judge import judge
from stackmatrix.analysis.model.observed import Setup
from stackmatrix.analysis.statistics import LEAST_ROUNDS
from stackmatrix.catalog import ROOT
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.stacks import Stack, Variant, load_stacks
from stackmatrix.catalog.workloads import Workload, load_workloads
from stackmatrix.load.latency import Latency
from stackmatrix.measure.after_rounds import sustain
from stackmatrix.measure.preflight import PreflightResult, check_variant
from stackmatrix.measure.trial import Bench, timed_trial
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.explain import ExtraTrials
from stackmatrix.results.plan import Arm, Load, Timing, arms_of
from stackmatrix.results.reasons import Reason
from stackmatrix.results.trial import Trial
from stackmatrix.runtime.native import NativeRuntime

from .liars import FADING, HONEST, LIARS, Liar, checkout, share_environment

STACKS = load_stacks()
WORKLOADS = load_workloads()
USERS = 64
TIMING = Timing(warmup_s=2.0, window_s=1.0)
ATTEMPTS = 3
SOME_WORKLOADS = {"http", "notes-create"}
MACHINE = {"neighbour", "steal", "generator"}
"""Kinds of reasons that speak of the machine, which the tests share with others."""

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def root() -> Path:
    """A checkout of honest stacks and liars; its environments are kept for the next time."""
    return checkout(ROOT / ".state" / "liars")


@pytest.fixture(scope="module")
def stacks(root: Path) -> Mapping[str, Stack]:
    """All stacks of that checkout by name."""
    return load_stacks(root)


@pytest.fixture(scope="module")
def bench(root: Path, stacks: Mapping[str, Stack], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The upstreams, up, and the environment of the honest stack, which the liars share."""
    with NativeRuntime(print, root) as runtime:
        runtime.up([stacks[HONEST.name]])
        share_environment(root)
        directory = RunDirectory.create("liars", tmp_path_factory.mktemp("results"))
        yield Bench(runtime, tuple(sorted(os.sched_getaffinity(0))), directory, seed=1)


def reasons(bench: Bench, variant: Variant, workload: Workload, restarted: bool) -> list[Reason]:
    """Why a variant is not admitted, or its trial does not count."""
    waiting = workload.waiting()
    against = admission_of(bench, variant, [workload]).against(waiting.on if waiting else None, USERS)
    return [against] if against else trial(bench, variant, workload, 0, restarted).reasons


def admission_of(bench: Bench, variant: Variant, workloads: Sequence[Workload]) -> PreflightResult:
    """Whether a variant may be timed under these workloads."""
    users = {waiting.on: USERS for workload in workloads if (waiting := workload.waiting())}
    with bench.runtime.service(variant) as service:
        return check_variant(bench.runtime, service, users)


def trial(bench: Bench, variant: Variant, workload: Workload, attempt: int, restarted: bool = False) -> Trial:
    """Time a variant under a workload."""
    load = Load("closed", users=USERS)
    arm = Arm(f"{variant.label}/{workload.name}", variant.stack.name, dict(variant.changed), workload.name, {}, load)
    with bench.alone(variant) as service:
        if restarted:
            bench.runtime.restart(service)
        return timed_trial(bench, service, arm, workload, TIMING, 0, attempt)


def stop(bench: Bench, variant: Variant) -> None:
    """End a stack that no other test needs."""
    with bench.runtime.service(variant) as service:
        bench.runtime.terminate(service)


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: liar.case)
def test_a_liar_is_caught(liar: Liar, bench: Bench, stacks: Mapping[str, Stack]) -> None:
    variant = Variant(stacks[liar.name], liar.changed)
    found = reasons(bench, variant, WORKLOADS[liar.workload], liar.restarted)
    stop(bench, variant)
    for kind, words in liar.reasons.items():
        assert any(reason.kind == kind and re.search(words, reason.detail) for reason in found), found


def test_a_rate_that_lives_on_credit_is_told(bench: Bench, stacks: Mapping[str, Stack]) -> None:
    variant, workload = Variant(stacks[FADING.name], {}), WORKLOADS[FADING.workload]
    arm = arms_of([variant], [workload], {}, [Load("closed", users=USERS)], twice=False)[0]
    rounds = [trial(bench, variant, workload, 0, restarted=True) for _ in range(LEAST_ROUNDS)]
    with bench.alone(variant) as service:
        bench.runtime.restart(service)
        long = sustain(bench, service, arm, workload, Timing(warmup_s=2.0, window_s=12.0))
    stop(bench, variant)
    trials = [replace(each, arm=arm.id, round=place, reasons=[]) for place, each in enumerate(rounds)]
    passes = ExtraTrials(sustained={arm.id: replace(long, missing=None)})
    setup = Setup(Catalog(stacks, WORKLOADS), bench.cpus)
    found = judge([arm], trials, setup, lambda _: Latency(), passes=passes).arms[0]
    assert found.sustained is not None and found.sustained.holds is False
    assert any("less: its rate does not last" in line for line in found.explanation), found.explanation


def test_unequal_work_is_not_compared(bench: Bench, stacks: Mapping[str, Stack]) -> None:
    variants = [Variant(stacks[name], {}) for name in (HONEST.name, "connects-anew")]
    arms = arms_of(variants, [WORKLOADS["notes-create"]], {}, [Load("closed", users=USERS)], twice=False)
    trials = [replace(trial(bench, variant, WORKLOADS["notes-create"], 0), reasons=[]) for variant in variants]
    stop(bench, variants[1])
    trials = [replace(one, arm=arm.id) for one, arm in zip(trials, arms, strict=True)]
    honest, liar = judge(arms, trials, Setup(Catalog(stacks, WORKLOADS), bench.cpus), lambda _: Latency()).arms
    assert honest.valid
    assert [reason.kind for reason in liar.reasons] == ["unequal"]
    assert re.search(r"opens (0\.9|1\.0)\d database sessions per request where .* opens 0\.0", liar.reasons[0].detail)
    assert (liar.goodput, liar.ratio, liar.rank) == (None, None, None)


@pytest.mark.parametrize("name", STACKS)
def test_an_honest_stack_is_not(name: str, bench: Bench, stacks: Mapping[str, Stack]) -> None:
    variant = Variant(stacks[name], {})
    names = {liar.workload for liar in LIARS} if name == HONEST.name else SOME_WORKLOADS
    workloads = [WORKLOADS[workload] for workload in sorted(names)]
    admission = admission_of(bench, variant, workloads)
    assert (admission.reason, admission.faults) == (None, ())
    for workload in workloads:
        attempts: list[list[Reason]] = []
        while len(attempts) < ATTEMPTS:  # as often as a run repeats a round
            found = trial(bench, variant, workload, len(attempts)).reasons
            attempts.append([reason for reason in found if reason.kind not in MACHINE])
            if not attempts[-1]:
                break
        assert [] in attempts, f"{workload.name}: {attempts}"


@pytest.mark.parametrize("name", STACKS)
def test_an_honest_stack_of_two_workers_is_what_its_manifest_says(
    name: str, bench: Bench, stacks: Mapping[str, Stack]
) -> None:
    variant = Variant(stacks[name], {"workers": 2})
    admission = admission_of(bench, variant, [WORKLOADS["sleep"]])
    assert (admission.reason, admission.faults) == (None, ())
    stop(bench, variant)


def test_connections_are_counted_by_the_worker_that_holds_them(bench: Bench, stacks: Mapping[str, Stack]) -> None:
    one, two = (Variant(stacks[HONEST.name], changed) for changed in ({}, {"workers": 2}))
    assert trial(bench, one, WORKLOADS["sleep"], 0).server.connections_per_worker == [USERS]
    dealt = trial(bench, two, WORKLOADS["sleep"], 0).server.connections_per_worker
    assert dealt is not None
    assert (len(dealt), sum(dealt)) == (2, USERS)


def test_the_kernel_s_counters_are_those_of_the_stack(bench: Bench, stacks: Mapping[str, Stack]) -> None:
    found = trial(bench, Variant(stacks[HONEST.name], {}), WORKLOADS["json-small"], 0)
    counted = found.server.kernel
    assert None not in astuple(counted)
    assert found.per_answer(counted.writes) == pytest.approx(1.5, abs=0.6), "one or two, by the version of uvloop"
    assert not counted.listen_drops, counted
