"""Why a number is not to be trusted, and what to do about it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

ReasonKind = Literal[
    "errors",
    "stuck",
    "reconnects",
    "generator",
    "drift",
    "little",
    "unsteady",
    "stall",
    "neighbour",
    "steal",
    "disturbed",
    "throttled",
    "oom",
    "restart",
    "early",
    "ledger",
    "physics",
    "unequal",
    "identity",
    "overlap",
    "contract",
    "crash",
    "unfinished",
    "short",
    "untimed",
    "lacking",
]

REMEDIES: dict[ReasonKind, str] = {  # `{log}`: where the end of the stack's log is kept
    "errors": "read {log} and run ./scripts/check-contract.py; a failing stack has no speed",
    "stuck": "some requests are never answered while others are: read {log}; a body may be shorter than said",
    "reconnects": "the stack closes connections between requests: mend its keep-alive, or its limit of requests",
    "generator": "the generator was near its own limit: give it a core of its own or more shards",
    "drift": "requests left late: lower the rate, or give the generator a core of its own",
    "little": "throughput × latency does not add up to the users: lengthen the window (--duration)",
    "unsteady": "the stack was not warm, or something else ran: lengthen the window (--duration) and repeat",
    "stall": "the stack, an upstream or the machine stood still: read {log}, quiet the machine and repeat",
    "neighbour": "something else ran on the stack's core: quiet the machine and repeat",
    "steal": "the host took CPU time away: use a machine that is not shared",
    "disturbed": "somebody paused a container: leave them alone while a run is under way, and repeat",
    "throttled": "a CPU quota held the stack back: remove the container's limit",
    "oom": "the kernel killed a process for memory: raise the container's memory limit",
    "restart": "a process of the stack came or went under load: read {log}",
    "early": "the stack answers before it has done what was asked; look for shortened waits, caches and early heads",
    "ledger": "what was answered is not what was done elsewhere: the two sides are printed; the stack is not honest",
    "physics": "no such stack can do that: mend [capacity] in stack.toml, or find what the stack leaves out",
    "unequal": "the stacks do not do the same work: give this one a pool of database sessions that lasts",
    "identity": "what runs is not what the manifest says: mend stack.toml or the stack",
    "overlap": "run ./scripts/check-contract.py --only overlap, and mend [capacity] in stack.toml or what blocks",
    "contract": "run ./scripts/check-contract.py and mend the first difference",
    "crash": "the stack or an upstream died: read {log}, then go on with --resume",
    "untimed": "give the run more time, or go on with --resume",
    "unfinished": "lengthen the window (--duration): too few requests end in it",
    "short": "offer fewer --users, or lengthen the window (--duration) to three response times",
    "lacking": "install what the line names, or use --runtime docker; the other stacks are timed",
}

# what the machine or a short window did to a trial; every other kind speaks against the stack or the generator
NOISE: frozenset[ReasonKind] = frozenset(
    {"neighbour", "steal", "disturbed", "drift", "little", "unsteady", "stall", "unfinished"}
)

# what moves rates and latencies, and leaves CPU per request as it is
WALL_CLOCK: frozenset[ReasonKind] = frozenset({"neighbour", "steal", "drift", "little"})

OTHER_REMEDY = "another version of the harness gave this reason: see docs/method.md as of the run's revision"

if TYPE_CHECKING:
    AnyKind = ReasonKind
else:
    AnyKind = str  # a run on disk may know kinds that this harness does not, or no longer; they are shown as they are


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a number is not to be trusted; its kind carries the remedy."""

    kind: AnyKind
    detail: str  # what was seen, with its figures
    # the end of the stack's log, in the run's directory; two rounds in which the same was seen have one reason
    log: str | None = field(default=None, compare=False)

    @property
    def remedy(self) -> str:
        return self._template.replace("{log}", self.log or "the stack's log")

    @property
    def needs_log(self) -> bool:
        """Whether the remedy is to be found in the stack's log."""
        return "{log}" in self._template

    @property
    def _template(self) -> str:
        return REMEDIES.get(self.kind, OTHER_REMEDY)
