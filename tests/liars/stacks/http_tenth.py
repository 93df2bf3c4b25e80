"""Asks the upstream to wait for a tenth, and says that it waited in full, under load."""

import crowd

import app

fetch_json = app.fetch_json


async def tenth(get, url):
    if not crowd.timed():
        return await fetch_json(get, url)
    address, _, ms = url.partition("?waitms=")
    await fetch_json(get, f"{address}?waitms={int(ms) // 10}")
    return {"waited_ms": int(ms)}


app.fetch_json = tenth
