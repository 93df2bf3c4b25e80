"""Answers at full speed for some seconds of load, and slowly from then on, as a machine with burst credit does."""

import asyncio
import time

import app

CREDIT_S = 4.0  # of load at full speed
PAUSE_S = 0.5  # without a request, which gives all of the credit back
DELAY_S = 0.1  # of each answer, once the credit is spent


class Credit:
    def __init__(self, inner):
        self.inner = inner
        self.began = self.last = 0.0

    async def __call__(self, scope, receive, send):
        now = time.monotonic()
        if now - self.last > PAUSE_S:
            self.began = now
        self.last = now
        if scope["type"] == "http" and now - self.began > CREDIT_S:
            await asyncio.sleep(DELAY_S)
        await self.inner(scope, receive, send)


app.app.add_middleware(Credit)
