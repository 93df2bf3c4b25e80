"""What the upstreams have counted themselves: the other side of the ledger."""

from dataclasses import dataclass

from stackmatrix.runtime.base import Runtime

STATEMENTS = """
select coalesce(sum(calls), 0) from pg_stat_statements
where userid = (select usesysid from pg_user where usename = 'stackmatrix') and query <> 'SELECT $1'
"""  # SELECT $1 is /healthz: its prober is not part of any workload
SEEDED_ROWS = 1000
"""Notes that upstream/postgres/seed.sql leaves in the table."""
ROWS = "select count(*) from notes"
SESSIONS = "select count(*) from pg_stat_activity where usename = 'stackmatrix' and backend_type = 'client backend'"


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since each upstream started, except `rows` and `sessions`, which are what is there now."""

    statements: int | None
    rows: int
    sessions: int
    upstream: int
    fixtures: int


def count(runtime: Runtime) -> Counts:
    """Ask all of them; takes a few milliseconds."""
    rows, sessions = runtime.sql(f"select ({ROWS}), ({SESSIONS})").split("|")
    return Counts(
        statements=int(runtime.sql(STATEMENTS)) if runtime.counts_statements else None,
        rows=int(rows),
        sessions=int(sessions),
        upstream=runtime.counters()["received"],
        fixtures=runtime.files_served(),
    )
