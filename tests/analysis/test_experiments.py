"""Experiments as files: what they say, what is wrong with them, how they are shortened, and how they are asked for."""

import subprocess
from math import ceil
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.analysis.experiment.judge import examined, experiment_named
from stackmatrix.analysis.experiment.metrics import MEASURES
from stackmatrix.analysis.judge import judge
from stackmatrix.analysis.model.ceiling import Demand, interactive_response, rounds_in_window
from stackmatrix.analysis.model.observed import Setup
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.experiments import (
    AS_PUBLISHED,
    Candidate,
    Experiment,
    MetricName,
    PublishedLoad,
    Scale,
    experiment_names,
    read_experiment,
)
from stackmatrix.catalog.stacks import load_stacks
from stackmatrix.catalog.workloads import load_workloads
from stackmatrix.errors import UserError
from stackmatrix.load.latency import Latency
from stackmatrix.measure.experiment import arms, expected_s
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.plan import Plan, digests, resume

from ..cli.invoke import invoke

CATALOG = Catalog(load_stacks(), load_workloads())
SETUP = Setup(CATALOG, (0, 1))
FIVE = {"gather-data", "http-call", "notes-insert", "sequential-or-gather", "workers-threads"}
MOST_S = 180
TEXT = """
question = "Is it so?"
source = "a comparison"
command = "wrk -c 10"

[scale]
waits = 0.1
windows = 0.2

[load]
tool = "wrk"
users = 10
seconds = 60

[[arms]]
name = "async"
stack = "fastapi-async"
workload = "sleep"
params = { ms = 1000 }
published = { goodput = 10 }

[[arms]]
name = "blocking"
stack = "fastapi-blocking[server=gunicorn]"
workload = "sleep"
params = { ms = 1000 }
load = { seconds = 120, timeout = 30 }
expects_failures = true

[[claims]]
metric = "goodput"
arm = "async"
against = "blocking"
least = 2
holds = "Yes, {value} times: {one} against {other}, with {threads:async} and {requests by tool:blocking}."
fails = "No."
"""


def written(tmp_path: Path, text: str) -> Experiment:
    file = tmp_path / "is-it-so.toml"
    file.write_text(text)
    return read_experiment(file, CATALOG.stacks, CATALOG.workloads)


def test_the_checkout_has_the_five_comparisons_and_each_fits_three_minutes() -> None:
    assert set(experiment_names()) == FIVE
    for name in FIVE:
        experiment = experiment_named(name, CATALOG)
        assert expected_s(experiment, experiment.scale, 1) <= MOST_S
        assert len(experiment.claims) >= 6
        assert any(one.published for one in experiment.candidates)


def test_every_arm_is_an_arm_of_its_own() -> None:
    for name in FIVE:
        experiment = experiment_named(name, CATALOG)
        for scale in (experiment.scale, AS_PUBLISHED):
            found, carried = arms(experiment, scale, rounds=2)
            assert len({arm.id for arm in found}) == len(found) == 2 * len(experiment.candidates)
            assert {name for pair in carried.arms.values() for name in pair} == {arm.id for arm in found}


def test_every_metric_can_be_measured() -> None:
    assert set(MEASURES) == set(get_args(MetricName))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("question = ", "qestion = "), "qestion = 'Is it so?': unknown key; did you mean question?"),
        (('source = "a', 'sauce = "a'), "sauce = 'a comparison': unknown key; did you mean source?"),
        (("[[arms]]", "[arms]"), "not TOML"),
        (('stack = "fastapi-async"', 'stack = "fastapi-asinc"'), "arms[1].stack = 'fastapi-asinc': no stack is called"),
        (
            ('workload = "sleep"', 'workload = "slep"'),
            "arms[1].workload = 'slep': no workload is called 'slep'; did you mean sleep?",
        ),
        (("{ ms = 1000 }", "{ msec = 1000 }"), "arms[1].params = {'msec': 1000}: no parameter of workload sleep"),
        (("goodput = 10", "godput = 10"), "arms[1].published.godput = 10: unknown key; did you mean goodput?"),
        (("goodput = 10", "goodput = 0"), "arms[1].published.goodput = 0: must be a number above 0"),
        (('tool = "wrk"', 'tool = "hey"'), "tool = 'hey': must be one of ab, wrk"),
        (("users = 10", "users = 1.5"), "users = 1.5: must be a whole number"),
        (("seconds = 60", "second = 60"), "load.second = 60: unknown key; did you mean seconds?"),
        (("timeout = 30", "timeouts = 30"), "load.timeouts = 30: unknown key; did you mean timeout?"),
        (("waits = 0.1", "wait = 0.1"), "scale.wait = 0.1: unknown key; did you mean waits?"),
        (("waits = 0.1", "waits = -1"), "scale.waits = -1: must be a number above 0"),
        (('name = "blocking"', 'name = "async"'), "arms = 'async': is the name of two arms"),
        (('metric = "goodput"', 'metric = "speed"'), "claims[1].metric = 'speed': must be one of goodput, requests"),
        (
            ('arm = "async"', 'arm = "asynch"'),
            "claims[1].arm = 'asynch': is no arm of this experiment; did you mean async?",
        ),
        (
            ('against = "blocking"', 'against = "x"'),
            "claims[1].against = 'x': is no arm of this experiment; known: async, blocking",
        ),
        (("least = 2", ""), "give least, most or both"),
        (("least = 2", "least = 2\nmost = 1"), "give least, most or both, in order"),
        (("least = 2", 'least = 2\nof = ["async"]'), "claims[1].of = ['async']: must be two arms"),
        (("{value}", "{vlaue}"), "claims[1].holds = '{vlaue}': must be {one}, {other}, {value}"),
        (("{threads:async}", "{threads:sync}"), "claims[1].holds = '{threads:sync}': must be {one}"),
        (('against = "blocking"', 'of = ["async", "blocking"]'), "claims[1].of = ('async', 'blocking'): needs against"),
        (("least = 2", "leest = 2"), "claims[1].leest = 2: unknown key; did you mean least?"),
    ],
)
def test_a_broken_file_gets_one_line_that_names_file_key_value_and_remedy(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    assert change[0] in TEXT
    with pytest.raises(UserError) as caught:
        written(tmp_path, TEXT.replace(*change, 1))
    assert "is-it-so.toml" in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_arm_changes_what_it_says_of_the_load(tmp_path: Path) -> None:
    first, second = written(tmp_path, TEXT).candidates
    assert first.offer == PublishedLoad("wrk", users=10, seconds=60)
    assert second.offer == PublishedLoad("wrk", users=10, seconds=120, timeout_s=30)


def test_both_sides_of_an_arm_have_its_load_and_its_time(tmp_path: Path) -> None:
    experiment = written(tmp_path, TEXT)
    (own, tool, failing, failing_tool), carried = arms(experiment, experiment.scale, rounds=4)
    assert carried.arms == {"async": (own.id, tool.id), "blocking": (failing.id, failing_tool.id)}
    assert {arm.params["ms"] for arm in (own, tool, failing, failing_tool)} == {100}
    assert own.load.tool is None
    assert own.rounds == 4
    assert own.repeats
    assert tool.load.tool == "wrk"
    assert tool.rounds == failing.rounds == 1
    assert tool.timing is not None
    assert tool.timing.warmup_s == 0
    assert tool.timing.window_s == 12
    assert failing.timing is not None
    assert failing.timing.window_s == 24
    assert not tool.repeats
    assert not failing.repeats
    assert failing.variant == {"server": "gunicorn", "worker_timeout": 6}
    assert failing_tool.load.timeout_s == 3


def candidate(ms: int) -> Candidate:
    base = CATALOG.workloads["sleep"]
    stack = CATALOG.stacks["fastapi-async"]
    workload = base.with_params({"ms": str(ms)})
    return Candidate("any", stack, {}, base, workload, PublishedLoad("wrk", 10, 60.0), {}, False, True)


@given(
    st.integers(100, 60_000),
    st.integers(1, 500),
    st.floats(0.01, 1, allow_nan=False),
    st.integers(1, 40),
)
def test_what_is_shortened_and_set_back_to_the_published_scale_is_the_same(
    ms: int, users: int, waits: float, rounds: int
) -> None:
    one, scale = candidate(ms), Scale(waits, waits)
    short_s = one.scaled(scale).params["ms"]
    assert isinstance(short_s, int)
    exact = Scale(short_s / ms, short_s / ms)  # waits are whole milliseconds
    wait_s, shortened_s = ms / 1000, short_s / 1000
    rate = users / shortened_s
    metrics: list[tuple[MetricName, float, float]] = [
        ("goodput", rate, users / wait_s),
        ("mean_ms", shortened_s * 1e3, wait_s * 1e3),
        ("cpu_us", 300.0, 300.0),
        ("failed_share", 0.5, 0.5),
    ]
    for metric, measured, published in metrics:
        assert one.at_published_scale(metric, measured, exact) == pytest.approx(published)
    back = one.at_published_scale("goodput", rate, exact)
    window_s = wait_s * (rounds + 0.5)
    full = rounds_in_window(Demand(wait_s=wait_s, users=users), window_s).requests
    short = rounds_in_window(Demand(wait_s=shortened_s, users=users), window_s * exact.windows).requests
    assert full == short == users * rounds
    assert one.at_published_scale("requests", short, exact) == pytest.approx(full)
    assert interactive_response(users, back) == pytest.approx(wait_s)


def test_what_does_not_wait_keeps_its_rates() -> None:
    base = CATALOG.workloads["json-small"]
    one = Candidate(
        "any", CATALOG.stacks["fastapi-async"], {}, base, base, PublishedLoad("ab", 10, 60.0), {}, False, True
    )
    assert one.scaled(Scale(0.1, 0.1)) is base
    assert one.at_published_scale("goodput", 100.0, Scale(0.1, 0.1)) == 100.0


@given(st.floats(0.01, 1, allow_nan=False), st.integers(2, 500))
def test_a_load_is_shortened_but_its_users_stay(windows: float, users: int) -> None:
    offer = PublishedLoad("ab", users, 60.0, requests=10_000, ramp_s=10.0, timeout_s=30.0).scaled(Scale(0.5, windows))
    assert offer.users == users
    assert offer.requests is not None
    assert offer.requests >= users
    assert offer.ramp_s / offer.seconds == pytest.approx(10 / 60)
    assert ceil(offer.timeout_s or 0) == 15


def test_a_run_that_goes_on_still_knows_its_experiment(tmp_path: Path) -> None:
    experiment = experiment_named("workers-threads", CATALOG)
    wanted, carried = arms(experiment, experiment.scale, rounds=1)
    directory = RunDirectory.create("test", tmp_path)
    plan = Plan(
        schema=SCHEMA,
        name="test",
        command="test",
        runtime="native",
        seed=1,
        warmup_s=1.0,
        window_s=1.0,
        rounds=1,
        budget_s=None,
        arms=wanted,
        inputs=digests(wanted, carried),
        experiment=carried,
    )
    directory.write("plan.json", plan)
    assert resume(directory) == plan
    assert "experiments/workers-threads.toml" in plan.inputs
    result = examined(plan, directory, judge(wanted, [], SETUP, lambda _: Latency()).arms, SETUP)
    assert result is not None
    assert {claim.outcome for claim in result.claims} == {"unknown"}
    assert all(words.startswith("No number by ") and words.endswith("timed.") for words in result.exceptions)


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    return invoke("run", *arguments)


def test_the_list_has_names_questions_and_minutes() -> None:
    listed = ask("--list").stdout
    for name in FIVE:
        assert f"{name}  about " in listed
        assert experiment_named(name, CATALOG).question in listed
    assert listed.count(" min") == len(FIVE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--experiment", "http-call", "--users", "5", "--stack", "fastapi-sync"], "leave out --stack, --users"),
        (["--experiment", "htp-call"], "no experiment is called 'htp-call'; did you mean http-call?"),
        (["--full"], "--full goes with --experiment NAME"),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_a_line(arguments: list[str], words: str) -> None:
    asked = ask(*arguments)
    assert asked.returncode == 2
    assert words in asked.stderr
    assert "Traceback" not in asked.stderr
