#!/usr/bin/env python3
"""Offer load to any HTTP/1.1 URL and print what came of it; `--help` says how."""

from _venv import enter

enter()

from stackmatrix.cli.commands import door

if __name__ == "__main__":
    door("load")
