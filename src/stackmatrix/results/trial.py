"""`trials.jsonl`: one timed window of one arm."""

from dataclasses import dataclass, field

from stackmatrix.load.latency import Latency
from stackmatrix.results.reasons import Reason


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """What the answers imply, and what was counted on the other side."""

    what: str  # "SQL statements", "bytes from Nginx" and so on, as `measure/ledger.py` lists them
    implied: int  # by the answers
    counted: int | None  # by the other side; None where it cannot be asked
    slack: int = 0  # how far the two may differ honestly, for requests that were cut off in flight
    binding: bool = True  # False if the variant deliberately does different work; the count is shown but not checked
    at_least: bool = False  # honest work may count more than is implied, and never less

    @property
    def balanced(self) -> bool | None:
        """Tell whether the two sides agree; None when the other side could not be asked, or need not."""
        if self.counted is None or not self.binding:
            return None
        more = self.counted - self.implied
        return more >= 0 and (self.at_least or more <= self.slack)


@dataclass(frozen=True, slots=True)
class Errors:
    """Requests that failed in the window, by how."""

    status: int = 0  # another status than the right one
    body: int = 0  # the right status with another body
    timeout: int = 0  # no answer within the request's limit
    connect: int = 0  # no connection could be opened
    closed: int = 0  # the connection was closed or reset before the answer was complete
    protocol: int = 0  # what came was not HTTP/1.1

    @property
    def total(self) -> int:
        return self.status + self.body + self.timeout + self.connect + self.closed + self.protocol

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(*(getattr(self, name) + getattr(other, name) for name in Errors.__slots__))

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name in Errors.__slots__ if (count := getattr(self, name))) or "none"


@dataclass(frozen=True, slots=True)
class Failure:
    """Requests that failed alike, and a sample: the one in the middle of them by how long it took."""

    ending: str  # as `Errors` names it
    status: int  # of the answer; 0 when no head came
    count: int
    kind: str  # of the sample's request: the workload's name
    after_ms: float  # from when the sample was sent, or was due where it never was, until it had failed


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds that the servers used in the window; None where it cannot be read."""

    stack: float | None = None
    postgres: float | None = None
    nginx: float | None = None
    delay: float | None = None

    @property
    def upstreams(self) -> float | None:
        parts = (self.postgres, self.nginx, self.delay)
        return None if any(part is None for part in parts) else sum(part for part in parts if part is not None)


@dataclass(frozen=True, slots=True)
class ToolSays:
    """What another tool than the project's own generator said of its run."""

    tool: str
    version: str
    command: str  # as one would type it
    requests: int  # all that it counts in its rate
    seconds: float
    rps: float
    notes: list[str]  # what it does not measure, or measures otherwise


@dataclass(frozen=True, slots=True)
class ClientSide:
    """What the client saw of one trial, by the project's own generator or by another tool."""

    warmup_s: float = 0.0  # as it was ended: when throughput held
    window_start: float = 0.0  # CLOCK_MONOTONIC seconds, as the instants in the records are
    window_s: float = 0.0  # the window begins at `window_start` and is so long
    offered: int = 0  # requests due in the window
    answered: int = 0  # expected answers that ended in it
    # the same with each answer counted by the share of its time that lies in the window: what goodput and CPU per
    # request rest on; None in runs that were made before it was kept
    answers: float | None = None
    unfinished: int = 0  # requests due before its end that had not ended by then
    goodput: float = 0.0  # expected answers per second
    little: float | None = None  # X(R+Z)/N of a closed loop: 1 when nothing was lost
    # goodput of the first and of the second half; None where too much was under way at the end to tell
    halves: tuple[float, float] | None = None
    errors: Errors = field(default_factory=Errors)  # of the window's requests
    errors_outside: Errors = field(default_factory=Errors)  # requests that failed before or after the window
    # the same requests by ending and status, most first; none of another tool, or in runs made before they were kept
    failures: list[Failure] = field(default_factory=list)
    failures_outside: list[Failure] = field(default_factory=list)
    even: bool = False  # whether the window's answers came in an even stream, so that counting them is enough
    # the longest times in the window, in s, in which requests were under way and none ended, longest first; the second
    # counts in full where the window's edge cuts it; None where too few answers came to tell
    gaps_s: tuple[float, float] | None = None
    early: int = 0  # right answers of the whole trial whose first byte came before the wait that they stand for
    fastest_ms: float | None = None  # from the request's last byte to the first of any right answer
    first_byte_p50_ms: float | None = None  # of the expected answers in the window
    first_answer_s: float | None = None  # from the beginning of the load to the first right answer, warm-up included
    stuck: int = 0  # requests without an answer at the very end, after ten times as long as the slowest answer took
    # of the expected answers; a percentile needs ten records beyond it
    latency_ms: Latency = field(default_factory=Latency)
    bytes: int = 0  # of the expected answers' bodies
    cpu_s: float | None = None  # CPU seconds that the generator or tool used in the window
    connections: int = 0  # that the generator opened
    reconnects: int = 0  # connections that replaced another one
    generator_share: float | None = None  # of its core, by the generator's busiest process
    drift_p99_ms: float | None = None  # how late the latest 1 % of requests left
    right: int = 0  # right answers of the whole trial, which is what the ledger is about
    records: str | None = None  # the file with a row per request, in the run's directory; None where a tool keeps none
    tool: ToolSays | None = None  # None when the project's own generator offered the load

    @property
    def window_end(self) -> float:
        """When the window closed, on the clock of `window_start`."""
        return self.window_start + self.window_s


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the kernel counted in the window; None where it cannot be read.

    The first five are of the stack's network namespace. A container has its own; natively all programs of the machine
    share one, and whatever they do to it is counted too.
    """

    listen_overflows: int | None = None  # connections that were turned away because the accept queue was full
    listen_drops: int | None = None  # connections that were turned away for whatever reason
    syn_retransmits: int | None = None  # requests for a connection that were sent again
    retransmits: int | None = None  # segments that were sent again, those among them
    resets: int | None = None  # established connections that were reset
    # acknowledgements that were held back for 40 ms or so, in the generator's namespace: who gets an answer sends them
    delayed_acks: int | None = None
    voluntary_switches: int | None = None  # times that a thread of the stack gave up its core; of threads that live on
    involuntary_switches: int | None = None  # likewise, times that its core was taken from it
    # system calls of the stack's processes, on files and sockets alike; send and recv are not counted
    reads: int | None = None
    writes: int | None = None


@dataclass(frozen=True, slots=True)
class ServerSide:
    """What was seen of the stack, its upstreams and the machine during one trial."""

    cpu_s: Cpu = field(default_factory=Cpu)
    # the most anonymous memory of the stack that was sampled; page cache is not counted
    memory_mib: float | None = None
    memory_grown_bytes: int | None = None  # from edge to edge of the window
    threads: int | None = None  # the most that were seen of the stack, from outside
    processes: int | None = None  # likewise
    started_processes: int = 0
    # processes of the stack that came and went between the trial's beginning and the window's end
    ended_processes: int = 0
    # periods in which the kernel held a stack or upstream back for its CPU quota, where there were any
    throttled: dict[str, int] = field(default_factory=dict)
    # processes that the kernel killed for want of memory, where there were any
    oom_kills: dict[str, int] = field(default_factory=dict)
    db_sessions: int | None = None  # of the stack, after the trial
    new_db_sessions: int = 0  # database sessions that were opened in the whole trial
    # seconds that the database itself counted as spent on statements, in the whole trial
    database_s: float | None = None
    # the most calls that the delay server held at the same time, in the whole trial
    upstream_in_flight: int | None = None
    upstream_call_s: float | None = None  # the mean over the trial's calls by the delay server's own clock
    # when the window opened, the most first; None where that cannot be seen, or a router stands before the workers
    connections_per_worker: list[int] | None = None
    foreign_share: float | None = None  # share of the stack's cores that went to anything but the stack
    steal_share: float = 0.0  # of the CPU time, by the machine's host
    kernel: Kernel = field(default_factory=Kernel)


@dataclass(frozen=True, slots=True)
class Trial:
    """One timed window of one arm: what its client saw, what was seen of its servers, and whether the two agree."""

    id: str
    arm: str
    round: int  # from 0
    attempt: int  # from 0; each repeat of a round is one more
    started: str  # UTC, ISO 8601
    client: ClientSide = field(default_factory=ClientSide)
    server: ServerSide = field(default_factory=ServerSide)
    ledger: list[LedgerLine] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)  # why the trial must not count; none when it passed every gate

    def per_answer(self, amount: float | None) -> float | None:
        """Divide what was counted in the window by its expected answers."""
        answers = self.client.answered if self.client.answers is None else self.client.answers
        return None if amount is None or not answers else amount / answers

    def per_right(self, count: float | None) -> float | None:
        """Divide what was counted in the whole trial by all of its right answers."""
        return None if count is None or not self.client.right else count / self.client.right

    def cpu_us(self, seconds: float | None) -> float | None:
        """Convert seconds of CPU in the window to µs per expected answer."""
        return self.per_answer(None if seconds is None else seconds * 1e6)

    @property
    def stack_cpu_us(self) -> float | None:
        """The stack's CPU-µs per expected answer."""
        return self.cpu_us(self.server.cpu_s.stack)
