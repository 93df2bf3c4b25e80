"""The generator's own process: `python -m stackmatrix.load.worker`, a pickled job on stdin, records to a file.

After the job, both sides talk in lines of JSON. It says `{"ready": connections}`, then every 100 ms how far it is,
`{"complete": true}` once every request due before the window's end is over, and at last `{"done": {…}}`; or
`{"error": "…"}`. It is told `{"go": at}` when to begin, `{"end": at}` when the window ended, `{"rest": at}` to send
nothing more, and `{"quit": true}` to stop now; instants are CLOCK_MONOTONIC seconds. End of input is `quit`.
"""

import asyncio
import contextlib
import gc
import json
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic as clock
from typing import Final

from stackmatrix.linux import die_with
from stackmatrix.load.drivers import Driver, driver
from stackmatrix.load.job import Closed, LoadJob
from stackmatrix.load.recorder import Recorder

FLUSH_S: Final = 0.02
TICK_EVERY: Final = 5  # flushes
LINGER_S: Final = 0.005
SPARE_FILES: Final = 64


@dataclass(frozen=True, slots=True)
class ShardJob:
    job: LoadJob
    address: str
    shard: int
    shards: int
    records: Path
    cpu: int | None
    parent: int


class Control:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.go_at: asyncio.Future[float] = loop.create_future()
        self.end_at: asyncio.Future[float] = loop.create_future()
        self.rest_at: asyncio.Future[float] = loop.create_future()
        self.quit = False
        self.failure: OSError | None = None
        self._loop = loop
        self._partial = b""
        os.set_blocking(0, False)
        os.set_blocking(1, False)
        loop.add_reader(0, self._read)
        loop.add_signal_handler(signal.SIGTERM, self.stop)

    def _read(self) -> None:
        try:
            data = os.read(0, 65536)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(0)
            self.stop()
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))

    def _obey(self, order: dict[str, float]) -> None:
        if "quit" in order:
            self.stop()
        for name, future in (("go", self.go_at), ("end", self.end_at), ("rest", self.rest_at)):
            if name in order and not future.done():
                future.set_result(order[name])

    def stop(self, failure: OSError | None = None) -> None:
        """Stop now, whichever of the orders is still awaited."""
        self.quit = True
        self.failure = self.failure or failure
        for future in (self.go_at, self.end_at, self.rest_at):
            if not future.done():
                future.set_result(clock())


def say(**message: object) -> None:
    """Send the parent a message; do not wait for one that is gone, or does not listen."""
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        os.write(1, json.dumps(message).encode() + b"\n")


async def carry_out_job(mine: ShardJob) -> None:
    loop = asyncio.get_running_loop()
    control = Control(loop)
    recorder = Recorder(mine.records)
    load = driver(mine.job, mine.address, recorder, mine.shard, mine.shards)
    try:
        await load.prepare()
    except OSError as error:
        load.finish()
        say(error=f"no connection to {mine.job.host}:{mine.job.port}: {error_words(error)}")
        return
    gc.collect()
    gc.freeze()
    gc.disable()  # no request leaves cycles behind; a collection would be a pause in every latency under way
    ticks = Ticks(loop, load, control)
    say(ready=len(load.connections))
    load.start(await control.go_at)
    end = await control.end_at
    await until(lambda: not load.owes(end), control)
    say(complete=True)
    load.stop_at = await control.rest_at
    await until(lambda: not load.busy + load.queued, control)
    load.finish()
    ticks.stop()
    if control.failure is not None:
        raise control.failure
    recorder.close()
    os.set_blocking(1, True)
    say(
        done={
            "opened": load.opened_count,
            "refused": load.refused,
            "peak": load.peak,
            "strays": recorder.strays,
            "queue_max": load.queue_max,
        }
    )


async def until(over: Callable[[], bool], control: Control) -> None:
    while not control.quit and not over():
        await asyncio.sleep(LINGER_S)


class Ticks:
    """Moves the rows to the file now and then, and tells the parent how far the load is."""

    def __init__(self, loop: asyncio.AbstractEventLoop, load: Driver, control: Control) -> None:
        self._loop = loop
        self._load = load
        self._control = control
        self._turn = 0
        self._handle = loop.call_later(FLUSH_S, self._tick)

    def _tick(self) -> None:
        load = self._load
        try:
            load.recorder.flush()
        except OSError as error:
            self._control.stop(error)
            return
        self._turn += 1
        if self._turn % TICK_EVERY == 0:
            recorder = load.recorder
            progress = {"at": clock(), "ended": recorder.count, "failed": recorder.failed}
            say(tick=progress | {"under_way": load.busy, "queued": load.queued, "response_s": recorder.response_s})
        self._handle = self._loop.call_later(FLUSH_S, self._tick)

    def stop(self) -> None:
        self._handle.cancel()


def error_words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    return os.strerror(error.errno).lower() if error.errno else str(error)


def allow_files(wanted: int) -> None:
    """Raise the limit on open files to what so many connections need; ValueError when the system refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if wanted + SPARE_FILES > soft != resource.RLIM_INFINITY:
        if hard != resource.RLIM_INFINITY and wanted + SPARE_FILES > hard:
            raise ValueError(f"{wanted} connections need more open files than the limit of {hard}: raise `ulimit -n`")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + SPARE_FILES, hard))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which says what is to become of this
    mine: ShardJob = pickle.load(sys.stdin.buffer)
    load = mine.job.load
    die_with(mine.parent)
    if mine.cpu is not None:
        os.sched_setaffinity(0, {mine.cpu})
    try:
        allow_files(load.users if isinstance(load, Closed) else load.connections)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(carry_out_job(mine))
    except OSError as error:
        say(error=f"{mine.records}: {error_words(error)}")
    except ValueError as error:
        say(error=str(error))


if __name__ == "__main__":
    main()
