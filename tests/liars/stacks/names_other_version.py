"""Runs another orjson than its lock says, and names the lock's."""

import app

app.VERSIONS["orjson"] = "3.0.0"
