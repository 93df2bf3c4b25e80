#!/usr/bin/env python3
"""Bring up stacks and upstreams in containers, and leave them up; `--help` says how."""

from _venv import enter

enter()

from stackmatrix.cli.commands import door

if __name__ == "__main__":
    door("up")
