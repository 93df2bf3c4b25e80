"""Lets a lie out only under load: no check that asks one question at a time will see it."""

import app

MANY = 16
under_way = 0


def timed() -> bool:
    """Whether so many requests are under way that this must be a measurement."""
    return under_way > MANY


class Count:
    """Counts the requests under way."""

    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        global under_way
        under_way += 1
        try:
            await self.inner(scope, receive, send)
        finally:
            under_way -= 1


app.app.add_middleware(Count)
