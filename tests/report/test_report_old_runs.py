"""Runs of other versions: every report can be made of them again, whatever this version has added since.

`runs/` holds one small run of each schema that ever was, as the harness of that time wrote it (without its records).
Never regenerate them: they are what users have on disk. A field that is new needs a default; a change that old files
cannot bear needs a new schema and a step that lifts the old one.
"""

import re
import shutil
from pathlib import Path

import pytest

from stackmatrix.errors import UserError
from stackmatrix.report.files import write_reports
from stackmatrix.report.view import view
from stackmatrix.results.directory import SCHEMA, RunDirectory
from stackmatrix.results.run import Run

RUNS = sorted((Path(__file__).parent / "runs").iterdir())


@pytest.fixture(params=RUNS, ids=lambda path: path.name)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(request.param, tmp_path / request.param.name)))


def test_every_schema_is_there() -> None:
    schemas = {RunDirectory(path).read("run.json", Run).schema for path in RUNS}
    assert schemas >= set(range(1, SCHEMA))


def test_reports_of_an_old_run_have_all_its_numbers(old: RunDirectory) -> None:
    before = (old.path / "run.json").read_bytes()
    write_reports(old)
    found = view(old)
    assert found.cells
    markdown = (old.path / "report.md").read_text()
    page = (old.path / "report.html").read_text()
    csv = (old.path / "report.csv").read_text()
    for cell in found.cells:
        assert cell.arm.goodput is not None
        assert f"{cell.arm.goodput.value}" in csv
        assert cell.shape is not None, "the charts outlive the records"
        assert cell.slug in page
        assert cell.name in markdown
    assert (old.path / "run.json").read_bytes() == before, "what was judged then stays as it was"


def test_a_reason_of_a_kind_that_is_unknown_today_is_shown_as_it_is(old: RunDirectory) -> None:
    run = old.path / "run.json"
    reason = '"valid":false,"reasons":[{"kind":"moon-phase","detail":"the moon was full"}]'
    text = run.read_text().replace('"valid":true,"reasons":[]', reason, 1)
    run.write_text(re.sub(r'"goodput":\{[^}]*\}', '"goodput":null', text, count=1))
    trials = old.path / "trials.jsonl"
    trials.write_text(
        trials.read_text().replace('"reasons":[]', '"reasons":[{"kind":"moon-phase","detail":"full"}]', 1)
    )
    write_reports(old)
    for name in ("report.html", "report.md", "report.csv"):
        assert "moon-phase" in (old.path / name).read_text()
    assert "another version of the harness gave this reason" in (old.path / "report.md").read_text()


def test_fields_that_are_unknown_today_do_no_harm(old: RunDirectory) -> None:
    run = old.path / "run.json"
    run.write_text(run.read_text().replace('"arms":', '"weather":{"sun":true},"arms":', 1))
    write_reports(old)


def test_a_newer_schema_is_refused_with_what_to_do(old: RunDirectory) -> None:
    run = old.path / "run.json"
    run.write_text(run.read_text().replace('"schema":1', '"schema":99', 1))
    with pytest.raises(UserError, match=r"schema 99 is newer than this program's .*: update it"):
        write_reports(old)
