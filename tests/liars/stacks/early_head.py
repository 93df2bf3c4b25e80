"""Sends the head of an answer at once, and its body when the work is done, under load."""

import crowd

import app

BODY = {"/sleep": b'{"waited_ms":[100]}'}


class HeadFirst:
    """Begins the answer before the endpoint is asked."""

    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        body = BODY.get(scope.get("path"), b"")
        note = scope.get("path", "").startswith("/notes/")
        if not (body or note) or not crowd.timed():
            await self.inner(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json")]
        if body:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def rest(message):
            if message["type"] != "http.response.start":
                await send(message)

        await self.inner(scope, receive, rest)


app.app.add_middleware(HeadFirst)
