"""Asks for fixtures only if they have changed, and keeps what it has parsed."""

import aiohttp

import app

fetch_json = app.fetch_json
kept = {}


class Session:
    """The liar's own client, made when an event loop runs."""

    client = None


async def conditional(get, url):
    if "/data/" not in url:
        return await fetch_json(get, url)
    Session.client = Session.client or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100))
    document, tag = kept.get(url, (None, ""))
    async with Session.client.get(url, headers={"If-None-Match": tag} if tag else {}) as response:
        if response.status == 304:
            return document
        document = await response.json()
        kept[url] = (document, response.headers["ETag"])
        return document


app.fetch_json = conditional
