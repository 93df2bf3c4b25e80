"""A run's directory: written as it is measured, validated whenever it is read."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from stackmatrix.catalog import ROOT
from stackmatrix.errors import UserError
from stackmatrix.results.explain import Explained, ExtraTrial, ExtraTrials, Profiled, Sustained
from stackmatrix.results.slo import Probe
from stackmatrix.results.trial import Trial
from stackmatrix.results.upgrade import upgraded

SCHEMA = 2
RESULTS = ROOT / "results"
STAMP = "%Y%m%dT%H%M%SZ"
LINES: dict[type, str] = {  # the file that each is a line of
    Trial: "trials.jsonl",
    Probe: "levels.jsonl",
    Explained: "explaining.jsonl",
    Profiled: "profiles.jsonl",
    Sustained: "sustained.jsonl",
}
T = TypeVar("T")


class RunDirectory:
    """One run on disk; whatever was measured is there even when the harness is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, name: str, base: Path = RESULTS) -> "RunDirectory":
        """Make a new directory named after the UTC time; UserError when it cannot be made."""
        stamp = datetime.now(UTC).strftime(STAMP)
        path = base / f"{stamp}-{re.sub(r'[^a-z0-9-]+', '-', name.lower())}"
        while path.exists():  # two runs in one second
            path = path.with_name(f"{path.name}-again")
        with writing(path):
            (path / "records").mkdir(parents=True)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """Open a run that exists; UserError when it is none."""
        if not any((path / name).exists() for name in ("plan.json", "trials.jsonl", "run.json")):
            raise UserError(f"{path}: no run is there; runs are the directories of results/")
        return cls(path)

    @property
    def started(self) -> str:
        """When the run began: its name says it, and in a directory that was renamed its first trial."""
        stamp = self.path.name.partition("-")[0]
        try:
            return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC).isoformat()
        except ValueError:
            made = datetime.fromtimestamp(self.path.stat().st_mtime, UTC).isoformat()
            return next((trial.started for trial in self.trials()), made)

    def cut_off(self) -> list[Path]:
        """List the files whose last line lacks its end; whoever reads them leaves that line out."""
        files = (self.path / name for name in LINES.values())
        return [file for file in files if file.exists() and file.read_bytes()[-1:] not in (b"", b"\n")]

    @property
    def shown(self) -> str:
        return os.path.relpath(self.path)

    def records_file(self, trial: str) -> Path:
        return self.path / "records" / f"{trial}.npy"

    def keep_log(self, trial: str, text: str) -> str:
        """Write what the stack had logged by the end of a trial; return the file's name in this directory."""
        name = f"logs/{trial}.log"
        write_file(self.path / name, f"{text or 'nothing was logged'}\n")
        return name

    def append(self, line: Trial | Probe | ExtraTrial) -> None:
        """Keep a trial, a probe of a service level or an extra trial for good."""
        file = self.path / LINES[type(line)]
        with writing(file), file.open("ab+") as handle:
            handle.seek(0)
            whole = handle.read().rfind(b"\n") + 1
            handle.truncate(whole)  # a last line that a crash left without its newline
            handle.write(msgspec.json.encode(line) + b"\n")
            handle.flush()
            os.fsync(handle.fileno())

    def trials(self) -> Iterator[Trial]:
        """Read every trial that was kept; a last line cut off by a crash is left out."""
        return self._lines(Trial, upgraded)

    def probes(self) -> Iterator[Probe]:
        """Read every probe of a service level, likewise; none in a run without `--slo`."""
        return self._lines(Probe, upgraded)

    def passes(self) -> ExtraTrials:
        """Read the extra trials after the rounds; of each arm the last line."""
        return ExtraTrials(
            {line.arm: line for line in self._lines(Explained)},
            {line.arm: line for line in self._lines(Profiled)},
            {line.arm: line for line in self._lines(Sustained)},
        )

    def _lines(self, kind: type[T], upgrade: Callable[[Any], Any] | None = None) -> Iterator[T]:
        file = self.path / LINES[kind]
        if not file.exists():
            return
        lines = file.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            if line and number < len(lines):  # without a newline behind it the line was never finished
                yield decode(line, kind, f"{file}:{number}", upgrade)

    def write(self, name: str, value: object) -> None:
        """Write one JSON file whole or not at all."""
        write_file(self.path / name, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")

    def read(self, name: str, kind: type[T]) -> T:
        """Read one JSON file, validated; UserError when it is missing or broken."""
        file = self.path / name
        try:
            return decode(file.read_bytes(), kind, str(file))
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}") from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failed write into one clear line: a full or read-only disk is the user's to mend."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot write: {error.strerror}; free some space or make results/ writable, "
            "then go on; what was measured before is kept"
        ) from None


def write_file(file: Path, content: str | bytes) -> None:
    """Write one file whole or not at all."""
    with writing(file):
        file.parent.mkdir(exist_ok=True)
        draft = file.with_name(f"{file.name}.part")
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        draft.replace(file)


def decode(data: bytes, kind: type[T], where: str, upgrade: Callable[[Any], Any] | None = None) -> T:
    """Decode JSON as a value of `kind`, after `upgrade`; UserError with the first field that breaks the format."""
    try:
        if upgrade is None:
            return msgspec.json.decode(data, type=kind)
        return msgspec.convert(upgrade(msgspec.json.decode(data)), kind)
    except msgspec.MsgspecError as error:
        raise UserError(f"{where}: not a file of this format (schema {SCHEMA}): {error}") from None
