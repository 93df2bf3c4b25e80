"""Closes the connection after every answer."""

import uvicorn

run = uvicorn.run
uvicorn.run = lambda app, **options: run(app, headers=[("Connection", "close")], **options)
