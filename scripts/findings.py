#!/usr/bin/env python3
"""Run the experiments and write docs/findings.md; `--help` says how."""

from _venv import enter

enter()

from stackmatrix.cli.commands import door

if __name__ == "__main__":
    door("findings")
