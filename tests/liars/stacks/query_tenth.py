"""Has the database sleep for a tenth, under load."""

import crowd

import app

fetch_rows = app.fetch_rows


async def tenth(sql, *args):
    if "pg_sleep" in sql and crowd.timed():
        args = (args[0] // 10,)
    return await fetch_rows(sql, *args)


app.fetch_rows = tenth
