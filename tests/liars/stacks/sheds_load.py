"""Answers more requests than it likes with a fast 503."""

import crowd

import app


class Shedding:
    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        shed = scope["type"] == "http" and crowd.timed()
        await (app.problem(503, "busy", {"Retry-After": "1"}) if shed else self.inner)(scope, receive, send)


app.app.add_middleware(Shedding)
