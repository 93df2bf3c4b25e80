"""Runs another orjson than its lock says, and does not hide it."""
