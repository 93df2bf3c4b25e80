"""Is healthy at once, and answers its first requests under load with 503."""

import crowd

import app

left = 200


class Early:
    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        global left
        early = scope["type"] == "http" and crowd.timed() and left > 0
        left -= early
        await (app.problem(503, "not yet", {"Retry-After": "1"}) if early else self.inner)(scope, receive, send)


app.app.add_middleware(Early)
