#!/usr/bin/env python3
"""Say whether B is faster or slower than A, or neither; `--help` says how."""

from _venv import enter

enter()

from stackmatrix.cli.commands import door

if __name__ == "__main__":
    door("compare")
