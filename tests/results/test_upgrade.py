"""Runs of schema 1: every line of theirs is read as schema 2 has it, with all that it said."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stackmatrix.catalog import ROOT
from stackmatrix.errors import UserError
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.slo import Probe
from stackmatrix.results.upgrade import upgraded

from ..made_trials import made

RUNS = [file.parent for file in (*ROOT.glob("results/*/trials.jsonl"), *ROOT.glob("tests/report/runs/*/trials.jsonl"))]
OLD: dict[str, Any] = {
    "id": "r00-a1-x", "arm": "x", "round": 0, "attempt": 1, "started": "", "warmup_s": 2.0, "window_s": 0.5,
    "goodput": 47.4, "answered": 18, "cpu_s": {"stack": 0.4, "postgres": None, "generator": 0.01}, "threads": 153,
    "ledger": [{"what": "new rows", "implied": 1, "counted": 1, "slack": 0}],
    "reasons": [{"kind": "steal", "detail": "9 %"}],
    "told": {"tool": "wrk", "version": "4", "command": "wrk", "requests": 18, "seconds": 0.5, "rps": 36.0, "notes": []},
}  # fmt: skip


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name)
def test_every_line_of_an_old_run_keeps_its_figures(path: Path) -> None:
    lines = [msgspec.json.decode(line) for line in (path / "trials.jsonl").read_bytes().splitlines()]
    trials = list(RunDirectory(path).trials())
    assert len(trials) == len(lines) > 0
    for old, trial in zip(lines, trials, strict=True):
        if "client" in old:  # of today's schema
            continue
        kept = msgspec.json.decode(msgspec.json.encode(trial))
        flat = {**kept["client"], **kept["server"], **kept, "told": kept["client"]["tool"]}
        flat["cpu_s"] = {**kept["server"]["cpu_s"], "generator": kept["client"]["cpu_s"]}
        assert {name: value for name, value in old.items() if not holds(flat.get(name), value)} == {}


def holds(new: Any, old: Any) -> bool:
    """Whether everything that was said is still said; what is new is no matter."""
    if isinstance(old, dict):
        return all(holds(new.get(name), value) for name, value in old.items())
    if isinstance(old, list):
        return len(new) == len(old) and all(map(holds, new, old))
    return bool(new == old)


def test_a_trial_of_schema_1_is_read_in_its_parts(tmp_path: Path) -> None:
    (tmp_path / "trials.jsonl").write_bytes(msgspec.json.encode(OLD) + b"\n")
    (trial,) = RunDirectory(tmp_path).trials()
    assert (trial.id, trial.attempt, trial.client.goodput, trial.server.threads) == ("r00-a1-x", 1, 47.4, 153)
    assert (trial.client.cpu_s, trial.server.cpu_s.stack, trial.server.cpu_s.delay) == (0.01, 0.4, None)
    assert trial.client.tool is not None
    assert trial.client.tool.rps == 36.0
    assert [line.what for line in trial.ledger] == ["new rows"]
    assert [reason.kind for reason in trial.reasons] == ["steal"]


def test_what_is_read_is_not_changed() -> None:
    before = deepcopy(OLD)
    assert upgraded(OLD) is not OLD
    assert before == OLD


def test_a_probe_of_schema_1_is_read_with_its_trial(tmp_path: Path) -> None:
    probe = Probe("x", 0, 1, 50.0, "kept", 18, 0, 12.0, made())
    line = msgspec.to_builtins(probe) | {"trial": OLD}
    (tmp_path / "levels.jsonl").write_bytes(msgspec.json.encode(line) + b"\n")
    (read,) = RunDirectory(tmp_path).probes()
    assert (read.rate, read.trial.client.answered, read.trial.server.cpu_s.stack) == (50.0, 18, 0.4)


def test_what_is_of_today_stays_as_it_is(tmp_path: Path) -> None:
    trial = made(goodput=3.0, threads=4, generator_cpu_s=0.2)
    directory = RunDirectory(tmp_path)
    directory.append(trial)
    directory.append(Probe("x", 0, 1, 50.0, "kept", 18, 0, 12.0, trial))
    assert list(directory.trials()) == [trial]
    assert [probe.trial for probe in directory.probes()] == [trial]


@pytest.mark.parametrize("broken", [[], "x", {"id": 3}, OLD | {"cpu_s": 5}, OLD | {"goodput": "much"}, {"trial": []}])
def test_what_is_broken_is_named_in_one_line(tmp_path: Path, broken: object) -> None:
    (tmp_path / "trials.jsonl").write_bytes(msgspec.json.encode(broken) + b"\n")
    with pytest.raises(UserError, match=r"trials\.jsonl:1: not a file of this format") as error:
        list(RunDirectory(tmp_path).trials())
    assert "\n" not in str(error.value)
    upgraded(broken)
