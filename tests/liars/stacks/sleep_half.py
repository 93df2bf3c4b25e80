"""Waits half as long in /sleep, under load."""

import asyncio

import crowd
from shim import Shim

import app


async def half(seconds):
    await asyncio.sleep(seconds / 2 if crowd.timed() else seconds)


app.asyncio = Shim(asyncio, sleep=half)
