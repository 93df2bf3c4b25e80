"""What the reports say: sentences, shapes, comparisons, the list of runs, also without run.json or records."""

import base64
import csv
import hashlib
import io
import itertools
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from stackmatrix.analysis import statistics
from stackmatrix.analysis.explain.phases import time_by_part
from stackmatrix.catalog import ROOT
from stackmatrix.cli.report import judge_now
from stackmatrix.errors import UserError
from stackmatrix.formatting import change, quantity
from stackmatrix.report import curves, headline, method, reduced
from stackmatrix.report import phases as times
from stackmatrix.report.charts import cell as cell_charts
from stackmatrix.report.charts import level, matrix, trend
from stackmatrix.report.files import write_reports
from stackmatrix.report.html import index, index_html, run_html
from stackmatrix.report.html.site import breakable, emphasis, inert, sentence
from stackmatrix.report.palette import DARK, LIGHT, SERIES, STEPS, step
from stackmatrix.report.reduced import latency_histogram, latency_spectrum
from stackmatrix.report.view import Group, Slugs, read_run, view
from stackmatrix.results.directory import RunDirectory
from stackmatrix.results.explain import Phases
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import Disagreement, Run
from stackmatrix.results.slo import Probe
from stackmatrix.results.trial import Kernel, Trial

from ..cli.invoke import invoke
from ..made_trials import altered
from .sample import Runs, Sample, make

Floats = NDArray[np.float64]


def group(runs: Runs, name: str, workload: str) -> Group:
    return next(group for group in view(runs[name]).groups if group.workload == workload)


@pytest.fixture
def copy(runs: Runs, tmp_path: Path) -> RunDirectory:
    """A run that a test may change."""
    return RunDirectory(Path(shutil.copytree(runs["interrupted"].path, tmp_path / runs["interrupted"].path.name)))


# the answer


def test_the_headline_counts_who_leads(runs: Runs) -> None:
    assert headline.headline(view(runs["matrix"])).startswith("**fastapi-async** leads or shares the lead in 12 of 12")


def test_a_clear_leader_is_named_with_its_ratio_to_the_next(runs: Runs) -> None:
    said = headline.group_sentence(group(runs, "matrix", "notes-read"))
    ratio = group(runs, "matrix", "notes-read").pairs[0].goodput
    assert ratio is not None and ratio.interval is not None
    assert said.startswith("**fastapi-async** leads with ")
    assert f"{ratio.value:.2f}× ({ratio.interval.low:.2f}–{ratio.interval.high:.2f}) as much as" in said


def test_a_leader_at_the_load_is_said_to_have_more_to_give(runs: Runs) -> None:
    assert "more users would show what is left" in headline.group_sentence(group(runs, "matrix", "sleep"))
    assert "more users" not in headline.group_sentence(group(runs, "matrix", "json-small"))


def test_void_arms_are_named_with_their_reason(runs: Runs) -> None:
    assert "No number for fastapi-sync" in headline.group_sentence(group(runs, "matrix", "http"))
    assert "generator" in headline.group_sentence(group(runs, "matrix", "http"))
    assert headline.group_sentence(group(runs, "void", "http")) == "No stack has a valid number here (errors)."
    assert headline.headline(view(runs["void"])) == "No stack has a valid number in this run"


def test_few_rounds_tell_nothing_apart(runs: Runs) -> None:
    assert headline.headline(view(runs["interrupted"])).startswith("2 rounds cannot tell")
    assert "cannot tell the stacks apart" in headline.group_sentence(group(runs, "interrupted", "http"))
    kinds = [title for _, title, _ in method.notes(view(runs["interrupted"]))]
    assert kinds == ["Interrupted.", "No intervals."]


def test_stacks_that_are_alike_share_the_lead(tmp_path: Path) -> None:
    directory = make(tmp_path, Sample(stacks=("fastapi-async", "fastapi-async[db_pool=20]"), workloads=("json-small",)))
    found = view(directory)
    assert headline.headline(found).startswith(
        "**No difference** can be told between fastapi-async and fastapi-async[db_"
    )
    only = found.groups[0]
    says = headline.comparison(only.pairs[0], only.floor)
    assert says.startswith("Can’t tell:") and "noise floor" in says
    assert "db_pool" in inert(run_html(found))


def test_a_run_whose_copies_differ_is_called_invalid(tmp_path: Path) -> None:
    def slower(trial: Trial) -> Trial:
        return altered(trial, goodput=trial.client.goodput * 0.8) if trial.arm.endswith("again") else trial

    found = view(make(tmp_path, Sample(workloads=("json-small",), spoil=slower)))
    assert not found.honest
    assert method.notes(found)[0][1] == "This run is not valid."


def test_repeats_are_counted_with_their_reasons(tmp_path: Path) -> None:
    directory = make(tmp_path, Sample(workloads=("json-small",), rounds=6))
    first = next(directory.trials())
    text = (directory.path / "trials.jsonl").read_bytes()
    stolen = replace(first, reasons=[Reason("steal", "the host took 9 %")])
    again = replace(first, id=f"{first.id}-again", attempt=1)
    (directory.path / "trials.jsonl").write_bytes(
        msgspec.json.encode(stolen) + b"\n" + text.partition(b"\n")[2] + msgspec.json.encode(again) + b"\n"
    )
    judge_now(directory)
    assert method.repeats(view(directory)).startswith("1 trial was repeated, because of steal (1).")


# comparisons


def test_each_pair_is_the_paired_ratio_of_the_statistics_both_ways(runs: Runs) -> None:
    one = group(runs, "matrix", "data")
    for pair in one.pairs:
        there = statistics.ratio(pair.first.goodputs, pair.second.goodputs)
        back = one.versus(pair.second, pair.first).goodput
        assert pair.goodput == there
        assert there and back and there.interval and back.interval
        assert back.value == pytest.approx(1 / there.value)
        assert back.interval.low == pytest.approx(1 / there.interval.high)


def test_what_the_run_could_not_resolve_is_said(runs: Runs) -> None:
    assert any(line.startswith("data: ratios are known to") for line in method.unresolved(view(runs["matrix"])))
    assert method.unresolved(view(runs["interrupted"])) == [
        "Every comparison: 2 rounds give no interval, 6 are needed."
    ]


def test_the_command_repeats_just_this_cell(runs: Runs) -> None:
    commands = {cell.arm.id: cell.command for cell in view(runs["sweep"]).cells}
    assert commands["fastapi-sync[threads=100]/http/64 users"] == (
        "./scripts/check-performance.py --stack 'fastapi-sync[threads=100]' --workload http --param ms=100 --param n=1 "
        "--param mode=sequential --users 64"
    )
    assert any("--rate 300" in command for command in commands.values())


# shapes


def test_the_spectrum_has_the_percentiles_of_run_json(runs: Runs) -> None:
    for cell in view(runs["matrix"]).cells:
        if cell.arm.goodput is None:
            assert cell.shape is None
            continue
        assert cell.shape is not None
        points = dict(cell.shape.spectrum)
        for percent, value in ((50.0, cell.arm.latency_ms.p50), (99.0, cell.arm.latency_ms.p99)):
            assert points.get(percent) == (pytest.approx(value, rel=1e-4) if value is not None else None)


def test_a_spectrum_ends_where_fewer_than_ten_lie_beyond() -> None:
    points = latency_spectrum(np.arange(1.0, 1001.0))
    assert points[-1] == (99.0, 990.0)
    assert [ms for _, ms in points] == sorted(ms for _, ms in points)
    assert latency_spectrum(np.array([])) == []


@pytest.mark.parametrize(
    ("latencies", "log"),
    [(np.linspace(100, 105, 5000), False), (np.geomspace(1, 900, 5000), True), (np.array([7.0]), False)],
)
def test_a_histogram_loses_nobody(latencies: Floats, log: bool) -> None:
    found = latency_histogram(latencies)
    assert found is not None
    assert sum(found.counts) + found.beyond == len(latencies)
    assert found.log is log
    assert len(found.edges) == len(found.counts) + 1


def test_shapes_are_kept_for_when_the_records_are_gone(copy: RunDirectory) -> None:
    before = view(copy)
    shutil.rmtree(copy.path / "records")
    after = view(copy)
    assert [cell.shape for cell in after.cells] == [cell.shape for cell in before.cells]
    (copy.path / reduced.REDUCED_FILE).unlink()
    assert all(cell.shape is None for cell in view(copy).cells)
    write_reports(copy)


def test_shapes_of_other_trials_are_made_anew(copy: RunDirectory) -> None:
    kept = reduced.read_reduced(copy)
    stale = {arm: replace(shape, trials=["another"], requests=1) for arm, shape in kept.arms.items()}
    copy.write(reduced.REDUCED_FILE, reduced.Shapes(stale))
    assert all(cell.shape is None or cell.shape.requests > 1 for cell in view(copy).cells)
    assert reduced.read_reduced(copy) == kept


# the page


def test_nothing_that_a_run_says_becomes_markup(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"

    def spoil(trial: Trial) -> Trial:
        return replace(trial, reasons=[Reason("crash", hostile)]) if "sync" in trial.arm else trial

    text = run_html(view(make(tmp_path, Sample(workloads=("http",), spoil=spoil, environment={"cpu": hostile}))))
    assert "<script>alert" not in text and "<img src=x" not in text
    assert text.count("<script") == 4


def test_no_report_obeys_what_a_stack_or_an_option_says(tmp_path: Path) -> None:
    hostile = "=1+1 <script>alert(1)</script> \x1b]0;title\x07 p99<200ms"

    def spoil(trial: Trial) -> Trial:
        return replace(trial, reasons=[Reason("crash", hostile)]) if "sync" in trial.arm else trial

    run = make(tmp_path, Sample(workloads=("http",), spoil=spoil, environment={"cpu": hostile}))
    found = read_run(run)
    arms = [replace(arm, stack=f"@{hostile}") for arm in found.arms]
    run.write("run.json", replace(found, arms=arms, name=hostile))
    write_reports(run)
    texts = {name: (run.path / name).read_text() for name in ("report.html", "report.md", "report.csv")}
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", "".join(texts.values()).replace("\t", ""))
    assert "<script" not in texts["report.md"] and "p99<200ms" in texts["report.md"]
    rows = list(csv.reader(io.StringIO(texts["report.csv"])))
    assert any(cell.startswith("'@=1+1") for row in rows for cell in row)
    assert not any(re.match(r"[=+@-](?!\d)", cell) for row in rows for cell in row)


def test_a_cell_shows_what_the_kernel_counted_unless_it_is_nothing(tmp_path: Path) -> None:
    def spoil(trial: Trial) -> Trial:
        counted = Kernel(listen_overflows=3, listen_drops=0, delayed_acks=trial.client.answered, writes=None, reads=0)
        return altered(trial, answers=None, kernel=counted)

    text = run_html(view(make(tmp_path, Sample(("fastapi-async",), ("json-small",), rounds=6, spoil=spoil))))
    tiles = dict(re.findall(r"<dt>([^<]+)</dt><dd>(.+?)</dd>", text))
    assert tiles["Accept queue overflows"] == "18 <small>in all rounds</small>"
    assert tiles["Delayed ACKs"] == "1.00 <small>an answer</small>"
    assert not tiles.keys() & {"Connections dropped", "Segments sent again", "Writes", "Reads"}


def test_the_policy_lets_the_page_s_own_scripts_run_and_nothing_else(runs: Runs) -> None:
    text = (runs["matrix"].path / "report.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    hashes = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert set(re.findall(r"sha256-([^&]+)&#39;", policy[1])) == hashes
    assert policy[1].startswith("default-src &#39;none&#39;;")


def test_text_is_marked_up_only_after_it_is_escaped() -> None:
    assert str(emphasis("**a-b** <i>")) == '<strong><span class="whole">a-b</span></strong> &lt;i&gt;'
    assert str(breakable("a-b[c=1]")) == "a-<wbr>b[<wbr>c=<wbr>1]"
    assert "<" not in inert({"a": "</script>"})


def test_verdict_prediction_identity_and_explanation_are_shown(runs: Runs) -> None:
    found = view(runs["matrix"])
    text = (runs["matrix"].path / "report.html").read_text()
    document = (runs["matrix"].path / "report.md").read_text()
    for cell in found.cells:
        assert cell.arm.explanation
        if cell.arm.goodput:
            for said in cell.arm.explanation:
                assert f"- {said}\n" in document and f"<li>{sentence(said)}</li>" in text
        if cell.arm.predicted:
            assert f"predicted <b>{quantity(cell.arm.predicted.goodput)}/s</b>" in text
        assert cell.identity == found.run.identities[cell.name]
    assert "made-up/1.0" in text


def test_where_the_time_goes_is_shown_with_what_looking_cost(runs: Runs) -> None:
    found = view(runs["matrix"])
    text = (runs["matrix"].path / "report.html").read_text()
    document = (runs["matrix"].path / "report.md").read_text()
    timed = [cell for cell in found.cells if cell.arm.phases]
    assert timed and all(cell.arm.goodput for cell in timed)
    assert text.count("Where the time of a request goes") == len(timed)
    assert "% of the headline's goodput, at 103 % of its CPU per request" in unescape(text)
    assert "a goodput that tells nothing of its cost: the host took 3.0% of the CPU time" in text
    assert "| fastapi-sync | " in document and "| waiting for a thread | with the database |" in document
    assert any("with Server-Timing on" in " ".join(cell.arm.explanation) for cell in timed)
    (drawn,) = [cell for cell in found.cells if cell.arm.profile]
    assert '<a href="profiles/first.svg">Flame graph</a>' in text
    assert f"[{drawn.name}](profiles/first.svg)" in document
    costs = times.costs(found)
    assert f"timed {len(timed)} of {len(found.cells)} arms" in costs[0]
    assert re.search(r"goodput was [01]\.\d{2,3} times the headline's \([01]\.\d{2,3} to [01]\.\d{2,3}\)", costs[0])
    assert "of 1 arm it cannot be told" in costs[0]
    assert times.costs(view(runs["interrupted"])) == []


def test_parts_of_a_request_never_add_up_to_more_than_it_took() -> None:
    phases = Phases(requests=9, response_s=1.0, total_s=0.8, queue_s=0.5, db_s=0.2, lag_s=0.01)
    assert time_by_part(phases) == pytest.approx(
        {
            "waiting for a thread": 0.5,
            "with the database": 0.2,
            "elsewhere in the application": 0.1,
            "outside the application": 0.2,
        }
    )
    overlapping = time_by_part(replace(phases, queue_s=0.9))
    assert overlapping["elsewhere in the application"] == 0
    assert times.phase_remarks(phases) == ["mean of 9 requests, 1.00 s each", "event loop 10.0 ms late"]


def test_the_verdict_of_the_meters_counts_before_the_ceiling(runs: Runs) -> None:
    found = view(runs["matrix"])
    first, *others = found.groups[0].ranked
    doubt = Disagreement("lock", "Something else <held> it.")
    arm = replace(first.arm, verdict="database", utilisation={"database": 0.97, "load": 1.2}, doubt=doubt)
    text = run_html(replace(found, groups=[replace(found.groups[0], cells=[replace(first, arm=arm), *others])]))
    assert '<use href="#sign-database"/></svg> database</span>' in text
    assert "Something else &lt;held&gt; it." in text
    assert '97 %</td><td class="bar-cell" aria-hidden="true"><span class="track"><i style="width:97.0%">' in text


def test_addresses_are_unique_and_stay_the_same() -> None:
    slugs = Slugs()
    assert [slugs(text) for text in ("A b/C", "a-b c", "a b[c]")] == ["a-b-c", "a-b-c-2", "a-b-c-3"]


# runs on disk


def test_the_list_has_every_run_and_says_what_it_leaves_out(runs: Runs, base: Path, tmp_path: Path) -> None:
    text = index_html(base)
    for directory in runs.values():
        assert f'href="{directory.path.name}/report.html"' in text
    assert "5 runs on 2 machines" in text
    killed = tmp_path / "20260301T000000Z-killed"
    killed.mkdir()
    shutil.copy(runs["void"].path / "plan.json", killed)
    assert "it has no run.json" in index_html(tmp_path)
    assert "None yet" in index_html(tmp_path)


def test_trends_join_runs_of_one_machine_only(runs: Runs, base: Path) -> None:
    found, _ = index.listed_runs(base)
    rows = [row for trend in index.trends(found) for row in trend.points]
    assert {row.machine for row in rows} == {found[0].machine, found[-1].machine}
    assert change(0.9996) == "<0.1 %" and change(0.95) == "−5.0 %" and change(1.031) == "+3.1 %"


def test_a_killed_run_is_judged_from_its_trials(copy: RunDirectory) -> None:
    before = copy.read("run.json", Run)
    (copy.path / "run.json").unlink()
    with pytest.raises(UserError, match=r"no run\.json"):
        view(copy)
    judge_now(copy)
    after = copy.read("run.json", Run)
    assert after.ended_by == "interrupted"
    assert [(arm.id, arm.goodput, arm.latency_ms) for arm in after.arms] == [
        (arm.id, arm.goodput, arm.latency_ms) for arm in before.arms
    ]


def cut_last_line(run: Path) -> None:
    file = run / "trials.jsonl"
    file.write_bytes(file.read_bytes()[:-9])


def break_a_line(run: Path) -> None:
    file = run / "trials.jsonl"
    first, *rest = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first[:100] + b"\n" + b"".join(rest))


def break_the_plan(run: Path) -> None:
    file = run / "plan.json"
    file.write_bytes(file.read_bytes()[:200])


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        (cut_last_line, 1, r"trials\.jsonl: its last line is cut off and left out"),
        (break_a_line, 2, r"(?m)^error: \S*trials\.jsonl:1: not a file of this format .*\n\Z"),
        (break_the_plan, 2, r"(?m)^error: \S*plan\.json: not a file of this format .*\n\Z"),
    ],
)
def test_what_is_damaged_of_a_run_is_named(
    copy: RunDirectory, damage: Callable[[Path], None], code: int, words: str
) -> None:
    damage(copy.path)
    done = invoke("report", str(copy.path))
    assert done.returncode == code
    assert re.search(words, done.stderr), done.stderr


def test_a_run_may_be_renamed(copy: RunDirectory) -> None:
    other = RunDirectory(copy.path.rename(copy.path.with_name("before the change")))
    (other.path / "run.json").unlink()
    assert invoke("report", str(other.path)).returncode == 0
    assert read_run(other).started == next(other.trials()).started
    shutil.copytree(other.path, empty := other.path.with_name("empty"))
    (empty / "trials.jsonl").unlink()
    assert datetime.fromisoformat(RunDirectory(empty).started).tzinfo is UTC


def test_a_newer_schema_is_refused_in_one_line(copy: RunDirectory) -> None:
    copy.write("run.json", replace(copy.read("run.json", Run), schema=99))
    with pytest.raises(UserError, match="schema 99 is newer"):
        view(copy)


def test_reports_are_made_again_as_they_were(copy: RunDirectory) -> None:
    names = ("report.html", "report.md", "report.csv", "figures/matrix.svg")
    before = [(copy.path / name).read_bytes() for name in names]
    write_reports(copy)
    assert [(copy.path / name).read_bytes() for name in names] == before
    assert not list(copy.path.rglob("*.part"))


def test_a_run_outside_results_does_not_litter_its_parent(copy: RunDirectory) -> None:
    write_reports(copy)
    assert not (copy.path.parent / "index.html").exists()


def test_the_script_is_executable_and_thin() -> None:
    script = ROOT / "scripts" / "report.py"
    assert script.stat().st_mode & 0o111
    assert 'door("report")' in script.read_text()


# colours

CONFUSIONS = {  # G. M. Machado et al., IEEE Trans. Vis. Comput. Graph. 15 (2009), severity 1.0
    "none": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def linear(colour: str) -> Floats:
    """sRGB as light."""
    encoded = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def lab(light: Floats) -> Floats:
    """CIE L*a*b* under D65."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.clip(matrix @ np.clip(light, 0, 1) / [0.95047, 1, 1.08883], 1e-6, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    """WCAG 2."""
    light = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("confusion", CONFUSIONS)
def test_series_and_steps_are_told_apart_by_colour_blind_readers(palette: dict[str, str], confusion: str) -> None:
    seen = np.array(CONFUSIONS[confusion])
    looks = [lab(seen @ linear(palette[f"series-{number}"])) for number in range(1, SERIES + 1)]
    apart: Callable[[list[Floats]], float] = lambda colours: min(  # noqa: E731
        float(np.linalg.norm(one - other)) for one, other in itertools.combinations(colours, 2)
    )
    assert apart(looks[:4]) >= 20
    assert apart(looks) >= 10
    steps = [float(lab(seen @ linear(palette[f"share-{number}"]))[0]) for number in range(1, len(STEPS) + 1)]
    assert steps == sorted(steps, reverse=palette is LIGHT), "the scale goes one way in lightness too"


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_marks_stand_out(palette: dict[str, str]) -> None:
    for ground in ("surface", "panel", *(f"share-{number}" for number in range(1, len(STEPS) + 1))):
        assert contrast(palette["ink"], palette[ground]) >= 4.5
    for name in ("muted", "accent", "good", "warn", "bad"):
        assert contrast(palette[name], palette["panel"]) >= 4.5
        assert contrast(palette[name], palette["surface"]) >= 4.5
    assert all(contrast(palette[f"series-{number}"], palette["panel"]) >= 3 for number in range(1, SERIES + 1))


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.49, 1), (0.5, 2), (0.849, 3), (0.95, 5), (1.2, 5)])
def test_a_share_falls_in_its_step(share: float, expected: int) -> None:
    assert step(share) == expected


def test_charts_name_only_colours_that_there_are(runs: Runs) -> None:
    made = [
        cell_charts.spectrum(),
        cell_charts.cpu(),
        cell_charts.pair(),
        trend.trend(),
        matrix.matrix_picture(view(runs["sweep"])),
        level.level("p99"),
    ]
    named = set(re.findall(r"var\(--([a-z0-9-]+)\)", msgspec.json.encode(made).decode()))
    assert named and named <= LIGHT.keys() == DARK.keys()


# service levels


def test_the_headline_names_who_keeps_the_level_up_to_the_highest_rate(runs: Runs) -> None:
    said = headline.headline(view(runs["levels"]))
    assert said == "**fastapi-async** keeps p99 < 200 ms up to the highest rate, or shares it, in 2 of 2 workloads"


def test_a_search_that_was_killed_is_judged_from_its_probes(runs: Runs, tmp_path: Path) -> None:
    killed = RunDirectory(Path(shutil.copytree(runs["levels"].path, tmp_path / runs["levels"].path.name)))
    whole = killed.read("run.json", Run).levels
    (killed.path / "run.json").unlink()
    judge_now(killed)
    assert killed.read("run.json", Run).levels == whole


def test_every_probe_with_a_latency_is_drawn(runs: Runs) -> None:
    seen = view(runs["levels"])
    group = seen.groups[0]
    rows = level.probe_points(group, seen)
    arms = {cell.arm.id for cell in group.cells}
    probes = [probe for probe in seen.probes if probe.arm in arms and probe.purpose == "search"]
    assert [row.rate for row in rows if isinstance(row, level.ProbePoint)] == [
        probe.rate for probe in sorted(probes, key=order(group))
    ]
    assert {row.stack for row in rows if isinstance(row, level.FoundRate)} == {
        "fastapi-async",
        "fastapi-sync",
        "flask-uwsgi-gevent",
    }


def order(group: Group) -> Callable[[Probe], int]:
    """Of the cells."""
    places = {cell.arm.id: place for place, cell in enumerate(group.cells)}
    return lambda probe: places[probe.arm]


# load curves


def test_curves_have_a_row_for_each_number_and_say_where_each_stack_answers_most(runs: Runs) -> None:
    seen = view(runs["sweep"])
    for groups in seen.sweeps():
        rows = curves.sweep_points(groups)
        numbers = [cell.arm.goodput.value for group in groups for cell in group.cells if cell.arm.goodput]
        assert [row.goodput for row in rows] == numbers
        assert curves.swept_loads(groups) == tuple(sorted(curves.swept_loads(groups)))
        assert all(row.ceiling is not None and row.low is not None for row in rows)
    closed, _ = seen.sweeps()
    assert "fastapi-async most, 1\u202f7" in curves.peaks(closed) and "at 256 users" in curves.peaks(closed)


def test_a_cell_under_both_kinds_of_load_shows_them_side_by_side(runs: Runs) -> None:
    assert "Closed loop and open loop side by side" in run_html(view(runs["sweep"]))
    assert "side by side</b>" not in run_html(view(runs["matrix"]))


def test_another_tool_is_another_sweep(runs: Runs) -> None:
    seen = view(runs["sweep"])
    by_tool = [replace(one, load=replace(one.load, tool="wrk")) for one in seen.groups if one.load.kind == "closed"]
    both = replace(seen, groups=[*by_tool, *seen.groups])
    assert [curves.sweep_title(groups).rpartition(" · ")[2] for groups in both.sweeps()] == [
        "closed loop by wrk",
        "closed loop",
        "open loop",
    ]
