"""The parts of a request's time, as the explaining pass saw them."""

from stackmatrix.results.explain import Phases

# in the order of a request
QUEUE, DATABASE, GATHER, ENCODE, INSIDE, OUTSIDE = PARTS = (
    "waiting for a thread",
    "with the database",
    "with upstream, files or timer",
    "encoding",
    "elsewhere in the application",
    "outside the application",
)


def time_by_part(phases: Phases) -> dict[str, float]:
    """Split a response time; a phase that the stack does not have is left out, and what overlaps counts as nothing."""
    named = {QUEUE: phases.queue_s, DATABASE: phases.db_s, GATHER: phases.gather_s, ENCODE: phases.encode_s}
    told = {part: seconds for part, seconds in named.items() if seconds is not None}
    rest = max(0.0, phases.total_s - sum(told.values()))
    return {**told, INSIDE: rest, OUTSIDE: max(0.0, phases.outside_s)}
