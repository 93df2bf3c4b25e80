"""Explanations read by eye and kept; and any other arm, pair or workload, for sentences that nobody could read."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackmatrix.analysis.explain.arm import explain_arm
from stackmatrix.analysis.explain.pair import answer_workload, explain_pair
from stackmatrix.analysis.model.bottleneck import verdict
from stackmatrix.analysis.model.ceiling import Demand, ceiling
from stackmatrix.analysis.model.facts import Facts, Pool
from stackmatrix.analysis.model.what_if import idle, lever
from stackmatrix.formatting import duration, listed, percent, quantity, some
from stackmatrix.results.explain import Phases, SustainedRate
from stackmatrix.results.interval import Interval

from .arms import (
    BLOCKED,
    BLOCKED_EXPLAINED,
    COUNTED,
    CROWDED,
    DELAYED_ACK,
    EXPLAINED,
    GENERATOR,
    HIDDEN,
    HIDDEN_EXPLAINED,
    JSON,
    JSON_OTHER,
    LOOP,
    LOOP_EXPLAINED,
    OPEN,
    PER_REQUEST,
    QUERY,
    QUERY_EXPLAINED,
    SHORT,
    THREADS,
    TURNED_AWAY,
    VOID,
    arms,
    demand_of,
    goodput,
)


def sections(text: str) -> dict[str, list[str]]:
    """Title → its lines."""
    blocks = (block.strip().split("\n") for block in text.split("\n# ")[1:])
    return {title: lines for title, *lines in blocks}


TOLD = sections(Path(__file__).with_name("explanations.txt").read_text())


def plain(sentences: list[str]) -> list[str]:
    """With the thin spaces of thousands written as commas."""
    return [sentence.replace("\u202f", ",") for sentence in sentences]


class TestArms:
    @pytest.mark.parametrize(
        ("name", "facts"),
        [
            ("threads", THREADS),
            ("event loop", LOOP),
            ("client per request", PER_REQUEST),
            ("hidden limit", HIDDEN),
            ("blocked loop", BLOCKED),
            ("cpu", JSON),
            ("database pool", QUERY),
            ("shared core", CROWDED),
            ("open load", OPEN),
            ("short window", SHORT),
            ("explaining pass", EXPLAINED),
            ("database pool explained", QUERY_EXPLAINED),
            ("blocked loop explained", BLOCKED_EXPLAINED),
            (
                "thread queue not timed",
                replace(EXPLAINED, phases=Phases(response_s=12.7, total_s=12.69, gather_s=1.003)),
            ),
            ("phases that overlap", replace(EXPLAINED, phases=Phases(response_s=1.0, total_s=2.0))),
            ("database counted", COUNTED),
            ("others on its core", replace(JSON, goodput=goodput(2100), response_s=0.0305, foreign_share=0.12)),
            ("slow upstream", replace(LOOP, goodput=goodput(250), response_s=2.0, call_s=1.0, upstream_s=1.98)),
            ("unknown wait", replace(QUERY, goodput=goodput(40), wait_known=False, database_s=None)),
            ("accept queue", TURNED_AWAY),
            ("delayed acknowledgements", DELAYED_ACK),
            ("generator", GENERATOR),
            ("void", VOID),
            ("unmetered", replace(JSON, demand=None)),
        ],
    )
    def test_what_is_told(self, name: str, facts: Facts) -> None:
        assert plain(explain_arm(facts)) == TOLD[f"arm: {name}"]

    def test_no_sentence_without_its_facts(self) -> None:
        """Neither response time nor CPU: what is left is the throughput, its ceiling and what would move it."""
        demand, pools = Demand(wait_s=1.0, users=500, slots=40), (Pool("threads", 40),)
        bare = Facts(arm="a", workload="http", demand=demand, pools=pools, goodput=Interval(39.6))
        assert explain_arm(bare) == TOLD["arm: bare"]

    def test_parts_that_are_more_than_the_whole_are_not_shared_out(self) -> None:
        assert not any("a request: " in line for line in explain_arm(replace(JSON, response_s=0.0003)))

    @pytest.mark.parametrize(
        ("each", "total", "told"),
        [(200_400.0, 9e7, True), (5000.0, 8e6, True), (4999.0, 9e7, False), (2e5, 7.9e6, False), (None, None, False)],
    )
    def test_memory_that_grows_with_every_request_is_told(
        self, each: float | None, total: float | None, told: bool
    ) -> None:
        found = explain_arm(replace(JSON, grown_per_answer=each, grown_bytes=total))
        words = [line for line in found if "memory" in line]
        assert bool(words) is told
        if each == 200_400.0:
            assert words == ["200 kB a request is what its memory grew by: at this rate it does not last."]

    @pytest.mark.parametrize(
        ("rate", "holds", "told"),
        [
            (0.68, False, "32 % less: its rate does not last"),
            (1.2, False, "20 % more: short windows do not show its rate"),
            (0.68, None, None),
            (0.99, True, None),
        ],
    )
    def test_a_rate_that_does_not_last_is_told(self, rate: float, holds: bool | None, told: str | None) -> None:
        assert JSON.goodput is not None
        long = SustainedRate(JSON.goodput.value * rate, 20.0, holds)
        found = [line for line in explain_arm(replace(JSON, sustained=long)) if "one window of 20.0 s" in line]
        assert found == [] if told is None else found[0].endswith(f"{told}.")

    def test_one_of_a_thing_is_singular(self) -> None:
        demand = Demand(wait_s=1.0, users=1, slots=1)
        facts = Facts(arm="a", workload="w", demand=demand, waits_on="timer", goodput=Interval(0.99))
        assert "1 user, waiting 1.00 s for the timer, cannot ask for more." in explain_arm(facts)
        facts = replace(facts, demand=replace(demand, users=9), pools=(Pool("threads", 1),))
        assert explain_arm(facts)[0].endswith("a is bound by its 1 thread.")
        assert "99 % of the time it is taken, 1.00 s by each request." in explain_arm(facts)


class TestLevers:
    def test_what_is_promised_is_the_ceiling_with_that_setting(self) -> None:
        change = lever(THREADS, verdict(THREADS))
        assert change is not None
        assert THREADS.demand is not None
        assert change.what == "500 threads"
        assert change.ceiling.goodput == ceiling(replace(THREADS.demand, slots=500)).goodput

    def test_another_pool_may_bind_next(self) -> None:
        facts = replace(
            QUERY,
            pools=(Pool("threads", 40), Pool("db_pool", 10)),
            demand=replace(demand_of(QUERY), users=500),
        )
        change = lever(facts, verdict(facts))
        assert change is not None
        assert (change.what, change.binds) == ("40 database connections", "its 40 threads")

    def test_no_more_than_the_next_bound_can_use(self) -> None:
        """18 ms of CPU allow 56/s, for which 57 threads are enough, whatever the users."""
        demand = replace(demand_of(THREADS), cpu_s=0.018)
        facts = replace(THREADS, demand=demand, cpu=PER_REQUEST.cpu, goodput=goodput(38.5))
        change = lever(facts, verdict(facts))
        assert change is not None
        assert (change.what, change.binds) == ("57 threads", "the CPU")

    @given(arms())
    def test_what_moves_it_does_and_what_does_not_is_not_offered(self, facts: Facts) -> None:
        found = verdict(facts)
        change = lever(facts, found) if found.of_ceiling is not None else None
        if change is not None and facts.ceiling is not None:
            assert change.ceiling.goodput > 0
            assert not (found.name == "load" and {"users", "arrivals"} & set(idle(facts)))


class TestPairs:
    @pytest.mark.parametrize(
        ("name", "one", "other", "ratio"),
        [
            ("slots", THREADS, LOOP, Interval(0.0805, (0.079, 0.082))),
            ("cpu", JSON, JSON_OTHER, Interval(1.283, (1.26, 1.31))),
            ("tie", LOOP, replace(LOOP, arm="twin", goodput=goodput(494)), Interval(0.996, (0.98, 1.02))),
            ("hidden limit", LOOP, HIDDEN, None),
            ("hidden limit explained", LOOP_EXPLAINED, HIDDEN_EXPLAINED, None),
            ("void", JSON, VOID, None),
        ],
    )
    def test_what_is_told(self, name: str, one: Facts, other: Facts, ratio: Interval | None) -> None:
        assert plain(explain_pair(one, other, ratio)) == TOLD[f"pair: {name}"]

    def test_the_order_does_not_matter(self) -> None:
        there, back = Interval(0.08, (0.079, 0.082)), Interval(1 / 0.08, (1 / 0.082, 1 / 0.079))
        assert explain_pair(THREADS, LOOP, there) == explain_pair(LOOP, THREADS, back)

    def test_two_workloads_have_nothing_in_common(self) -> None:
        with pytest.raises(ValueError, match="two workloads: http, json-small"):
            explain_pair(THREADS, JSON)


class TestWorkload:
    def test_places_ties_and_arms_without_a_number(self) -> None:
        second = replace(THREADS, arm="flask-uwsgi-gevent[workers=5,threads=20]", goodput=goodput(39.9))
        void = replace(VOID, workload="http", arm="liar", goodput=None)
        told = answer_workload([(THREADS, 2), (LOOP, 1), (BLOCKED, 4), (second, 2), (void, None)])
        assert plain(told) == TOLD["workload"]

    def test_one_place_for_all(self) -> None:
        twin = replace(LOOP, arm="twin", goodput=goodput(494))
        assert answer_workload([(LOOP, 1), (twin, 1)]) == [
            "http: no difference between twin and fastapi-async was shown (492/s to 494/s, bound by the load)."
        ]

    def test_alone(self) -> None:
        assert answer_workload([(LOOP, 1)]) == ["http: 492/s for fastapi-async, alone, bound by the load."]

    def test_nobody(self) -> None:
        with pytest.raises(ValueError, match="no arm"):
            answer_workload([])


UNREADABLE = re.compile(r"None|nan|inf\b|-\d|(?<![.\d])\d{4}|e[+-]\d|\.\.|,\.|  | ,|:\.|[^.]$|\(\)")


few = settings(max_examples=settings().max_examples // 2)  # each tells of several arms


def words(line: str) -> int:
    """Signs alone are none."""
    return sum(any(map(str.isalnum, word)) for word in line.split())


def assert_readable(lines: list[str]) -> None:
    assert lines
    assert len(set(lines)) == len(lines)
    for line in lines:
        assert not UNREADABLE.search(line), line
        assert words(line) <= 25, line


class TestAnyArm:
    @given(arms())
    def test_is_told_in_short_lines_and_the_first_names_what_bound_it(self, facts: Facts) -> None:
        told = explain_arm(facts)
        found = verdict(facts)
        assert_readable(told)
        if found.of_ceiling is None:
            assert told[0].startswith(f"No number for {facts.arm}: ")
            return
        assert re.match(r"[\d.,\u202f]+/s[,:] ", told[0])
        assert re.search(rf"{facts.arm} is bound by \w|nothing that was metered bound {facts.arm}\.", told[0])
        for line in told:
            assert re.search(r"\d", line) or line.startswith("The model expects"), line

    @few
    @given(arms(), arms(), st.none() | st.floats(0.01, 100).map(goodput))
    def test_pairs_too(self, one: Facts, other: Facts, ratio: Interval | None) -> None:
        assert_readable(explain_pair(one, other, ratio))

    @few
    @given(st.lists(st.tuples(arms(), st.none() | st.integers(1, 25)), min_size=1, max_size=12))
    def test_workloads_too(self, ranked: list[tuple[Facts, int | None]]) -> None:
        assert_readable(answer_workload(ranked))

    @given(arms())
    def test_shares_of_a_request_are_shares(self, facts: Facts) -> None:
        for sentence in explain_arm(facts):
            assert all(0 <= int(share) <= 100 for share in re.findall(r"\((-?\d+) %\)", sentence)), sentence


class TestWords:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0.5124, "0.512"),
            (2.514, "2.51"),
            (9.999, "10.0"),
            (39.62, "39.6"),
            (99.96, "100"),
            (1234.4, "1,234"),
            (0, "0"),
        ],
    )
    def test_numbers(self, value: float, text: str) -> None:
        assert quantity(value).replace("\u202f", ",") == text

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (2.514, "2.51 s"),
            (0.9999, "1.00 s"),
            (0.1, "100 ms"),
            (0.00041, "410 µs"),
            (0.0009999, "1.00 ms"),
            (0, "0 s"),
        ],
    )
    def test_durations(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text

    def test_shares_and_counts_and_lists(self) -> None:
        assert [percent(share) for share in (0, 0.004, 0.005, 0.994)] == ["0 %", "0.4 %", "0.5 %", "99 %"]
        assert [some(value, "core") for value in (1, 2, 1.5)] == ["1 core", "2 cores", "1.50 cores"]
        assert [listed(parts) for parts in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
            "",
            "a",
            "a and b",
            "a, b and c",
        ]
