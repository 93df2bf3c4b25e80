"""What is sent when: arrivals, kinds of requests, and their split over shards."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from stackmatrix.http import Expected, Request
from stackmatrix.load.job import NUMBER_PLACE, Closed, LoadJob, Open, RequestKind, Step, arrivals, even_share, prepared

GET = Request("GET", "/")
RATES = st.floats(0.01, 1e5)
SEEDS = st.integers(0, 2**32)
SHARDS = st.integers(1, 8)


def take(count: int, items: object) -> list:  # type: ignore[type-arg]
    return list(itertools.islice(items, count))  # type: ignore[call-overload]


@given(st.integers(0, 10_000), SHARDS)
def test_shares_add_up_and_are_even(total: int, shards: int) -> None:
    parts = [even_share(total, shard, shards) for shard in range(shards)]
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1


@given(RATES, SEEDS, SHARDS, st.sampled_from(["poisson", "constant"]))
def test_shards_offer_the_same_arrivals_as_one_process(rate: float, seed: int, shards: int, kind: str) -> None:
    load = Open(rate, kind)  # type: ignore[arg-type]
    whole = take(60 * shards, arrivals(load, seed))
    parts = [take(60, arrivals(load, seed, shard, shards)) for shard in range(shards)]
    assert sorted(itertools.chain(*parts)) == whole


def test_poisson_arrivals_are_poisson() -> None:
    rate = 250.0
    times = np.array(take(50_000, arrivals(Open(rate), 7)))
    gaps = np.diff(times)
    assert stats.kstest(gaps * rate, "expon").pvalue > 0.001
    counts = np.bincount(times.astype(int))[1:-1]
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.35)
    assert np.corrcoef(gaps[:-1], gaps[1:])[0, 1] == pytest.approx(0, abs=0.02)


def test_constant_arrivals_do_not_wander() -> None:
    assert take(3001, arrivals(Open(300, "constant"), 0))[-1] == 10.0


def test_a_rate_changes_at_its_steps_without_a_gap() -> None:
    load = Open(100, "constant", steps=(Step(1.0, 200), Step(2.0, 50)))
    times = np.array(take(400, arrivals(load, 0)))
    counts, _ = np.histogram(times, [0, 1, 2, 4])
    assert list(counts) == [100, 200, 100]
    assert np.diff(times).max() == pytest.approx(1 / 50)


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(10, 500)), max_size=4), st.integers(0, 99))
def test_poisson_arrivals_follow_their_steps(steps: list[tuple[float, float]], seed: int) -> None:
    load = Open(300, steps=tuple(Step(*step) for step in sorted(steps, key=lambda step: step[0])))
    edges = [0.0, *(step.after_s for step in load.steps), 10.0]
    rates = [load.rate, *(step.rate for step in load.steps)]
    due = sum((end - begin) * rate for begin, end, rate in zip(edges, edges[1:], rates, strict=False))
    times = itertools.takewhile(lambda at: at < 10, arrivals(load, seed))
    seen, last = 0, 0.0
    for at in times:
        assert at >= last
        seen, last = seen + 1, at
    assert abs(seen - due) < 6 * due**0.5


def test_seeds_give_other_arrivals() -> None:
    assert take(3, arrivals(Open(10), 1)) != take(3, arrivals(Open(10), 2))


def test_kinds_come_by_weight_and_their_requests_in_turn() -> None:
    heavy = RequestKind("heavy", tuple(Request("GET", f"/{i}") for i in range(3)), 3)
    light = RequestKind("light", (GET,), 1)
    drawn = take(8000, prepared(plan(kinds=(heavy, light), seed=1)))
    counts = Counter(one.kind for one in drawn)
    assert counts[0] / len(drawn) == pytest.approx(0.75, abs=0.02)
    own = [one.source for one in drawn if one.kind == 0]
    assert own[:6] == list(heavy.requests) * 2


@given(st.integers(1, 7), SHARDS)
def test_shards_take_turns_with_the_requests(size: int, shards: int) -> None:
    kind = RequestKind("k", tuple(Request("GET", f"/{i}") for i in range(size)))
    drawn = [take(size, prepared(plan(kinds=(kind,)), shard, shards)) for shard in range(shards)]
    in_turn = [one.source for each in zip(*drawn, strict=True) for one in each]
    assert in_turn == list(kind.requests) * shards


def test_fresh_requests_never_repeat_and_expect_their_own_number() -> None:
    body = b'{"title":"' + NUMBER_PLACE + b'"}'
    template = Request("POST", "/", body, expected=Expected(201, b'{"id":', b',"title":"' + NUMBER_PLACE + b'"}'))
    kind = RequestKind("k", (template,))
    drawn = [take(100, prepared(plan(kinds=(kind,)), shard, 3)) for shard in range(3)]
    requests = {one.data for part in drawn for one in part}
    assert len(requests) == 300
    assert len({len(each) for each in requests}) == 1
    first = drawn[1][0]
    assert first.expected.suffix == b',"title":"0000000001"}'
    assert first.data.endswith(b'{"title":"0000000001"}')


def test_a_request_is_encoded_once_with_the_jobs_own_host() -> None:
    (got,) = take(1, prepared(plan(host="::1", kinds=(RequestKind("k", (GET,)),), port=8102)))
    assert got.data == b"GET / HTTP/1.1\r\nHost: [::1]:8102\r\n\r\n"
    assert plan().authority == "127.0.0.1"  # of port 80 none is told


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Closed(0), "users = 0"),
        (lambda: Closed(1, think_s=-1), "think_s = -1"),
        (lambda: Open(0), "rate = 0"),
        (lambda: Open(float("nan")), "rate = nan"),
        (lambda: Open(1, connections=0), "connections = 0"),
        (lambda: Open(1, steps=(Step(2, 1), Step(1, 1))), "in order of their time"),
        (lambda: Step(1, 0), "rate = 0"),
        (lambda: Open(1, arrivals="even"), "arrivals = 'even'"),  # type: ignore[arg-type]
        (lambda: RequestKind("k", ()), "at least one request"),
        (lambda: RequestKind("k", (GET,), 0), "weight = 0"),
        (lambda: Expected(200, None, b"x"), "needs a prefix"),
        (lambda: plan(port=0), "port = 0"),
        (lambda: plan(duration_s=0), "duration_s = 0"),
        (lambda: plan(timeout_s=0), "timeout_s = 0"),
        (lambda: plan(warmup_s=float("inf")), "warmup_s = inf"),
        (lambda: plan(kinds=()), "at least one kind"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def plan(**changes: object) -> LoadJob:
    kinds = (RequestKind("k", (GET,)),)
    known = {"host": "127.0.0.1", "port": 80, "kinds": kinds, "load": Closed(1), "duration_s": 1.0}
    return LoadJob(**{**known, **changes})  # type: ignore[arg-type]
