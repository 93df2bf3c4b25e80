"""wrk: a Lua script sends the plan's own bytes and writes the counts as JSON."""

import json
from typing import Any, Final

from stackmatrix.load.job import FRESH, Exchange
from stackmatrix.load.summary import Latency
from stackmatrix.load.tools import request
from stackmatrix.load.tools.base import UNCHECKED, Job, Left, Reading, Tool, counted, unread
from stackmatrix.load.tools.binary import version_by, whole_s

RESULT: Final = "wrk.json"

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

NOTES: Final = (
    "latencies not measured: wrk corrects its histogram with its own mean, and that cannot be switched off",
    "a status below 400 counts as right",
    "no time-out ends a request: one that gets no answer is not counted",
    UNCHECKED,
)


def command(job: Job) -> list[str]:
    """The command line, and its script."""
    threads = max(count for count in range(1, max(len(job.cpus), 1) + 1) if job.load.users % count == 0)
    script = job.write("wrk.lua", lua(job.exchanges, threads).encode())
    arguments = f"-t {threads} -c {job.load.users} -d {job.seconds}s --timeout {whole_s(job.plan.timeout_s)}s"
    return ["wrk", *arguments.split(), "-s", script, request.url(job.plan, request.filled(job.exchanges[0]).target)]


def lua(exchanges: tuple[Exchange, ...], threads: int) -> str:
    """The script; what is the same every time costs no Lua."""
    if len(exchanges) == 1 and FRESH not in exchanges[0].request:
        requests = CONSTANT.format(request=quoted(exchanges[0].request))
    else:
        tables = ("  {" + ", ".join(map(quoted, one.request.split(FRESH))) + "}" for one in exchanges)
        requests = IN_TURN.format(requests=",\n".join(tables), threads=threads)
    return requests + DONE.format(result=RESULT)


def quoted(data: bytes) -> str:
    """Any bytes as a Lua string."""
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03}" for byte in data)
    return '"' + "".join(plain) + '"'


def read(job: Job, left: Left) -> Reading:
    """What the script's `done` wrote."""
    try:
        told: dict[str, Any] = json.loads((job.scratch / RESULT).read_bytes())
        requests, seconds = int(told["requests"]), told["us"] / 1e6
        failed = counted(
            status=told["status"],
            timeout=told["timeout"],
            connect=told["connect"],
            closed=told["read"] + told["write"],
        )
        rps = requests / seconds
    except (OSError, ValueError, KeyError, ZeroDivisionError):
        raise unread("wrk", left) from None
    late = (f"{told['timeout']} answers took longer than the time-out: wrk has them in its rate, and here they failed",)
    return Reading(
        requests=requests,
        n=max(requests - told["status"] - told["timeout"], 0),
        failed=failed,
        seconds=seconds,
        rps=rps,
        latency=Latency(),
        records=None,
        notes=NOTES + late * bool(told["timeout"]),
    )


TOOL: Final = Tool("wrk", "apt-get install wrk", version_by("--version", r"^wrk (\S+)"), command, read)
