"""Reconcile what a trial's answers imply with what database, upstream, file server and kernel counted."""

from collections.abc import Iterator

from stackmatrix.catalog.workloads import Workload
from stackmatrix.linux import Io
from stackmatrix.measure.server_side import growth
from stackmatrix.meter.upstreams import Counts
from stackmatrix.results.trial import LedgerLine

PROBE_EVERY_S = 30.0  # a container's health check asks its database one statement
LEAST_COUNTED = 0.99  # of what is implied: two clocks differ, and so do two ways to count bytes


def reconcile(
    workload: Workload, before: Counts, after: Counts, right: int, doubtful: int, equal_work: bool
) -> list[LedgerLine]:
    """Compare what `right` answers imply with what grew elsewhere; `doubtful` ones are slack, `equal_work` binds."""
    effects = workload.effects()
    probes = 1 + int((after.at - before.at) / PROBE_EVERY_S)

    def exact(what: str, each: int, counted: int | None, slack: int = 0, binding: bool = True) -> LedgerLine:
        return LedgerLine(what, right * each, counted, doubtful * each + slack, binding)

    return [
        exact("SQL statements", effects.statements, growth(before.statements, after.statements), probes, equal_work),
        exact("new rows", effects.rows, after.rows - before.rows),
        exact("upstream calls", effects.upstream, after.upstream - before.upstream),
        exact("files from Nginx", effects.fixtures, after.fixtures - before.fixtures),
        *floors(workload, before, after, right),
    ]


def floors(workload: Workload, before: Counts, after: Counts, right: int) -> Iterator[LedgerLine]:
    """Compare what must have been done at least, for counts that honest work may exceed."""
    effects, waiting = workload.effects(), workload.waiting()
    size = len(workload.requests()[0].expected.prefix or b"")
    asked_ms = waiting.ms if waiting is not None and waiting.on == "upstream" else None
    query_ms = waiting.ms if waiting is not None and waiting.on == "database" else None
    database_s = growth(before.database_s, after.database_s)
    at_least = {
        "ms asked of the upstream": (effects.upstream * (asked_ms or 0), after.upstream_ms - before.upstream_ms),
        "ms of the database": (query_ms or 0, None if database_s is None else round(database_s * 1000)),
        "pages of the database": (effects.pages, growth(before.pages, after.pages)),
        "bytes from Nginx": (size if effects.fixtures else 0, grown("written_bytes", before.nginx, after.nginx)),
        "bytes read by the stack": (effects.files * size, grown("read_bytes", before.stack, after.stack)),
    }
    for what, (each, counted) in at_least.items():
        if each:
            yield LedgerLine(what, int(LEAST_COUNTED * right * each), counted, at_least=True)


def grown(name: str, before: Io | None, after: Io | None) -> int | None:
    """Compute how much was read or written meanwhile; None where it may not be looked at."""
    return growth(*(None if io is None else int(getattr(io, name)) for io in (before, after)))
