#!/usr/bin/env python3
"""Make the reports of a run on disk again; `--help` says how."""

from _venv import enter

enter()

from stackmatrix.cli.commands import door

if __name__ == "__main__":
    door("report")
