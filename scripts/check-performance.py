#!/usr/bin/env python3
"""Time stacks under workloads, all in the same way, and print the matrix; `--help` says how."""

from _venv import enter

enter()

from stackmatrix.cli.commands import door

if __name__ == "__main__":
    door("run")
