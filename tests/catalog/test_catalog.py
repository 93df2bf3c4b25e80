"""What the catalogue accepts, and the one line it answers to a mistake."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Setting, Variant, load_stacks, parse_variant, read_stack
from stackmatrix.catalog.workloads import load_workloads, read_workload
from stackmatrix.errors import UserError
from stackmatrix.http import Expected

TWELVE = {
    "notes-create",
    "notes-read",
    "notes-list",
    "query",
    "sleep",
    "sleep-parallel",
    "http",
    "http-parallel",
    "data",
    "json-small",
    "json-medium",
    "json-large",
}

MANIFEST = """
summary = "a stack"
language = "Python"
framework = "F"
server = "S"
concurrency = "threads"
port = 8199
other_work = ["client"]
[settings]
server = "u"
workers = 1
threads = 40
db_pool = 10
client = "a"
[choices]
server = ["u", "g"]
client = ["a", "b"]
[capacity]
timer = ["threads"]
database = ["threads", "db_pool"]
upstream = "unlimited"
[variants.wide]
threads = 100
[packages]
watch = ["f"]
[identity]
processes = 1
beside_workers = 2
[identity.server.g]
processes = 2
"""


def manifest(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "one" / "stack.toml"
    file.parent.mkdir()
    file.write_text(text)
    return file


def test_a_manifest_says_how_much_a_stack_holds(tmp_path: Path) -> None:
    stack = read_stack(manifest(tmp_path, MANIFEST))
    assert stack.slots("timer", stack.settings) == 40
    assert stack.slots("database", stack.settings) == 10
    assert stack.slots("upstream", stack.settings) is None
    assert stack.slots("timer", stack.with_settings({"workers": 2, "threads": 7})) == 14


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (MANIFEST.replace("port = 8199", "port = 80"), "port = 80: must be from 1024 to 65535"),
        (MANIFEST.replace("port = 8199", "prot = 8199"), "port = None: is missing"),
        (
            MANIFEST.replace("port = 8199", "port = 8199\nsumary = 'x'"),
            "sumary = 'x': unknown key; did you mean summary?",
        ),
        (MANIFEST.replace('"threads"\nport', '"fibres"\nport'), "concurrency = 'fibres': must be one of event-loop"),
        (MANIFEST.replace('["threads"]', '["thread"]'), "capacity.timer = ['thread']: 'thread' is neither"),
        (
            MANIFEST.replace("threads = 100", "thread = 100"),
            "no setting of one is called 'thread'; did you mean threads?",
        ),
        (MANIFEST.replace("threads = 100", "threads = 0"), "threads = '0': must be a whole number"),
        (MANIFEST.replace('client = ["a", "b"]', 'client = ["b"]'), "choices.client = ['b']: must list"),
        (
            MANIFEST.replace('["client"]', '["clients"]'),
            "other_work = ['clients']: 'clients' is no setting",
        ),
        (MANIFEST.replace("server.g]", "server.h]"), "identity.server.h = {'processes': 2}: must be one of the words"),
        (MANIFEST + "beside = 1", "identity.server.g.beside = 1: unknown key; did you mean beside_workers?"),
        (MANIFEST + "[", "not TOML"),
    ],
)
def test_a_broken_manifest_gets_one_line_that_names_file_key_value_and_remedy(
    tmp_path: Path, broken: str, words: str
) -> None:
    with pytest.raises(UserError) as caught:
        read_stack(manifest(tmp_path, broken))
    assert "stack.toml" in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_variant_is_written_as_its_label_and_read_back(tmp_path: Path) -> None:
    stack = read_stack(manifest(tmp_path, MANIFEST))
    stacks = {stack.name: stack}
    wide = parse_variant("one[wide]", stacks)
    assert wide.changed == {"threads": 100}
    assert wide.label == "one[threads=100]"
    assert parse_variant(wide.label, stacks) == wide
    assert parse_variant("one[threads=40]", stacks).label == "one"


@pytest.mark.parametrize(
    ("changed", "processes"),
    [
        ({}, 1),
        ({"workers": 3}, 5),
        ({"server": "g"}, 2),
        ({"server": "g", "workers": 3}, 4),
    ],
)
def test_the_server_says_how_many_processes_there_are(
    tmp_path: Path, changed: dict[str, Setting], processes: int
) -> None:
    stack = read_stack(manifest(tmp_path, MANIFEST))
    assert stack.processes_at(stack.with_settings(changed)) == processes


def test_work_is_equal_unless_a_setting_is_changed_that_means_other_work(tmp_path: Path) -> None:
    stack = read_stack(manifest(tmp_path, MANIFEST))
    assert Variant(stack, {}).equal_work
    assert Variant(stack, {"threads": 7, "client": "a"}).equal_work
    assert not Variant(stack, {"client": "b"}).equal_work


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("oen", "no stack is called 'oen'; did you mean one?"),
        ("one[wdie]", "no variant of one is called 'wdie'; did you mean wide?"),
        ("one[client=c]", "client = 'c': must be one of a, b"),
        ("one[threads=x]", "threads = 'x': must be a whole number"),
        ("one[", "is no stack"),
    ],
)
def test_a_wrong_variant_gets_one_line(tmp_path: Path, text: str, words: str) -> None:
    stack = read_stack(manifest(tmp_path, MANIFEST))
    with pytest.raises(UserError, match=r".*") as caught:
        parse_variant(text, {stack.name: stack})
    assert words in str(caught.value)


def test_the_checkout_has_twelve_workloads_whose_every_request_has_its_answer() -> None:
    workloads = load_workloads()
    assert set(workloads) == TWELVE
    for workload in workloads.values():
        for request in workload.requests():
            whole = request.expected.example
            assert request.expected.matches(workload.status, whole)
            assert not request.expected.matches(workload.status, whole[:-1])


def test_parameters_change_request_answer_and_wait_together() -> None:
    workload = load_workloads()["http-parallel"].with_params({"ms": "250", "n": "3"})
    (request,) = workload.requests()
    waiting = workload.waiting()
    assert request.target == "/http?ms=250&n=3&mode=parallel"
    assert request.expected.prefix == b'{"waited_ms":[250,250,250]}'
    assert workload.effects().upstream == 3
    assert waiting is not None
    assert waiting.seconds == 0.25
    with pytest.raises(UserError, match="did you mean ms"):
        workload.with_params({"msec": "1"})
    with pytest.raises(UserError, match="must be a whole number"):
        workload.with_params({"ms": "-1"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("path =", "pth ="), "request.path = None: is missing"),
        (("$row\"}'\nrows", "$rwo\"}'\nrows"), "names no parameter"),
        (("status = 201", 'status = "201"'), "answer.status = '201': must be a whole number"),
        (("statements = 1", "statement = 1"), "did you mean statements?"),
        (('on = "database"', 'on = "disk"'), "wait.on = 'disk': must be one of"),
        (('{"title"', '{"title'), "is not JSON"),
    ],
)
def test_a_workload_with_a_typo_gets_one_line(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    text = (ROOT / "workloads" / "notes-create.toml").read_text()
    assert change[0] in text
    file = tmp_path / "notes-create.toml"
    file.write_text(text.replace(*change))
    with pytest.raises(UserError) as caught:
        read_workload(file)
    assert words in str(caught.value)


@given(st.binary(), st.binary(), st.binary())
def test_some_digits_between_prefix_and_suffix_and_nothing_else_match(
    prefix: bytes, suffix: bytes, body: bytes
) -> None:
    expected = Expected(200, prefix, suffix)
    assert expected.matches(200, prefix + b"42" + suffix)
    assert not expected.matches(200, prefix + suffix)
    assert not expected.matches(201, prefix + b"42" + suffix)
    if expected.matches(200, body):
        assert body[len(prefix) : len(body) - len(suffix)].isdigit()


def test_ports_of_the_checkout_are_told_apart() -> None:
    stacks = load_stacks()
    assert len({stack.port for stack in stacks.values()}) == len(stacks)
