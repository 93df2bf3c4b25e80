#!/usr/bin/env python3
"""Bring up stacks and their upstreams in containers, and leave them up: `./scripts/up.py [STACK …]`."""

from _venv import enter

enter()

from stackmatrix.cli.commands import door

if __name__ == "__main__":
    door("up")
