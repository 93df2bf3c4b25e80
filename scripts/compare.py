#!/usr/bin/env python3
"""Say of two stacks, revisions or runs whether the second is faster, slower, or neither; `--help` says how."""

from _venv import enter

enter()

from stackmatrix.cli.commands import door

if __name__ == "__main__":
    door("compare")
