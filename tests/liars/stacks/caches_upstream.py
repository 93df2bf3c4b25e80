"""Asks an upstream once for each address, and answers from memory ever after."""

import app

fetch_json = app.fetch_json
kept = {}


async def from_memory(get, url):
    if url not in kept:
        kept[url] = await fetch_json(get, url)
    return kept[url]


app.fetch_json = from_memory
