"""The dishonest stacks: fastapi-async with one lie each, and what the gates must say of it."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.stacks import Setting
from stackmatrix.results.reasons import ReasonKind
from stackmatrix.runtime.native import environments
from stackmatrix.runtime.native.state import State

HONEST = ROOT / "stacks" / "fastapi-async"
LIES = Path(__file__).parent / "stacks"
PORT = 8900


@dataclass(frozen=True)
class Liar:
    """A lie by the name of its file in `stacks/`, and the workload under which it is told."""

    lie: str
    workload: str
    reasons: Mapping[ReasonKind, str]
    """What must be said of it, as regular expressions by kind."""
    changed: Mapping[str, Setting] = field(default_factory=dict)
    lock: Mapping[str, str] = field(default_factory=dict)
    """Packages with the versions that its lock names; those that are installed stay."""
    restarted: bool = False
    """Whether it is started anew just before its trial, as a stack of many variants is."""

    @property
    def name(self) -> str:
        """The stack's."""
        return self.lie.replace("_", "-")

    @property
    def case(self) -> str:
        """The lie and where it is told."""
        return f"{self.name}-{self.workload}"


OTHER = {"orjson": "3.0.0"}

LIARS = (
    Liar(
        "swallows_errors",
        "notes-list",
        {"errors": "^[0-9]+ of [0-9]+ requests failed with status 200 and another body"},
    ),
    Liar("caches_upstream", "http", {"ledger": "^upstream calls: the answers imply [0-9]+, counted were [0-9]+"}),
    Liar("skips_insert", "notes-create", {"ledger": "^new rows: the answers imply [0-9]+, counted were [0-9]+"}),
    Liar("ignores_body", "notes-create", {"errors": "requests failed with status 201 and another body"}),
    Liar("blocks_in_query", "query", {"overlap": "^/query: .*declared 10, but 2 × .* s took"}),
    Liar("runs_one_process", "sleep", {"identity": "^1 processes run where the manifest says 6"}, {"workers": 4}),
    Liar("drops_keep_alive", "sleep", {"identity": "keep-alive does not hold"}),
    Liar("drops_some_keep_alive", "sleep", {"reconnects": "were closed and .* keep-alive does not hold under load"}),
    Liar("runs_other_version", "sleep", {"identity": "^orjson .* runs where the lock says 3.0.0"}, lock=OTHER),
    Liar("names_other_version", "sleep", {"identity": "^orjson .* is there where .* says 3.0.0"}, lock=OTHER),
    Liar("starts_slowly", "sleep", {"unsteady": "^the first answer came after 2"}, restarted=True),
    Liar(
        "fails_at_first",
        "json-small",
        {"errors": "^[0-9]+ of the requests before or after the window failed with status [0-9]+"},
    ),
    Liar("sheds_load", "json-small", {"errors": "requests failed with status 5[0-9]+"}),
    Liar("truncates", "json-small", {"errors": "requests failed with status 200 and another body"}),
    Liar("announces_wrong_length", "json-small", {"errors": "with what is not HTTP/1.1", "stuck": "^[0-9]+ requests"}),
    Liar("connects_anew", "notes-create", {"overlap": "^/query: .*declared 10, but 11 × .* s took"}),
    Liar(
        "sleep_half",
        "sleep",
        {"early": "^[0-9]+ of [0-9]+ answers began before their wait was over, the first after (49|5)"},
    ),
    Liar("sleep_grain", "sleep", {"early": "before their wait was over, the first after 9[67]"}),
    Liar("http_tenth", "http", {"early": "the first after 1[0-9]", "ledger": "^ms asked of the upstream: .* at least"}),
    Liar("http_stale", "http", {"early": "before their wait was over"}),
    Liar("query_tenth", "query", {"early": "before their wait was over, the first after 1[0-9]"}),
    Liar("early_head", "sleep", {"early": "before their wait was over"}),
    Liar("early_head", "notes-read", {"early": "the head came alone"}),
    Liar("conditional_data", "data", {"ledger": "^bytes from Nginx: the answers imply at least [0-9]+"}),
    Liar("json_cached", "json-medium", {"ledger": "^bytes read by the stack: the answers imply at least [0-9]+"}),
    Liar("write_behind", "notes-create", {"ledger": "^new rows: the answers imply [0-9]+"}),
    Liar("loses_workers", "sleep", {"restart": "processes of the stack came and [0-9]+ went"}, {"workers": 2}),
)

FADING = Liar("burst_credit", "json-small", {})  # each of its trials is honest; only a long window tells

# one lie may be told under several workloads
LYING_STACKS = tuple({liar.name: liar for liar in (*LIARS, FADING)}.values())


def checkout(root: Path) -> Path:
    """Make a checkout of the honest stacks as they are, and every liar; what it had below `.state` stays."""
    stacks = root / "stacks"
    shutil.rmtree(stacks, ignore_errors=True)
    stacks.mkdir(parents=True)
    for name in ("fixtures", "upstream"):
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(ROOT / name)
    for path in (ROOT / "stacks").iterdir():
        (stacks / path.name).symlink_to(path)
    for liar in LYING_STACKS:
        build(liar, stacks)
    return root


def share_environment(root: Path) -> None:
    """Put the honest stack's environment, which must be there, where each liar's own would be."""
    venvs = State(root).path("venvs")
    for path in venvs.iterdir():
        if path.is_symlink():
            path.unlink()
    honest = environments.venv_path(HONEST.name, HONEST / "requirements.txt", venvs)
    for liar in LYING_STACKS:
        environments.venv_path(liar.name, root / "stacks" / liar.name / "requirements.txt", venvs).symlink_to(honest)


def build(liar: Liar, stacks: Path) -> None:
    """Make the liar's stack: the honest one's files, and the lie told before anything else."""
    place = stacks / liar.name
    shutil.copytree(HONEST, place, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(LIES / f"{liar.lie}.py", place / "lie.py")
    for help in ("crowd.py", "shim.py"):
        shutil.copyfile(LIES / help, place / help)
    replace(place / "serve", "^import uvicorn$", "import lie\nimport uvicorn")
    replace(place / "stack.toml", "^port = .*", f"port = {PORT + (*LIARS, FADING).index(liar)}")
    for package, version in liar.lock.items():
        replace(place / "requirements.txt", rf"^{package}==\S+", f"{package}=={version}")


def replace(file: Path, pattern: str, text: str) -> None:
    """Put `text` in the one place of a file that the pattern finds."""
    changed, count = re.subn(pattern, text, file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert count == 1, f"{file}: {pattern} is there {count} times"
    file.write_text(changed, encoding="utf-8")
