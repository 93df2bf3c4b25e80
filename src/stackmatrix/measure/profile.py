"""Draw a flame graph of an arm under load: py-spy records from outside the stack, in an extra trial.

It shows what the interpreter was at: whichever thread held its lock at each of 100 instants a second. Waiting is not
in it, nor is the time in system calls and extensions that let go of the lock.
"""

import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stackmatrix.catalog.workloads import Workload
from stackmatrix.errors import UserError
from stackmatrix.load.generator import Edge
from stackmatrix.measure.trial import Bench, extra_fields, extra_trial
from stackmatrix.meter.processes import cpu_seconds
from stackmatrix.results.directory import writing
from stackmatrix.results.explain import Profiled
from stackmatrix.results.plan import Arm, Timing
from stackmatrix.runtime.base import Service

GRAPHS_DIRECTORY = "profiles"
RATE_HZ = 100
LEAST_SAMPLED_S = 3.0  # 300 samples; attaching takes a part of a second
WRITE_GRACE_S = 10  # for py-spy to write what it saw
SAMPLE_COUNT = re.compile(r"Samples: (\d+)")
SIGNS_OF_DENIAL = ("permission denied", "operation not permitted", "eperm", "requires root")


class TracingDeniedError(UserError):
    """Says that this user may not trace the stack's processes."""


class PySpy:
    def __init__(self, pid: int, file: Path, seconds: float, cpus: Sequence[int]) -> None:
        """Start it in the file's directory: the graph's title is the command, which is to name no directory."""
        command = ["py-spy", "record", "--pid", str(pid), "--output", file.name, "--rate", str(RATE_HZ)]
        command += ["--nonblocking"]  # what pauses the process costs more than what now and then reads a torn stack
        command += ["--gil"]  # only what runs: in a container py-spy cannot tell which threads wait
        self._process = subprocess.Popen(
            [*command, "--duration", str(math.ceil(seconds) + WRITE_GRACE_S)],  # should nobody be left to stop it
            executable=Path(sys.executable).with_name("py-spy"),
            cwd=file.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,  # Ctrl-C is the harness's business
        )
        os.sched_setaffinity(self._process.pid, cpus)

    def stop(self) -> str:
        """Have it write what it saw; return what it said."""
        self._process.send_signal(signal.SIGINT)
        try:
            return self._process.communicate(timeout=WRITE_GRACE_S)[0]
        except subprocess.TimeoutExpired:
            self.kill()
            return "it did not end"

    def kill(self) -> None:
        """End it at once; what it traced goes on."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def profile(bench: Bench, service: Service, arm: Arm, workload: Workload, timing: Timing) -> Profiled:
    """Record the busiest process under the arm's load; TracingDeniedError, or UserError if a server is gone."""
    name = service.stack.name
    file = bench.directory.path / GRAPHS_DIRECTORY / f"{arm.file_name}.svg"
    with writing(file):
        file.parent.mkdir(exist_ok=True)
        file.unlink(missing_ok=True)
    long = Timing(timing.warmup_s, max(timing.window_s, LEAST_SAMPLED_S))
    before = {pid: cpu_seconds([pid]) for pid in bench.runtime.pids(name)}
    spies: list[PySpy] = []
    said: list[str] = []

    def at_edge(edge: Edge) -> None:
        if edge == "end":
            said.extend(spy.stop() for spy in spies)
        elif (pid := busiest(bench.runtime.pids(name), before)) is not None:
            spies.append(PySpy(pid, file, long.window_s, bench.cores(service).generator))

    try:
        trial = extra_trial(bench, service, arm, workload, long, at_edge)
    finally:
        for spy in spies:
            spy.kill()
    found = SAMPLE_COUNT.search("".join(said))
    samples = int(found[1]) if found else 0
    drawn = file.exists()
    return Profiled(
        **extra_fields(trial),
        missing=None if drawn else why_no_graph(said),
        file=f"{GRAPHS_DIRECTORY}/{file.name}" if drawn else None,
        samples=samples,
    )


def busiest(pids: Sequence[int], before: Mapping[int, float]) -> int | None:
    """Find the process that used the most CPU since `before`; None where none can be seen."""
    return max(pids, key=lambda pid: cpu_seconds([pid]) - before.get(pid, 0.0), default=None)


def why_no_graph(said: Sequence[str]) -> str:
    """Say why there is no graph; TracingDeniedError when there will never be one."""
    if not said:
        return "its processes cannot be seen from here; profile where the engine's processes are this machine's"
    words = " ".join("".join(said).split())
    if any(sign in words.lower() for sign in SIGNS_OF_DENIAL):
        raise TracingDeniedError("py-spy may not look into the stack's processes; run this as root")
    return f"py-spy recorded nothing: {words[-200:]}"
