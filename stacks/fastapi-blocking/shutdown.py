"""Uvicorn's shutdown, which would drop the requests that have come but that a busy loop has not seen yet."""

import asyncio
import time
from typing import Any

import uvicorn

shut_down = uvicorn.Server.shutdown


async def read_and_shut_down(server: uvicorn.Server, **options: Any) -> None:
    """Reads on for up to 5 s while a busy loop is behind."""
    state, end = server.server_state, time.monotonic() + 5
    while time.monotonic() < end:
        seen = len(state.connections), state.total_requests
        await asyncio.sleep(0.1)
        if seen == (len(state.connections), state.total_requests):
            break
    await shut_down(server, **options)


uvicorn.Server.shutdown = read_and_shut_down  # neither Uvicorn's supervisor nor Gunicorn's worker takes another Server
