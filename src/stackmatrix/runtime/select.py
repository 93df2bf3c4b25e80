"""Which runtime serves: the one asked for, or Docker when an engine answers and native when none does."""

from collections.abc import Mapping
from pathlib import Path

from stackmatrix.catalog import ROOT
from stackmatrix.errors import UserError
from stackmatrix.runtime.base import Runtime, Say
from stackmatrix.runtime.docker import DockerRuntime
from stackmatrix.runtime.limits import check_limits
from stackmatrix.runtime.native import NativeRuntime


def choose(wanted: str, say: Say, root: Path = ROOT, ports: Mapping[str, int] | None = None) -> Runtime:
    """Make the runtime called `wanted`; for `auto`, `say` gets the choice and why. UserError if it cannot be had."""
    check_limits(root)
    if wanted == "native":
        return NativeRuntime(say, root, ports)
    if ports and wanted == "docker":
        raise UserError("containers are published at the ports of their manifests; a port needs --runtime native")
    if ports:
        say("runtime: native (a port was asked for)")
        return NativeRuntime(say, root, ports)
    try:
        docker = DockerRuntime(say, root)
    except UserError as error:
        if wanted == "docker":
            raise
        reason, _, _ = str(error).partition(";")
        say(f"runtime: native ({reason})")
        return NativeRuntime(say, root, ports)
    if wanted == "auto":
        say("runtime: docker (an engine answers)")
    return docker
