"""Starts one process, however many workers it is set to."""

import uvicorn

run = uvicorn.run
uvicorn.run = lambda app, **options: run(app, **{**options, "workers": 1})
