"""wrk: a Lua script sends the job's own bytes and writes the counts as JSON."""

import json
from collections.abc import Sequence
from typing import Any, Final

from stackmatrix.load.job import NUMBER_PLACE
from stackmatrix.load.latency import Latency
from stackmatrix.load.tools.base import BODIES_UNCHECKED, Left, LoadTool, Tally, ToolRun, nonzero, whole_s

CONSTANT: Final = """function wrk.format()
  return {request}
end
"""

# Every thread has a Lua of its own: `mine` numbers its requests so that no two threads share a number.
IN_TURN: Final = """local requests = {{
{requests}
}}
local threads, made = 0, 0
function setup(thread)
  thread:set("mine", threads)
  threads = threads + 1
end
function request()
  local number = mine + made * {threads}
  made = made + 1
  return table.concat(requests[number % #requests + 1], string.format("%010d", number))
end
"""

DONE: Final = """function done(summary, latency, requests)
  local errors = summary.errors
  local file = io.open("{result}", "w")
  file:write(string.format(
    '{{"us":%d,"requests":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}',
    summary.duration, summary.requests, errors.connect, errors.read, errors.write, errors.status, errors.timeout))
  file:close()
end
"""


class Wrk(LoadTool):
    """`wrk -s SCRIPT`."""

    name = "wrk"
    install = "apt-get install wrk"
    asks_version = ("--version", r"^wrk (\S+)")
    notes = (
        "latencies not measured: wrk corrects its histogram with its own mean, and that cannot be switched off",
        "a status below 400 counts as right",
        "no time-out ends a request: one that gets no answer is not counted",
        BODIES_UNCHECKED,
    )
    result = "wrk.json"

    def command(self, run: ToolRun) -> list[str]:
        threads = max(count for count in range(1, max(len(run.cpus), 1) + 1) if run.load.users % count == 0)
        requests = [request.encode(run.job.authority) for request in run.requests]
        script = run.write("wrk.lua", (lua(requests, threads) + DONE.format(result=self.result)).encode())
        arguments = f"-t {threads} -c {run.load.users} -d {run.seconds}s --timeout {whole_s(run.job.timeout_s)}s"
        return ["wrk", *arguments.split(), "-s", script, run.url(run.requests[0].target)]

    def read(self, run: ToolRun, left: Left) -> Tally:
        try:
            told: dict[str, Any] = json.loads((run.scratch / self.result).read_bytes())
            requests, seconds, timeouts = int(told["requests"]), told["us"] / 1e6, int(told["timeout"])
            closed = told["read"] + told["write"]
            failed = nonzero(status=told["status"], timeout=timeouts, connect=told["connect"], closed=closed)
            rps = requests / seconds
        except (OSError, ValueError, KeyError, ZeroDivisionError):
            raise self.unreadable(left) from None
        late = f"{timeouts} answers took longer than the time-out: wrk has them in its rate, and here they failed"
        return Tally(
            requests=requests,
            n=max(requests - told["status"] - timeouts, 0),
            failed=failed,
            seconds=seconds,
            rps=rps,
            latency=Latency(),
            records=None,
            notes=(*self.notes, late) if timeouts else self.notes,
        )


def lua(requests: Sequence[bytes], threads: int) -> str:
    """Write the script that sends; what is the same every time costs no Lua."""
    if len(requests) == 1 and NUMBER_PLACE not in requests[0]:
        return CONSTANT.format(request=quoted(requests[0]))
    tables = ("  {" + ", ".join(map(quoted, one.split(NUMBER_PLACE))) + "}" for one in requests)
    return IN_TURN.format(requests=",\n".join(tables), threads=threads)


def quoted(data: bytes) -> str:
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03}" for byte in data)
    return '"' + "".join(plain) + '"'
