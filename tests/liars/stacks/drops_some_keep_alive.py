"""Closes the connection after every hundredth answer, under load."""

import itertools

import crowd

import app

answers = itertools.count(1)


class Closing:
    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        async def close(message):
            if message["type"] == "http.response.start" and crowd.timed() and next(answers) % 100 == 0:
                message["headers"].append((b"connection", b"close"))
            await send(message)

        await self.inner(scope, receive, close)


app.app.add_middleware(Closing)
