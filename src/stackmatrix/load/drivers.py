"""Who sends the next request when: users that wait for their answers (closed loop), or arrivals that do not (open)."""

import asyncio
import heapq
import itertools
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine
from time import monotonic as clock
from typing import Any, Final

from stackmatrix.load.job import Closed, LoadJob, Open, Prepared, arrivals, even_share, prepared
from stackmatrix.load.recorder import NEVER, Ending, Recorder
from stackmatrix.load.timer import alarm
from stackmatrix.load.wire import Connection, Head

CONNECTING_AT_ONCE: Final = 128  # so that thousands of users do not overflow the server's listen queue
BACKOFF_S: Final = 0.01  # a user's wait after a failed connection, doubled each time
DOUBLINGS: Final = 7  # to 1.28 s
GRAIN_S: Final = 0.0001  # arrivals closer together than this leave together: it bounds the wake-ups per second


class Driver(ABC):
    """Drive a load: open connections, time requests out, end; the two loops add when to send."""

    def __init__(self, job: LoadJob, host: str, recorder: Recorder, shard: int, shards: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.job = job
        self.recorder = recorder
        self.connections: set[Connection] = set()
        self.stop_at = math.inf  # no request is due from this instant on
        self.opened_count = 0
        self.refused = 0
        self.peak = 0
        self.queue_max = 0
        self._host = host
        self._heads: dict[bytes, Head] = {}
        self._draw = prepared(job, shard, shards).__next__
        self._connecting = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm = alarm(self.loop, self._ring)
        self._grain = min(max(job.timeout_s / 20, 0.01), 0.25)
        self._sweeper = self.loop.call_later(self._grain, self._sweep)

    @abstractmethod
    async def prepare(self) -> None:
        """Open what must be open before the load begins; OSError when the server cannot be reached."""

    @abstractmethod
    def start(self, at: float) -> None:
        """Begin the load at this instant."""

    @abstractmethod
    def _ring(self) -> None:
        """Send what is due."""

    @abstractmethod
    def opened(self, connection: Connection, now: float) -> None:
        self.connections.add(connection)
        self.opened_count += 1
        self.peak = max(self.peak, len(self.connections))

    @abstractmethod
    def idle(self, connection: Connection, now: float) -> None:
        """Take note that the connection's request has its row, and that it is open for the next."""

    @abstractmethod
    def gone(self, connection: Connection, now: float, *, failed: bool) -> None:
        """Take note that the connection is closed, and that its last request (if any) has its row."""
        self.connections.discard(connection)

    @property
    def busy(self) -> int:
        return sum(connection.request is not None for connection in self.connections)

    @property
    def queued(self) -> int:
        return 0

    def owes(self, end: float) -> bool:
        """Tell whether a request that was due before `end` is still under way."""
        return any(connection.request is not None and connection.scheduled < end for connection in self.connections)

    def finish(self) -> None:
        """End everything; what is still under way is recorded as unfinished."""
        self.stop_at = 0.0
        self._alarm.close()
        self._sweeper.cancel()
        for task in self._tasks:
            task.cancel()
        for connection in self.connections:
            connection.leave()
        self.connections.clear()

    async def _connect(self, connection: Connection) -> None:
        """Open a connection, which then calls `opened`; OSError when it cannot be opened in time."""
        try:
            async with self._connecting, asyncio.timeout(self.job.timeout_s):
                await self.loop.create_connection(lambda: connection, self._host, self.job.port)
        except OSError:
            self.refused += 1
            raise

    def _connection(self) -> Connection:
        return Connection(self, self.recorder, self._heads)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _sweep(self) -> None:
        """Fail the requests whose time is out; one timer for all instead of one each."""
        now = clock()
        latest = now - self.job.timeout_s
        for connection in list(self.connections):
            if connection.request is not None and connection.scheduled <= latest:
                connection.fail(Ending.TIMEOUT, now)
        self._sweeper = self.loop.call_later(self._grain, self._sweep)


class User:
    """One user of a closed loop: the instant of the next request, and the connection that it will go over."""

    __slots__ = ("connection", "due", "failures", "waits")

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.due = NEVER
        self.waits = False  # whether the user is in the queue of those who wait for their instant
        self.failures = 0  # connections in a row that failed or brought nothing


class Users(Driver):
    """Closed loop: every user has one request under way, or thinks, or gets a connection."""

    def __init__(self, job: LoadJob, load: Closed, host: str, recorder: Recorder, shard: int, shards: int) -> None:
        super().__init__(job, host, recorder, shard, shards)
        self._think = load.think_s
        self._ramp = load.ramp_s
        self._gap = load.ramp_s / load.users * shards
        self._first_at = load.ramp_s / load.users * shard
        self._users = [User() for _ in range(even_share(load.users, shard, shards))]
        self._owners: dict[Connection, User] = {}
        self._waiting: list[tuple[float, int, User]] = []
        self._order = itertools.count().__next__

    async def prepare(self) -> None:
        first, *rest = self._users
        await self._connect_user(first)
        if not self._ramp:
            await asyncio.gather(*(self._connect_user(user) for user in rest), return_exceptions=True)

    def start(self, at: float) -> None:
        """Let every user begin, at this instant or in turn over the ramp."""
        for place, user in enumerate(self._users):
            self._wait(user, at + self._first_at + place * self._gap)

    def opened(self, connection: Connection, now: float) -> None:
        """Send the request that the connection was opened for; before the start there is none."""
        super().opened(connection, now)
        user = self._owners[connection]
        user.connection = connection
        if user.due <= now < self.stop_at:
            connection.send(self._draw(), user.due)

    def idle(self, connection: Connection, now: float) -> None:
        """Send the user's next request, or let the user think first."""
        if now >= self.stop_at:
            return
        if self._think:
            self._wait(self._owners[connection], now + self._think)
        else:
            connection.send(self._draw(), now)

    def gone(self, connection: Connection, now: float, *, failed: bool) -> None:
        """Let the user go on over another connection, after a wait when this one failed."""
        super().gone(connection, now, failed=failed)
        user = self._owners.pop(connection)
        user.connection = None
        if connection.answered:
            user.failures = 0
        if user.waits or now >= self.stop_at:
            return
        if failed:
            self._back_off(user, now)
        else:
            self._wait(user, now + self._think)

    def _back_off(self, user: User, now: float) -> None:
        """Keep a user who cannot get through from spinning."""
        self._wait(user, now + BACKOFF_S * 2 ** min(user.failures, DOUBLINGS))
        user.failures += 1

    def _wait(self, user: User, until: float) -> None:
        user.due = until
        user.waits = True
        heapq.heappush(self._waiting, (until, self._order(), user))
        if self._waiting[0][2] is user:
            self._alarm.set(until)

    def _ring(self) -> None:
        now = clock()
        while self._waiting and self._waiting[0][0] <= now:
            user = heapq.heappop(self._waiting)[2]
            user.waits = False
            if now >= self.stop_at:
                continue
            if user.connection is not None and user.connection.usable:
                user.connection.send(self._draw(), user.due)
            elif user.connection is None:
                self._spawn(self._open(user))
        if self._waiting:
            self._alarm.set(max(self._waiting[0][0], now + GRAIN_S))

    async def _open(self, user: User) -> None:
        try:
            await self._connect_user(user)
        except OSError:
            now = clock()
            self.recorder.take(Ending.CONNECT, self._draw().kind, user.due, end=now)
            self._back_off(user, now)

    async def _connect_user(self, user: User) -> None:
        connection = self._connection()
        self._owners[connection] = user
        try:
            await self._connect(connection)
        except OSError:
            self._owners.pop(connection, None)
            raise


class Arrivals(Driver):
    """Open loop: requests come when they are due; the pool grows to its cap, then they queue in the client."""

    def __init__(self, job: LoadJob, load: Open, host: str, recorder: Recorder, shard: int, shards: int) -> None:
        super().__init__(job, host, recorder, shard, shards)
        self._cap = even_share(load.connections, shard, shards)
        self._arrivals = arrivals(load, job.seed, shard, shards)
        self._began = NEVER
        self._due = NEVER
        self._pool: list[Connection] = []
        self._queue: deque[tuple[float, Prepared]] = deque()
        self._opening = 0

    @property
    def queued(self) -> int:
        return len(self._queue)

    def owes(self, end: float) -> bool:
        """Tell whether a request that was due before `end` is still under way, or queues."""
        return (bool(self._queue) and self._queue[0][0] < end) or super().owes(end)

    async def prepare(self) -> None:
        await self._connect(self._connection())

    def start(self, at: float) -> None:
        self._began = at
        self._due = at + next(self._arrivals)
        self._alarm.set(self._due)

    def opened(self, connection: Connection, now: float) -> None:
        super().opened(connection, now)
        self.idle(connection, now)

    def idle(self, connection: Connection, now: float) -> None:  # noqa: ARG002
        if self._queue:
            due, request = self._queue.popleft()
            connection.send(request, due)
        else:
            self._pool.append(connection)

    def gone(self, connection: Connection, now: float, *, failed: bool) -> None:
        """Forget the connection; another is opened when requests wait."""
        super().gone(connection, now, failed=failed)
        if connection in self._pool:
            self._pool.remove(connection)
        self._grow()

    def _ring(self) -> None:
        now = clock()
        while self._due <= now and self._due < self.stop_at:
            self._offer(self._due, self._draw())
            self._due = self._began + next(self._arrivals)
        if self._due < self.stop_at:
            self._alarm.set(max(self._due, now + GRAIN_S))

    def _offer(self, due: float, request: Prepared) -> None:
        """Send a request over an open connection, the last used first, or queue it."""
        while self._pool:
            connection = self._pool.pop()
            if connection.usable:
                connection.send(request, due)
                return
        self._queue.append((due, request))
        self.queue_max = max(self.queue_max, len(self._queue))
        self._grow()

    def _grow(self) -> None:
        """Open a connection for each request that waits, up to the cap."""
        while self._opening < min(len(self._queue), self._cap - len(self.connections)):
            self._opening += 1
            self._spawn(self._open())

    async def _open(self) -> None:
        try:
            await self._connect(self._connection())
        except OSError:
            if self._queue:
                due, request = self._queue.popleft()
                self.recorder.take(Ending.CONNECT, request.kind, due, end=clock())
        finally:
            self._opening -= 1
        self._grow()

    def _sweep(self) -> None:
        """Fail the requests whose time is out, those that still queue included."""
        super()._sweep()
        now = clock()
        while self._queue and self._queue[0][0] + self.job.timeout_s <= now:
            due, request = self._queue.popleft()
            self.recorder.take(Ending.TIMEOUT, request.kind, due, end=now)

    def finish(self) -> None:
        """End everything; what is still under way or queued is recorded as unfinished."""
        super().finish()
        for due, request in self._queue:
            self.recorder.take(Ending.UNFINISHED, request.kind, due)
        self._queue.clear()


def driver(job: LoadJob, host: str, recorder: Recorder, shard: int, shards: int) -> Driver:
    if isinstance(job.load, Closed):
        return Users(job, job.load, host, recorder, shard, shards)
    return Arrivals(job, job.load, host, recorder, shard, shards)
