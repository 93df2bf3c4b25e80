"""Announces one body in fifty a byte too long, and one a byte too short, under load."""

import itertools

import crowd
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

WRONG = {0: 1, 25: -1}
send = RequestResponseCycle.send
numbers = itertools.count(1)


async def announce(cycle, message):
    if message["type"] == "http.response.start" and crowd.timed():
        headers = dict(message["headers"])
        length = int(headers[b"content-length"]) + WRONG.get(next(numbers) % 50, 0)
        message = {**message, "headers": [*{**headers, b"content-length": b"%d" % length}.items()]}
    elif message["type"] == "http.response.body":
        cycle.expected_content_length = len(message["body"])  # Uvicorn would notice
    await send(cycle, message)


RequestResponseCycle.send = announce
