"""Loses a worker after every hundred requests under load, and has its supervisor start another."""

import itertools
import os
import signal

import crowd

import app

requests = itertools.count(1)


class Mortal:
    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        if crowd.timed() and next(requests) % 100 == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        await self.inner(scope, receive, send)


app.app.add_middleware(Mortal)
