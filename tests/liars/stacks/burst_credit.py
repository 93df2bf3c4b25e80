"""Answers at full speed for some seconds, and slowly from then on, as a machine with burst credit does."""

import asyncio
import time

import app

CREDIT_S = 5.0  # after the first request, at full speed
DELAY_S = 0.1  # of each answer, once the credit is spent


class Credit:
    def __init__(self, inner):
        self.inner = inner
        self.began = None

    async def __call__(self, scope, receive, send):
        now = time.monotonic()
        if self.began is None:
            self.began = now
        if scope["type"] == "http" and now - self.began > CREDIT_S:
            await asyncio.sleep(DELAY_S)
        await self.inner(scope, receive, send)


app.app.add_middleware(Credit)
