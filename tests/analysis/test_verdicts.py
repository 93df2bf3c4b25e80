"""Verdicts on METHOD's published tables, the limits that libraries set, and any arm that there can be."""

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given

from stackmatrix.analysis.model.bottleneck import Name, verdict
from stackmatrix.analysis.model.ceiling import Demand
from stackmatrix.analysis.model.disagreement import BELOW, DoubtKind, late
from stackmatrix.analysis.model.facts import CpuTimes, Facts, Pool, pools, rates, shared, slots, utilisation
from stackmatrix.analysis.model.library_defaults import known_defaults, libraries, matching
from stackmatrix.catalog.stacks import load_stacks, parse_variant
from stackmatrix.catalog.workloads import Waiting
from stackmatrix.results.interval import Interval

from .arms import (
    BLOCKED,
    CROWDED,
    DELAYED_ACK,
    FOUR_CORES,
    GENERATOR,
    HIDDEN,
    JSON,
    LOOP,
    OPEN,
    PER_REQUEST,
    QUERY,
    SHORT,
    THREADS,
    TURNED_AWAY,
    TWO_CORES,
    VOID,
    arms,
    demand_of,
    goodput,
)

STACKS = load_stacks()


class TestWhatBinds:
    @pytest.mark.parametrize(
        ("facts", "name", "pool"),
        [
            (THREADS, "slots", "threads"),
            (LOOP, "load", None),
            (PER_REQUEST, "server-cpu", None),
            (BLOCKED, "slots", "loop"),
            (JSON, "server-cpu", None),
            (QUERY, "slots", "db_pool"),
            (CROWDED, "database", None),
            (OPEN, "load", None),
            (GENERATOR, "generator", None),
            (VOID, "void", None),
            (replace(THREADS, pools=(Pool("threads", 500), Pool("http_pool", 40))), "slots", "http_pool"),
            (replace(THREADS, demand=None), "void", None),
            (replace(THREADS, goodput=None), "void", None),
        ],
    )
    def test_of_the_published_tables(self, facts: Facts, name: Name, pool: str | None) -> None:
        found = verdict(facts)
        assert found.name == name
        assert (found.pool and found.pool.name) == pool
        assert found.doubt is None

    def test_the_figures_beside_it(self) -> None:
        found = verdict(THREADS)
        assert found.utilisation["slots"] == pytest.approx(39.6 * 1.0012 / 40)
        assert found.utilisation["load"] == pytest.approx(39.6 * 1.0012 / 500)
        assert found.utilisation["server-cpu"] == pytest.approx(39.6 * 0.0012)
        assert found.of_ceiling == pytest.approx(39.6 * 1.0012 / 40)
        assert found.of_predicted == pytest.approx(0.991, abs=0.001)

    def test_a_void_arm_keeps_its_reasons_and_shows_no_number(self) -> None:
        found = verdict(VOID)
        assert found.reasons == VOID.reasons
        assert (found.of_ceiling, found.of_predicted, found.utilisation) == (None, None, {})

    def test_the_cpu_of_others_fills_the_core_too(self) -> None:
        """86 % by the stack and 10 % by interrupts: the core is full, though not by the stack alone."""
        slower = replace(JSON, goodput=goodput(2100), foreign_share=0.12)
        found = verdict(slower)
        assert (found.name, found.doubt and found.doubt.kind) == ("server-cpu", "neighbours")
        assert found.full["server-cpu"] == pytest.approx(2100 * 0.00041 + 0.12)

    def test_a_deal_of_connections_fills_no_core(self) -> None:
        """39, 36, 21, 4 and 0 of 100 connections: 954/s of 375 µs are 36 % of a core, and were called 96 %."""
        demand = Demand(wait_s=0.1, cpu_s=375e-6, users=100, workers=5, users_per_worker=(39, 36, 21, 4, 0), cores=1.0)
        facts = replace(LOOP, demand=demand, pools=(), goodput=goodput(954), cpu=CpuTimes(stack=375))
        assert facts.ceiling is not None
        assert facts.ceiling.terms["server-cpu"] == pytest.approx(1 / 375e-6)
        found = verdict(facts)
        assert found.utilisation["server-cpu"] == pytest.approx(0.358, abs=0.001)
        assert found.name == "load"

    def test_the_fullest_of_empty_resources_binds_nobody(self) -> None:
        """44 ms of delayed acknowledgements: 3 % of the ceiling is no load that bound it."""
        slow = replace(JSON, goodput=goodput(75), response_s=0.044, demand=Demand(wait_s=0.0, cpu_s=0.0004, users=4))
        found = verdict(slow)
        assert found.name == "unexplained"
        assert (found.bound, found.pool) == (None, None)
        assert found.full["load"] < found.full["server-cpu"] < 0.04

    @pytest.mark.parametrize(("share", "name"), [(0.901, "server-cpu"), (0.899, "unexplained")])
    def test_what_is_used_to_nine_tenths_is_used_up(self, share: float, name: Name) -> None:
        assert verdict(replace(JSON, goodput=goodput(share / 0.00041))).name == name

    def test_what_the_kernel_counts_is_no_term_of_the_model(self) -> None:
        for facts in (TURNED_AWAY, DELAYED_ACK):
            found = verdict(facts)
            assert (found.bound, found.pool) == (None, None)
        agreeing = replace(JSON, turned_away=9, delayed_acks=1.0)
        assert verdict(agreeing).name == "server-cpu", "where the model agrees, no counter is asked"

    def test_one_user_who_waits_asks_for_no_more(self) -> None:
        alone = Demand(wait_s=0.0, cpu_s=0.005, users=1)
        half = replace(JSON, demand=alone, goodput=goodput(100), response_s=0.01)
        assert verdict(half).name == "load"
        assert verdict(replace(half, goodput=goodput(190))).name in ("load", "server-cpu")  # the two are one
        assert verdict(replace(half, demand=replace(alone, users=2))).name == "unexplained"

    def test_an_uneven_deal_is_part_of_the_bound(self) -> None:
        """98, 1, 1 and 0 of 100 connections: four workers hold 42 requests of 160."""
        demand = Demand(wait_s=1.0, users=100, workers=4, slots=160, users_per_worker=(98, 1, 1, 0))
        found = verdict(replace(THREADS, demand=demand, goodput=goodput(42)))
        assert found.name == "slots"
        assert found.utilisation["slots"] == pytest.approx(1, abs=0.02)


class TestSharedCore:
    def test_the_heaviest_side_is_named_and_all_sides_count(self) -> None:
        together = shared(CROWDED)
        assert together is not None
        assert together.sides == ("database", "generator")
        assert together.share == pytest.approx(5400 * (110 + 72) / 1e6)
        assert verdict(CROWDED).utilisation["database"] == pytest.approx(0.594)

    def test_the_generator_when_it_is_the_heaviest(self) -> None:
        cpu = CpuTimes(stack=30, postgres=60, generator=120)
        demand = Demand(wait_s=0.0, cpu_s=0.00003, users=64, rates=rates(cpu, TWO_CORES))
        facts = replace(CROWDED, cpu=cpu, demand=demand, waits_on=None, goodput=goodput(5400), generator_share=0.65)
        assert verdict(facts).name == "generator"

    def test_cores_of_their_own_add_up_to_nothing(self) -> None:
        apart = replace(CROWDED, cores=FOUR_CORES)
        assert shared(apart) is None
        assert utilisation(apart)["database"] == pytest.approx(5400 * 110 / 1e6 / 2)

    def test_rates_for_the_ceiling(self) -> None:
        cpu = CpuTimes(stack=400, postgres=100, nginx=10, delay=15, generator=50)
        assert rates(cpu, FOUR_CORES) == pytest.approx(
            {"database": 1e6 / 62.5, "upstream": 80_000, "generator": 20_000}
        )
        crowd = {"database": 1e6 / 175, "upstream": 40_000, "generator": 20_000}
        assert rates(cpu, TWO_CORES) == pytest.approx(crowd)
        assert rates(CpuTimes(stack=400), TWO_CORES) == {}


class TestDoubts:
    @pytest.mark.parametrize(
        ("facts", "kind", "name"),
        [
            (HIDDEN, "default-limit", "slots"),
            (replace(LOOP, in_flight=None, goodput=goodput(97)), "default-limit", "slots"),
            (replace(HIDDEN, libraries=frozenset({"requests"})), "unnamed-limit", "slots"),
            (replace(HIDDEN, libraries=frozenset({"requests"}), foreign_share=0.3), "unnamed-limit", "slots"),
            (replace(JSON, goodput=goodput(1400), foreign_share=0.4), "neighbours", "server-cpu"),
            (replace(HIDDEN, cpu=CpuTimes(), in_flight=None, libraries=frozenset()), "unexplained", "unexplained"),
            (replace(LOOP, goodput=goodput(250), call_s=1.0, upstream_s=1.98), "slow-upstream", "upstream"),
            (replace(QUERY, goodput=goodput(55), response_s=1.16, database_s=0.18), "slow-database", "database"),
            (SHORT, "short-window", "slots"),
            (replace(CROWDED, demand=replace(demand_of(CROWDED), rates={})), "shared-core", "database"),
            (replace(QUERY, goodput=goodput(40), wait_known=False, database_s=None), "unknown-wait", "unexplained"),
            (replace(JSON, demand=Demand(wait_s=0, cpu_s=0.00041, users=1), goodput=goodput(1500), response_s=0.00067),
             "overhead", "load"),
            (replace(OPEN, response_s=1.4), "unexplained", "load"),
            (replace(OPEN, response_s=1.4, in_flight=21), "unnamed-limit", "slots"),
            (replace(JSON, goodput=goodput(1200)), "unexplained", "unexplained"),
            (TURNED_AWAY, "accept-queue", "accept-queue"),
            (DELAYED_ACK, "delayed-ack", "delayed-ack"),
            (replace(DELAYED_ACK, writes=None), "delayed-ack", "delayed-ack"),  # nobody may look at the stack's calls
            (replace(DELAYED_ACK, writes=0.02), "delayed-ack", "delayed-ack"),  # by `send`, which is not counted
            (replace(DELAYED_ACK, delayed_acks=None), "unexplained", "unexplained"),
            (replace(DELAYED_ACK, response_s=None), "unexplained", "unexplained"),
            (replace(LOOP, goodput=goodput(250), in_flight=500), "unexplained", "unexplained"),  # the ramp's peak
        ],
    )  # fmt: skip
    def test_the_facts_decide_which_assumption(self, facts: Facts, kind: DoubtKind, name: Name) -> None:
        found = verdict(facts)
        assert found.doubt is not None
        assert (found.doubt.kind, found.name) == (kind, name)

    @pytest.mark.parametrize(
        ("kind", "facts", "just_not"),
        [
            (
                "shared-core",  # 70 % of the core: 182 µs a request
                replace(CROWDED, demand=replace(demand_of(CROWDED), rates={}), goodput=goodput(3847)),
                {"goodput": goodput(3845)},
            ),
            ("neighbours", replace(JSON, goodput=goodput(1400), foreign_share=0.13), {"foreign_share": 0.12}),
            ("neighbours", replace(JSON, goodput=goodput(2000), foreign_share=0.101), {"foreign_share": 0.10}),
            (
                "slow-upstream",
                replace(LOOP, goodput=goodput(250), call_s=1.0, upstream_s=1.101),
                {"upstream_s": 1.099},
            ),
            ("slow-database", replace(QUERY, goodput=goodput(55), database_s=0.1101), {"database_s": 0.1099}),
            (
                "short-window",  # ten rounds of 6 s
                replace(
                    THREADS, goodput=goodput(0.8999 * 39.95), in_flight=None, libraries=frozenset(), response_s=6.01
                ),
                {"response_s": 5.99},
            ),
            (
                "short-window",
                replace(SHORT, goodput=goodput(0.701 * 3.9992), response_s=18),
                {"goodput": goodput(2.79)},
            ),
            ("short-window", replace(OPEN, response_s=6.01), {"response_s": 5.99}),
            ("accept-queue", replace(TURNED_AWAY, turned_away=1), {"turned_away": 0}),
            ("delayed-ack", replace(DELAYED_ACK, delayed_acks=0.5), {"delayed_acks": 0.499}),
            ("delayed-ack", replace(DELAYED_ACK, response_s=0.0355), {"response_s": 0.0353}),
            ("delayed-ack", replace(DELAYED_ACK, response_s=0.0553), {"response_s": 0.0555}),
            ("delayed-ack", replace(DELAYED_ACK, writes=1.51), {"writes": 1.49}),
            (
                "delayed-ack",  # 69.9 % of its core
                replace(DELAYED_ACK, demand=Demand(wait_s=0.0, cpu_s=0.0004, users=64), goodput=goodput(1747)),
                {"goodput": goodput(1751)},
            ),
            (
                "delayed-ack",
                replace(DELAYED_ACK, demand=Demand(wait_s=0.0345, cpu_s=0.0004, users=64), response_s=0.075),
                {"demand": Demand(wait_s=0.0347, cpu_s=0.0004, users=64)},
            ),
            (
                "overhead",
                replace(
                    JSON, demand=Demand(wait_s=0, cpu_s=0.00041, users=1), goodput=goodput(700), response_s=0.00140
                ),
                {"response_s": 0.00142},
            ),
        ],
    )
    def test_each_doubt_has_its_threshold(self, kind: DoubtKind, facts: Facts, just_not: dict[str, Any]) -> None:
        found, spared = verdict(facts).doubt, verdict(replace(facts, **just_not)).doubt
        assert found is not None
        assert found.kind == kind
        assert spared is not None
        assert spared.kind != kind

    @pytest.mark.parametrize(("cpu_s", "kind"), [(0.0071, "unnamed-limit"), (0.0073, "unexplained")])
    def test_a_limit_without_a_name_needs_all_else_below_70_percent(self, cpu_s: float, kind: DoubtKind) -> None:
        demand = replace(demand_of(HIDDEN), cpu_s=cpu_s)
        facts = replace(HIDDEN, libraries=frozenset(), demand=demand, cpu=CpuTimes(stack=cpu_s * 1e6))
        found = verdict(facts).doubt
        assert found is not None
        assert found.kind == kind

    def test_an_open_load_is_late_beyond_twice_the_predicted_time_and_a_millisecond(self) -> None:
        assert OPEN.ceiling is not None
        predicted = OPEN.ceiling.predicted_response_s
        assert predicted is not None
        assert not late(replace(OPEN, response_s=2 * predicted + 0.0009))
        assert late(replace(OPEN, response_s=2 * predicted + 0.0011))
        assert not late(replace(THREADS, response_s=1e3)), "a closed load waits for itself"

    def test_a_hidden_limit_is_named(self) -> None:
        default = verdict(HIDDEN).default
        assert default is not None
        assert (default.library, default.size) == ("aiohttp", 100)

    def test_workers_of_which_nobody_counted_the_connections(self) -> None:
        demand = Demand(wait_s=1.0, cpu_s=0.001, users=100, slots=160, workers=4)
        found = verdict(replace(THREADS, demand=demand, goodput=goodput(62), in_flight=None, libraries=frozenset()))
        assert found.doubt is not None
        assert found.doubt.kind == "uneven-deal"

    def test_within_the_band_there_is_no_doubt(self) -> None:
        assert verdict(replace(THREADS, goodput=goodput(36.5))).doubt is None
        assert verdict(replace(THREADS, goodput=goodput(35.5))).doubt is not None

    def test_every_doubt_says_which_assumption_it_is(self) -> None:
        assert all(assumption.__doc__ for assumption in BELOW)

    @given(arms())
    def test_a_verdict_on_any_arm(self, facts: Facts) -> None:
        found = verdict(facts)
        assert found.name in get_args(Name)
        assert (found.name == "void") <= (found.of_ceiling is None)
        assert all(share >= 0 for share in found.full.values())
        assert found.pool is None or found.name == "slots"


class TestDefaults:
    USED = frozenset({"anyio", "asyncio", "aiohttp", "httpx", "asyncpg", "sqlalchemy", "psycopg-pool", "waitress"})

    @pytest.mark.parametrize(
        ("count", "pool", "library"),
        [
            (40, "threads", "AnyIO"),
            (38.5, "threads", "AnyIO"),
            (6, "threads", "asyncio"),
            (4, "threads", "Waitress"),
            (20, "threads", None),
            (97, "http_pool", "httpx"),
            (10, "db_pool", "asyncpg"),
            (15, "db_pool", "SQLAlchemy"),
            (4, "db_pool", "psycopg_pool"),
            (40, "db_pool", None),
            (104.9, "http_pool", "httpx"),
            (105.1, "http_pool", None),
            (95.1, "http_pool", "httpx"),
            (94.9, "http_pool", None),
        ],
    )
    def test_a_number_in_flight(self, count: float, pool: str, library: str | None) -> None:
        found = matching(count, {pool}, self.USED, cpus=2)
        assert (found and found.library) == library

    def test_only_of_libraries_that_are_used(self) -> None:
        assert matching(100, {"http_pool"}, frozenset({"requests"})) is None
        assert matching(10, {"http_pool"}, frozenset({"requests"})) is not None

    def test_every_worker_has_its_own(self) -> None:
        assert matching(160, {"threads"}, self.USED, workers=4) is not None
        assert matching(40, {"threads"}, self.USED, workers=4) is None

    def test_to_thread_grows_with_the_cpus_to_32(self) -> None:
        sizes = [row.size for cpus in (1, 8, 64) for row in known_defaults(cpus) if row.library == "asyncio"]
        assert sizes == [5, 12, 32]

    @pytest.mark.parametrize(
        ("variant", "uses", "not_uses"),
        [
            ("fastapi-async", "aiohttp", "httpx"),
            ("fastapi-async[httpx]", "httpx", "aiohttp"),
            ("fastapi-async[httpx-per-request]", "asyncpg", "httpx"),
            ("fastapi-async", "asyncio", "httpx2"),
            ("fastapi-sync", "anyio", "asyncio"),
            ("fastapi-blocking[gunicorn]", "uvicorn", "gunicorn"),
        ],
    )
    def test_what_a_variant_uses(self, variant: str, uses: str, not_uses: str) -> None:
        used = libraries(parse_variant(variant, STACKS))
        assert uses in used
        assert not_uses not in used

    def test_the_default_number_of_threads_is_told_and_another_is_not(self) -> None:
        found = verdict(THREADS).default
        assert found is not None
        assert found.library == "AnyIO"
        other = replace(THREADS, pools=(Pool("threads", 39),), demand=Demand(wait_s=1, users=500, slots=39))
        assert verdict(other).default is None


class TestPools:
    @pytest.mark.parametrize(
        ("variant", "waiting", "limits"),
        [
            ("fastapi-sync", Waiting("timer", 100, 1, "sequential"), {"threads": 40}),
            ("fastapi-sync", Waiting("database", None, 1, "sequential"), {"threads": 40, "db_pool": 10}),
            ("fastapi-sync", Waiting("upstream", 100, 10, "parallel"), {"threads": 40, "http_pool": 100}),
            ("fastapi-async", Waiting("upstream", 100, 10, "sequential"), {"http_pool": 1000}),
            ("fastapi-async", Waiting("timer", 100, 1, "sequential"), {}),
            ("fastapi-async", None, {}),
            ("fastapi-blocking", Waiting("timer", 100, 1, "sequential"), {"loop": 1}),
        ],
    )
    def test_as_the_manifest_declares_them(self, variant: str, waiting: Waiting | None, limits: dict[str, int]) -> None:
        declared = pools(parse_variant(variant, STACKS), waiting)
        assert {pool.name: pool.requests for pool in declared} == limits
        assert slots(declared, 2) == (2 * min(limits.values()) if limits else None)

    def test_a_request_of_more_calls_than_connections_still_gets_through(self) -> None:
        assert Pool("http_pool", 5, takes=20).requests == 1


def test_an_interval_is_not_needed() -> None:
    assert verdict(replace(THREADS, goodput=Interval(39.6))).name == "slots"
