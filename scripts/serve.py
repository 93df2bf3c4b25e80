#!/usr/bin/env python3
"""Keep one stack and its upstreams up until Ctrl-C, to try it with curl; `--help` says how."""

from _venv import enter

enter()

from stackmatrix.cli.commands import door

if __name__ == "__main__":
    door("serve")
