"""locust: one process of FastHttpUsers made from the plan, who may think, and start one after another."""

import importlib.metadata
import json
import pickle
from pathlib import Path
from typing import Any, Final

import numpy as np

from stackmatrix.load import records
from stackmatrix.load.recorder import Verdict
from stackmatrix.load.summary import latency_ms
from stackmatrix.load.tools import request
from stackmatrix.load.tools.base import UNCHECKED, Job, Left, Reading, Tool, unread

NOTES: Final = (
    "its CPU has the start of Python in it",
    "requests under way at the end are dropped, and not counted",
    "its histogram has two digits: latencies are those of the rows",
    UNCHECKED,
)


def command(job: Job) -> list[str]:
    """The command line, with its locustfile and the plan."""
    job.write("locustfile.py", Path(__file__).with_name("locustfile.py").read_bytes())
    job.write("plan.pickle", pickle.dumps((job.plan, job.records)))
    rate = job.load.users / job.load.ramp_s if job.load.ramp_s else job.load.users
    arguments = f"--headless -u {job.load.users} -r {rate:g} -t {job.seconds}s".split()
    quiet = ["--json", "--only-summary", "--loglevel", "ERROR", "--exit-code-on-error", "0"]
    return ["locust", "-f", "locustfile.py", *arguments, "-H", request.url(job.plan), *quiet]


def read(job: Job, left: Left) -> Reading:
    """Its JSON, and the rows that the locustfile wrote."""
    try:
        kinds: list[dict[str, Any]] = json.loads(left.stdout)
        requests = sum(int(kind["num_requests"]) for kind in kinds)
        failures = sum(int(kind["num_failures"]) for kind in kinds)
        first = left.start - left.wall_offset  # a kind's own start is when its first request has ended
        last = max((kind["last_request_timestamp"] or first for kind in kinds), default=first)
        table = records.load(job.records)
    except (ValueError, KeyError, TypeError, OSError):
        raise unread("locust", left) from None
    counts = np.bincount(table["verdict"], minlength=len(Verdict))
    in_batches = ("starts its users in batches, one a second",) * bool(job.load.ramp_s)
    return Reading(
        requests=requests,
        n=requests - failures,
        failed={verdict.name.lower(): int(counts[verdict]) for verdict in Verdict if verdict and counts[verdict]},
        seconds=last - first,
        rps=requests / (last - first) if last > first else 0.0,
        latency=latency_ms(table[table["verdict"] == Verdict.OK]),
        records=table,
        notes=NOTES + in_batches,
    )


TOOL: Final = Tool(
    "locust",
    "remove .venv, and ./scripts/load.py makes it anew",
    lambda _binary: importlib.metadata.version("locust"),
    command,
    read,
    thinks=True,
    mixes=True,
    marks=True,
)
