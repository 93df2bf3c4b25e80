"""Check whether a stack may be timed: it obeys the contract, and is and waits as its manifest says."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from stackmatrix.catalog.stacks import Wait
from stackmatrix.contract.client import Client, NoAnswer
from stackmatrix.contract.endpoints import spot_check
from stackmatrix.contract.overlap import CapacityFault, spot_overlap
from stackmatrix.errors import UserError
from stackmatrix.http import Request
from stackmatrix.meter.processes import census
from stackmatrix.meter.upstreams import sessions
from stackmatrix.results.reasons import Reason
from stackmatrix.results.run import Identity
from stackmatrix.runtime.base import Runtime, Service

ASKED = 3  # times on one connection
LOOPS = {"uvloop": "/uvloop/loop", "gevent": "/gevent/"}
SITE_PACKAGES = re.compile(r"/.*/(?:site|dist)-packages(?=/)")


@dataclass(frozen=True)
class PreflightResult:
    """What was seen of a stack before its first trial, and why it gets none, if so."""

    identity: Identity | None = None
    reason: Reason | None = None
    words: str = ""  # the reason in full
    # what it does not hold as declared: it bars the arms that have as many users waiting for it, and no others
    faults: tuple[CapacityFault, ...] = ()

    def against(self, wait: Wait | None, users: int) -> Reason | None:
        """Say why an arm with so many users, who wait for this, may not be timed."""
        for fault in self.faults:
            if fault.wait == wait and fault.k <= users:
                got = " ".join(fault.found.got.split())
                return Reason("overlap", f"{fault.found.asked}: declared {fault.found.expected}, but {got}")
        return self.reason


def check_variant(runtime: Runtime, service: Service, users: Mapping[Wait, int]) -> PreflightResult:
    """Check a running stack against contract and manifest; `users` says how many will wait at once, by kind of wait."""
    for difference in spot_check(service):
        reason = Reason("contract", f"another answer than the contract's to {difference.asked}")
        return PreflightResult(None, reason, f"it breaks the contract:\n{difference}")
    seen = observe(runtime, service)
    if found := list(differences(seen, service)):
        reason = Reason("identity", "; ".join(found))
        return PreflightResult(seen, reason, reason.detail)
    return PreflightResult(seen, faults=tuple(spot_overlap(service, users)))


def observe(runtime: Runtime, service: Service) -> Identity:
    """Observe a running stack: from outside where possible, else by its own word; UserError if it is silent."""
    pids = runtime.pids(service.stack.name)
    seen = census(pids)
    told: dict[str, Any] = {}
    server: str | None = None
    kept = True
    with Client(service) as connection:
        for number in range(ASKED):
            try:
                answer = connection.ask(Request("GET", "/"))
            except NoAnswer as error:
                if number == 0:
                    raise UserError(f"{service.stack.name} does not answer GET /: {error}") from None
                kept = False
                break
            told, server = orjson.loads(answer.body), answer.header("server")
    return Identity(
        processes=seen.processes if pids else None,
        threads=seen.threads if pids else None,
        loop=loop_of(pids),
        server=server,
        versions={name: str(version) for name, version in told.get("versions", {}).items()},
        installed=installed(pids, service.stack.packages),
        keep_alive=kept,
        db_sessions=sessions(runtime, service.stack.name),
    )


def differences(seen: Identity, service: Service) -> Iterator[str]:
    """List where what was seen differs from manifest and lock; what could not be seen is passed over."""
    stack, settings = service.stack, service.settings
    due = stack.processes_at(settings)
    if seen.processes is not None and seen.processes != due:
        yield f"{seen.processes} processes run where the manifest says {due}"
    if stack.identity.loop is not None and seen.loop is not None and seen.loop not in stack.identity.loop:
        yield f"the event loop is {seen.loop}, the manifest says {stack.identity.loop}"
    locked = stack.locked()
    for name in stack.packages:
        if seen.versions.get(name) not in locked.get(name, set()):
            wanted = " or ".join(sorted(locked.get(name, {"none"})))
            yield f"{name} {seen.versions.get(name)} runs where the lock says {wanted}"
        elif name in seen.installed and seen.versions[name] not in seen.installed[name]:
            yield f"{name} {' and '.join(seen.installed[name])} is there where the stack says {seen.versions[name]}"
    if not seen.keep_alive:
        yield "a connection is closed after its first answer: keep-alive does not hold"
    most = int(settings.get("workers", 1)) * int(settings.get("db_pool", 0))
    if seen.db_sessions > most:
        yield f"{seen.db_sessions} database sessions are open where DB_POOL × WORKERS allows {most}"


def loop_of(pids: list[int]) -> str | None:
    """Name the event loop by the libraries that are mapped, `asyncio` if none of theirs is; None if nothing is seen."""
    files = [file for pid in pids for file in mapped(pid)]
    if not files:
        return None
    return next((loop for loop, sign in LOOPS.items() if any(sign in file for file in files)), "asyncio")


def installed(pids: list[int], packages: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for pid in pids:
        for place in {match[0] for file in mapped(pid) if (match := SITE_PACKAGES.match(file))}:
            for directory in Path(f"/proc/{pid}/root{place}").glob("*.dist-info"):
                name, _, version = directory.stem.rpartition("-")
                found.setdefault(re.sub("[-_.]+", "-", name).lower(), set()).add(version)
    return {name: sorted(found[name]) for name in packages if name in found}


def mapped(pid: int) -> set[str]:
    """List the files that a process has mapped into memory; none where that cannot be seen."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return set()
    return {columns[5] for line in lines if len(columns := line.split(maxsplit=5)) == 6}
