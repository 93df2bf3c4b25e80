"""Made-up runs that several tests read, each made once, and a browser where there is one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from stackmatrix.report.files import write_index, write_reports
from stackmatrix.results.directory import RunDirectory

from ..conftest import Once
from .sample import SAMPLES, Runs, make

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def base(once: Once) -> Path:
    """Where the samples lie, with their reports and the list of them."""
    return once("results", write)


def write(base: Path) -> None:
    """Make all samples."""
    for sample in SAMPLES.values():
        write_reports(make(base, sample))
    write_index(base)


@pytest.fixture(scope="session")
def runs(base: Path) -> Runs:
    """All samples by name; a test that changes one copies it."""
    return {name: RunDirectory(next(base.glob(f"*Z-{name}"))) for name in SAMPLES}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium of this machine."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()
