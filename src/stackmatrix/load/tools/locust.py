"""locust: one process of FastHttpUsers made from the job, who may think, and start one after another."""

import importlib.metadata
import json
import pickle
from pathlib import Path
from typing import Any

from stackmatrix.load import records
from stackmatrix.load.recorder import Ending
from stackmatrix.load.summary import count_errors, latency_ms
from stackmatrix.load.tools.base import BODIES_UNCHECKED, Left, LoadTool, Tally, ToolRun


class Locust(LoadTool):
    """`locust -f locustfile.py --json`."""

    name = "locust"
    install = "pip install locust"
    thinks = mixes = marks = True
    notes = (
        "its CPU has the start of Python in it",
        "requests under way at the end are dropped, and not counted",
        "its histogram has two digits: latencies are those of the rows",
        BODIES_UNCHECKED,
    )
    rows = "rows.npy"

    def version(self, binary: str) -> str:  # noqa: ARG002
        return importlib.metadata.version("locust")

    def command(self, run: ToolRun) -> list[str]:
        run.write("locustfile.py", Path(__file__).with_name("locustfile.py").read_bytes())
        run.write("job.pickle", pickle.dumps((run.job, run.scratch / self.rows)))
        rate = run.load.users / run.load.ramp_s if run.load.ramp_s else run.load.users
        arguments = f"--headless -u {run.load.users} -r {rate:g} -t {run.seconds}s".split()
        quiet = ["--json", "--only-summary", "--loglevel", "ERROR", "--exit-code-on-error", "0"]
        return ["locust", "-f", "locustfile.py", *arguments, "-H", run.url(), *quiet]

    def read(self, run: ToolRun, left: Left) -> Tally:
        try:
            kinds: list[dict[str, Any]] = json.loads(left.stdout)
            requests = sum(int(kind["num_requests"]) for kind in kinds)
            failures = sum(int(kind["num_failures"]) for kind in kinds)
            first = left.start - left.wall_offset  # a kind's own start is when its first request has ended
            last = max((kind["last_request_timestamp"] or first for kind in kinds), default=first)
            table = records.read_records(run.scratch / self.rows)
        except (ValueError, KeyError, TypeError, OSError):
            raise self.unreadable(left) from None
        in_batches = ("starts its users in batches, one a second",) * bool(run.load.ramp_s)
        return Tally(
            requests=requests,
            n=requests - failures,
            failed=count_errors(table),
            seconds=last - first,
            rps=requests / (last - first) if last > first else 0.0,
            latency=latency_ms(table[table["verdict"] == Ending.OK]),
            records=table,
            notes=self.notes + in_batches,
        )
