"""Count what a request costs in figures that neighbours do not move: user instructions and system calls.

The stack runs under valgrind's cachegrind, once for N requests and once for 4 N over one connection; the difference of
the totals is that of 3 N requests alone, without the start. Seen on a minimal FastAPI endpoint on a busy machine: two
runs differ by 0.2 %, another hash seed by 0.1 %.
"""

import http.client
import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from stackmatrix.catalog.stacks import Variant
from stackmatrix.catalog.workloads import Workload
from stackmatrix.errors import UserError
from stackmatrix.linux import io_of
from stackmatrix.results.compare import WorkCount
from stackmatrix.runtime.base import Service
from stackmatrix.runtime.native.runtime import NativeRuntime

VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--trace-children=yes")
MORE = 4  # times as many requests in the second count
WARM = 20  # requests before any that counts: what is made once is made in both counts
LEAST, MOST = 5, 300  # requests of the first count, and MOST of the count of system calls
COUNT_S = 3.0  # that the first count should take
SUMMARY = re.compile(r"^summary: ([0-9]+)", re.MULTILINE)


def count_work(
    runtime: NativeRuntime, variants: Sequence[Variant], workload: Workload, say: Callable[[str], None]
) -> list[WorkCount]:
    """Count one workload on each variant, with as many requests on each; UserError when valgrind is missing."""
    if shutil.which(VALGRIND[0]) is None:
        raise UserError("--work counts instructions with valgrind, which is not installed: apt install valgrind")
    number: int | None = None
    found: list[WorkCount] = []
    for variant in variants:
        say(f"counting the work of {variant.label} under {workload.name}")
        number = number or enough(runtime, variant, workload)
        few, many = (instructions(runtime, variant, workload, times * number) for times in (1, MORE))
        more = (MORE - 1) * number
        found.append(WorkCount(variant.label, (many - few) / more, system_calls(runtime, variant, workload), more))
    return found


def enough(runtime: NativeRuntime, variant: Variant, workload: Workload) -> int:
    """Choose the requests of the first count by how long some of them take."""
    with TemporaryDirectory() as scratch, under_valgrind(runtime, variant, Path(scratch)) as service:
        began = time.monotonic()
        ask(service, workload, LEAST)
        each_s = (time.monotonic() - began) / LEAST
    return min(MOST, max(LEAST, int(COUNT_S / each_s)))


def instructions(runtime: NativeRuntime, variant: Variant, workload: Workload, number: int) -> int:
    """Start the variant under valgrind, ask it so many requests, end it, and add up all its processes."""
    runtime.reset_notes()
    with TemporaryDirectory() as scratch:
        with under_valgrind(runtime, variant, Path(scratch)) as service:
            ask(service, workload, WARM + number)
        return instructions_in(Path(scratch), variant)


def system_calls(runtime: NativeRuntime, variant: Variant, workload: Workload) -> float | None:
    """Count reads and writes of a request, without valgrind, which has its own; None where they cannot be seen."""
    runtime.reset_notes()
    with runtime.service(variant) as service:
        ask(service, workload, WARM)
        before = io_of(runtime.pids(variant.stack.name))
        ask(service, workload, MOST)
        after = io_of(runtime.pids(variant.stack.name))
    if before is None or after is None:
        return None
    return (after.reads + after.writes - before.reads - before.writes) / MOST


def under_valgrind(runtime: NativeRuntime, variant: Variant, scratch: Path) -> AbstractContextManager[Service]:
    program = (*VALGRIND, f"--cachegrind-out-file={scratch}/%p", f"--log-file={scratch}/log.%p")
    return runtime.under(variant, program, {"PYTHONHASHSEED": "0"})


def instructions_in(scratch: Path, variant: Variant) -> int:
    """Add up what cachegrind wrote of each process; UserError when there is nothing."""
    totals = [int(found[1]) for file in scratch.glob("[0-9]*") if (found := SUMMARY.search(file.read_text()))]
    if not totals:
        raise UserError(f"{variant.label} does not run under valgrind: nothing was counted")
    return sum(totals)


def ask(service: Service, workload: Workload, number: int) -> None:
    """Send so many requests over one connection; UserError for an answer that is not right."""
    client = http.client.HTTPConnection(service.host, service.port, timeout=120)
    try:
        for request in islice(cycle(workload.requests()), number):
            client.request(request.method, request.target, request.body, dict(request.headers))
            answer = client.getresponse()
            if not request.expected.matches(answer.status, answer.read()):
                raise UserError(f"{service.variant.label}: {request} was not answered rightly under valgrind")
    finally:
        client.close()
