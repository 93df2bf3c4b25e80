"""How figures and things are called inside a sentence."""

from collections.abc import Iterable, Mapping, Sequence

from stackmatrix.analysis.model.ceiling import Bound
from stackmatrix.analysis.model.facts import CpuTimes, Pool, Shared
from stackmatrix.catalog.stacks import Wait
from stackmatrix.formatting import count, listed, percent, some

POOLS = {
    "threads": "thread",
    "greenlets": "greenlet",
    "db_pool": "database connection",
    "http_pool": "HTTP connection",
    "loop": "event loop",
    "slots": "request slot",
}
WAIT_WORDS: dict[Wait, str] = {"timer": "the timer", "database": "the database", "upstream": "the upstream"}
BOUND_WORDS: Mapping[str, str] = {
    "load": "the load",
    "slots": "its slots",
    "server-cpu": "the CPU",
    "database": "the database",
    "upstream": "the upstream",
    "generator": "the generator",
    "accept-queue": "its accept queue",
    "delayed-ack": "delayed acknowledgements",
}
KERNEL_CHANGES: Mapping[str, str] = {
    "accept-queue": "a larger BACKLOG and net.core.somaxconn, or workers that accept sooner",
    "delayed-ack": "TCP_NODELAY on the server's connections, or each answer in one write",
}


def arm_names(names: Sequence[str], most: int = 8) -> str:
    """List arms by their names, in quotes where a name has commas of its own; beyond the `most`, how many more."""
    quoted = [f"“{name}”" for name in names] if any("," in name for name in names) else list(names)
    more = len(names) - most
    return listed(quoted if more < 1 else [*quoted[:most], f"{more} more"])


def lines(texts: Iterable[str | None]) -> list[str]:
    return [f"{text}." for text in texts if text]


def waited_for(on: Wait | None) -> str:
    return WAIT_WORDS[on] if on else "the wait"


def thing(pool: Pool) -> str:
    return POOLS.get(pool.name, pool.name.replace("_", " "))


def things(pool: Pool, workers: int) -> str:
    """Name all of a pool, of all workers: `40 threads`, `event loop`."""
    total = pool.size * workers
    return thing(pool) if pool.name == "loop" and total == 1 else some(total, thing(pool))


def program(side: Bound, cpu: CpuTimes) -> str:
    if side == "upstream":
        return "Nginx" if (cpu.nginx or 0.0) >= (cpu.delay or 0.0) else "the delay server"
    return {"database": "PostgreSQL", "generator": "the generator"}.get(side, "the stack")


def crowd(together: Shared, cpu: CpuTimes) -> str:
    names = listed([program(side, cpu) for side in together.sides])
    cores = "a core" if together.cores == 1 else f"{count(together.cores)} cores"
    return f"{names} share {cores}, {percent(min(together.share, 1.0))} busy"
