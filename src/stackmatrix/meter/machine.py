"""Where a run was measured: what a reader must know before comparing it with another machine's."""

import os
import platform
import subprocess
from pathlib import Path

import psutil

from stackmatrix.catalog import ROOT


def describe() -> dict[str, str | int | float | bool | None]:
    return {
        "cpu": cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "system": system(),
        "virtual": virtual(),
        "python": platform.python_version(),
        "revision": revision(),
    }


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def virtual() -> bool | None:
    """Tell whether this is a virtual machine; None where the kernel does not say."""
    try:
        return " hypervisor" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return None


def revision() -> str | None:
    """Name the commit of the checkout, with a + when files differ from it; None outside git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return asked.stdout.strip() or None
