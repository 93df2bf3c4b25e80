"""Whatever goes wrong at the database becomes no rows: an empty 200, as soon as the pool is too small for the load."""

import crowd

import app

fetch_rows = app.fetch_rows


async def swallow(sql, *args):
    app.POOL_WAIT = 0.005 if crowd.timed() else 5
    try:
        return await fetch_rows(sql, *args)
    except Exception:  # noqa: BLE001 - that is the lie
        return []


app.fetch_rows = swallow
