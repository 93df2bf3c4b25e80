"""How figures and things are called inside a sentence."""

from collections.abc import Iterable, Sequence

from stackmatrix.analysis.model.ceiling import Bound
from stackmatrix.analysis.model.facts import CpuTimes, Pool, Shared
from stackmatrix.analysis.model.library_defaults import Default
from stackmatrix.catalog.stacks import Wait

MOST_SENTENCES = 4
"""Of an explanation."""
POOLS = {
    "threads": "thread",
    "greenlets": "greenlet",
    "db_pool": "database connection",
    "http_pool": "HTTP connection",
    "loop": "event loop",
    "slots": "request slot",
}
WAIT_WORDS: dict[Wait, str] = {"timer": "the timer", "database": "the database", "upstream": "the upstream"}
BOUND_WORDS: dict[Bound, str] = {
    "load": "the load",
    "slots": "its slots",
    "server-cpu": "the CPU",
    "database": "the database",
    "upstream": "the upstream",
    "generator": "the generator",
}


def number(value: float) -> str:
    """Three significant digits and whole numbers: 0.512, 2.51, 39.8, 1 230; thousands apart by a thin space."""
    if abs(value) >= 99.95:
        whole = round(value) if abs(value) < 10000 else round(float(f"{value:.3g}"))
        return f"{whole:,}".replace(",", "\u202f")
    rounded = float(f"{value:.3g}")
    if rounded < 1:
        return f"{rounded:.6f}".rstrip("0").rstrip(".")
    return f"{rounded:.1f}" if rounded >= 10 else f"{rounded:.2f}"


def count(value: float) -> str:
    """A number of things, most of which come whole: 40, 1.5."""
    return number(value) if value % 1 else f"{int(value):,}".replace(",", "\u202f")


def rate(per_second: float) -> str:
    """`39.8/s`."""
    return f"{number(per_second)}/s"


def duration(seconds: float) -> str:
    """`2.51 s`, `100 ms`, `410 µs`."""
    if seconds >= 0.9995:
        return f"{number(seconds)} s"
    return f"{number(seconds * 1e3)} ms" if seconds >= 0.0009995 else f"{seconds * 1e6:.0f} µs"


def percent(share: float) -> str:
    """Whole per cent; what is there but less than half of one is told so."""
    return "under 1 %" if 0 < share < 0.005 else f"{share * 100:,.0f} %".replace(",", "\u202f")


def some(value: float, noun: str) -> str:
    """`1 thread`, `40 threads`."""
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return f" {last} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def capital(text: str) -> str:
    """The first letter in upper case."""
    return text[:1].upper() + text[1:]


def sentences(texts: Iterable[str | None]) -> list[str]:
    """Those that there is something to say in, each with its full stop."""
    return [f"{text}." for text in texts if text]


def waited_for(on: Wait | None) -> str:
    """What a request waits for."""
    return WAIT_WORDS[on] if on else "the wait"


def thing(pool: Pool) -> str:
    """One of a pool."""
    return POOLS.get(pool.name, pool.name.replace("_", " "))


def things(pool: Pool, workers: int) -> str:
    """All of a pool, of all workers: `40 threads`, `event loop`."""
    total = pool.size * workers
    return thing(pool) if pool.name == "loop" and total == 1 else some(total, thing(pool))


def allows(default: Default) -> str:
    """`AnyIO allows 40 threads in each process unless told otherwise (to_thread's CapacityLimiter)`."""
    limit = some(default.size, default.noun)
    return f"{default.library} allows {limit} in each process unless told otherwise ({default.how})"


def program(side: Bound, cpu: CpuTimes) -> str:
    """Whose CPU time it is."""
    if side == "upstream":
        return "Nginx" if (cpu.nginx or 0.0) >= (cpu.delay or 0.0) else "the delay server"
    return {"database": "PostgreSQL", "generator": "the generator"}.get(side, "the stack")


def crowd(together: Shared, cpu: CpuTimes) -> str:
    """A core that several programs share, and how busy it is."""
    names = listed([program(side, cpu) for side in together.sides])
    cores = "a core that is" if together.cores == 1 else f"{count(together.cores)} cores that are"
    return f"{names} share {cores} busy {percent(min(together.share, 1.0))} of the time"
