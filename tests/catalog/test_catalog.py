"""What the catalogue accepts, and the one line it answers to a mistake."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackmatrix.catalog import ROOT, openapi
from stackmatrix.catalog.stacks import Setting, Variant, load_stacks, parse_variant, read_stack
from stackmatrix.catalog.toml import shown
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
        (MANIFEST.replace("port = 8199", "port = 80"), "port = 80: must be a whole number from 1024 to 65535"),
        (
            MANIFEST.split("[settings]")[0] + "[identity]\nprocesses = 1",
            "stack.toml: capacity: is missing; give a table",
        ),
        (MANIFEST.replace("port = 8199", "port = true"), "port = True: must be a whole number from 1024 to 65535"),
        (MANIFEST.replace("port = 8199", "prot = 8199"), "prot = 8199: unknown key; did you mean port?"),
        (MANIFEST.replace("port = 8199", ""), "port: is missing; give a whole number from 1024 to 65535"),
        (MANIFEST.replace('"threads"\nport', '"thread"\nport'), "concurrency = 'thread': did you mean threads?"),
        (
            MANIFEST.replace("db_pool = 10", "db_pool = [10]"),
            "settings.db_pool = [10]: must be a whole number or a text",
        ),
        (MANIFEST.replace("db_pool = 10", "DB = 10"), "settings.DB = 10: unknown key; must be a lower-case name"),
        (MANIFEST.replace('["f"]', "[1]"), "packages.watch[1] = 1: must be a text"),
        (MANIFEST.replace('"unlimited"', '"unlimitted"'), "capacity.upstream = 'unlimitted': must be \"unlimited\" or"),
        (MANIFEST.replace("threads = 100", "threads = '100'"), "variants.wide.threads = '100': must be written as"),
        (
            MANIFEST.replace("port = 8199", "port = 8199\nsumary = 'x'"),
            "sumary = 'x': unknown key; did you mean summary?",
        ),
        (MANIFEST.replace('"threads"\nport', '"fibres"\nport'), "concurrency = 'fibres': must be one of event-loop"),
        (
            MANIFEST.replace('["threads"]', '["thread"]'),
            "capacity.timer = 'thread': no numeric setting; did you mean threads?",
        ),
        (
            MANIFEST.replace("threads = 100", "thread = 100"),
            "variants.wide.thread = 100: no such setting; did you mean threads?",
        ),
        (MANIFEST.replace("threads = 100", "threads = 0"), "variants.wide.threads = 0: must be a whole number from 1"),
        (MANIFEST.replace('client = ["a", "b"]', 'client = ["b"]'), "choices.client = ['b']: must list"),
        (
            MANIFEST.replace('["client"]', '["clients"]'),
            "other_work = 'clients': no such setting; did you mean client?",
        ),
        (MANIFEST.replace("server.g]", "server.h]"), "identity.server.h: must be one of the words"),
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
            assert request.expected.matches(workload.answer.status, whole)
            assert not request.expected.matches(workload.answer.status, whole[:-1])


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
    with pytest.raises(UserError, match="ms=-1: workload http-parallel takes a whole number from 0 to 60000"):
        workload.with_params({"ms": "-1"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("\njson = ", "\nfile = 'x'\njson = "),
            "answer = ['json', 'file']: give exactly one of json, file, files, each",
        ),
        (("\njson = ", "\n# json = "), "answer = []: give exactly one of json, file, files, each"),
        (("path =", "pth ="), "request.pth = '/notes/': unknown key; did you mean path?"),
        (("$row\"}'\nrows", "$rwo\"}'\nrows"), "names no parameter"),
        (("status = 201", 'status = "201"'), "answer.status = '201': must be a whole number"),
        (("statements = 1", "statement = 1"), "did you mean statements?"),
        (('on = "database"', 'on = "disk"'), "wait.on = 'disk': must be one of timer, database, upstream"),
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


@pytest.mark.parametrize(
    ("workload", "param", "value", "words"),
    [
        ("sleep", "ms", "60001", "ms=60001: workload sleep takes a whole number from 0 to 60000"),
        ("query", "ms", "99999999", "ms=99999999: workload query takes a whole number from 0 to 60000"),
        ("http", "n", "0", "n=0: workload http takes a whole number from 1 to 100"),
        ("data", "n", "101", "n=101: workload data takes a whole number from 1 to 100"),
        ("http-parallel", "mode", "both", "mode=both: workload http-parallel takes one of sequential, chained, par"),
        ("sleep", "ms", "1.5", "ms=1.5: workload sleep takes a whole number"),
    ],
)
def test_a_parameter_beyond_the_contract_is_refused(workload: str, param: str, value: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        load_workloads()[workload].with_params({param: value})
    assert str(caught.value).startswith(words)


def test_the_bounds_themselves_are_allowed() -> None:
    workloads = load_workloads()
    for name, param, value in (("sleep", "ms", 0), ("sleep", "ms", 60000), ("http", "n", 100), ("data", "n", 1)):
        assert workloads[name].with_params({param: str(value)}).params[param] == value


def test_every_parameter_of_a_workload_has_its_bounds_in_the_contract() -> None:
    for workload in load_workloads().values():
        schemas = openapi.schemas(workload.request.method, workload.request.path)
        assert schemas.keys() == workload.params.keys()
        assert all(openapi.in_bounds(schemas[key], value) for key, value in workload.params.items())


def checkout(tmp_path: Path, **manifests: str) -> Path:
    for name, text in manifests.items():
        directory = tmp_path / "stacks" / name
        directory.mkdir(parents=True)
        (directory / "stack.toml").write_text(text)
    return tmp_path


def test_a_broken_stack_is_in_nobodys_way(tmp_path: Path) -> None:
    taken = MANIFEST.replace("a stack", "another")
    root = checkout(tmp_path, broken=MANIFEST.replace("port =", "prot ="), one=MANIFEST, two=taken)
    stacks = load_stacks(root)
    assert list(stacks) == ["one"]
    assert parse_variant("one", stacks).stack.name == "one"
    with pytest.raises(UserError, match=r"stacks/broken/stack.toml: prot = 8199: unknown key"):
        parse_variant("broken", stacks)
    with pytest.raises(UserError, match=r"stacks/two/stack.toml: port = 8199: taken by one"):
        parse_variant("two[threads=1]", stacks)
    with pytest.raises(UserError, match="no stack is called 'three'; known: one"):
        parse_variant("three", stacks)


def test_what_is_left_out_of_every_stack_is_said(tmp_path: Path) -> None:
    stacks = load_stacks(checkout(tmp_path, broken=MANIFEST + "[", one=MANIFEST))
    said: list[str] = []
    assert [stack.name for stack in stacks.every(said.append)] == ["one"]
    assert len(said) == 1
    assert re.match(r"broken is left out: .*/stacks/broken/stack.toml: not TOML", said[0])


def test_a_package_that_no_lock_has_is_named(tmp_path: Path) -> None:
    root = checkout(tmp_path, one=MANIFEST.replace('["f"]', '["flask", "flazk"]'))
    (root / "stacks" / "one" / "requirements.txt").write_text("flask==3.1.0 \\\n    --hash=sha256:00\n")
    with pytest.raises(UserError, match=r"packages.watch = 'flazk': no package of .*txt; did you mean flask\?"):
        load_stacks(root)["one"]
    (root / "stacks" / "one" / "requirements.txt").write_text("flask==3.1.0\nflazk==1\nflazk==2 ; x\n")
    assert load_stacks(root)["one"].locked() == {"flask": {"3.1.0"}, "flazk": {"1", "2"}}


def test_messages_name_files_from_the_checkout_on() -> None:
    assert str(shown(ROOT / "stacks" / "x" / "stack.toml")) == "stacks/x/stack.toml"
    assert str(shown(Path("/elsewhere/stack.toml"))) == "/elsewhere/stack.toml"
