"""Says that it waits on an event loop, and blocks it in /query."""

import time

import app

fetch_rows = app.fetch_rows


async def block(sql, *args):
    if "pg_sleep" in sql:
        time.sleep(args[0] / 1000)
        args = (0,)
    return await fetch_rows(sql, *args)


app.fetch_rows = block
