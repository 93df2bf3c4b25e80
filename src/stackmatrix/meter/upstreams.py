"""What the upstreams have counted themselves: the other side of the ledger."""

from dataclasses import dataclass

from stackmatrix.runtime.base import Runtime

SEEDED_ROWS = 1000  # notes that upstream/postgres/seed.sql leaves in the table


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since each upstream started, except `rows`, which is what is there now."""

    statements: int | None
    # seconds that the database spent on executing them, each by its own clock: waiting for a core is in it, planning
    # and the network are not
    database_s: float | None
    rows: int
    sessions: int  # database sessions, those that have ended included
    upstream: int
    fixtures: int


def sessions(runtime: Runtime, stack: str) -> int:
    """Count the database sessions that a stack has open; its DATABASE_URL names it to the database."""
    return int(runtime.sql(f"select count(*) from pg_stat_activity where application_name = '{stack}'"))


def activity(runtime: Runtime, stack: str) -> tuple[int, int]:
    """Count a stack's database sessions that are at work at this moment, and those that are not."""
    active, _, idle = runtime.sql(f"""
        select count(*) filter (where state = 'active'), count(*) filter (where state <> 'active')
        from pg_stat_activity where application_name = '{stack}'
    """).partition("|")
    return int(active), int(idle)


def upstream_counts(runtime: Runtime) -> Counts:
    """Ask all of them; takes a few milliseconds."""
    statements = seconds = ""
    if runtime.counts_statements:
        statements, _, seconds = runtime.sql("""
            select coalesce(sum(calls), 0), coalesce(sum(total_exec_time), 0) / 1000 from pg_stat_statements
            where userid = (select usesysid from pg_user where usename = 'stackmatrix') and query <> 'SELECT $1'
        """).partition("|")  # SELECT $1 is /healthz: its prober is not part of any workload
    return Counts(
        statements=int(statements) if statements else None,
        database_s=float(seconds) if seconds else None,
        rows=int(runtime.sql("select count(*) from notes")),
        sessions=int(runtime.sql("select sessions from pg_stat_database where datname = current_database()")),
        upstream=runtime.counters()["received"],
        fixtures=runtime.files_served(),
    )
