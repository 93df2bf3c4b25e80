"""What the upstreams have counted themselves: the other side of the ledger."""

import time
from dataclasses import dataclass

from stackmatrix.linux import Io, io_of
from stackmatrix.runtime.base import Runtime

SEEDED_ROWS = 1000  # notes that upstream/postgres/seed.sql leaves in the table


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since each server started, except `rows`, which is what is there now."""

    at: float  # CLOCK_MONOTONIC seconds
    statements: int | None
    # seconds that the database spent on executing them, each by its own clock: waiting for a core is in it, planning
    # and the network are not
    database_s: float | None
    pages: int | None  # of tables and indexes that statements looked at, in memory or not
    rows: int
    sessions: int  # database sessions, those that have ended included
    upstream: int
    upstream_ms: int  # that it was asked to wait
    upstream_s: float  # that calls which are over waited by its own clock
    fixtures: int
    nginx: Io | None  # of the processes that serve the fixtures
    stack: Io | None


def sessions(runtime: Runtime, stack: str) -> int:
    return int(runtime.sql(f"select count(*) from pg_stat_activity where application_name = '{stack}'"))


def activity(runtime: Runtime, stack: str) -> tuple[int, int]:
    active, _, idle = runtime.sql(f"""
        select count(*) filter (where state = 'active'), count(*) filter (where state <> 'active')
        from pg_stat_activity where application_name = '{stack}'
    """).partition("|")
    return int(active), int(idle)


def server_counts(runtime: Runtime, stack: str) -> Counts:
    """Ask all of them, the notes first, which must be there with the answer; takes a few milliseconds."""
    rows = int(runtime.sql("select count(*) from notes"))
    statements = seconds = pages = ""
    if runtime.counts_statements:
        statements, seconds, pages = runtime.sql("""
            select coalesce(sum(calls), 0), coalesce(sum(total_exec_time), 0) / 1000,
                coalesce(sum(shared_blks_hit + shared_blks_read), 0)
            from pg_stat_statements where userid = (select usesysid from pg_user where usename = 'stackmatrix')
        """).split("|")
    counters = runtime.counters()
    return Counts(
        at=time.monotonic(),
        statements=int(statements) if statements else None,
        database_s=float(seconds) if seconds else None,
        pages=int(pages) if pages else None,
        rows=rows,
        sessions=int(runtime.sql("select sessions from pg_stat_database where datname = current_database()")),
        upstream=counters["received"],
        upstream_ms=counters["asked_ms"],
        upstream_s=counters["waited_us"] / 1e6,
        fixtures=runtime.files_served(),
        nginx=io_of(runtime.pids("nginx")),
        stack=io_of(runtime.pids(stack)),
    )
