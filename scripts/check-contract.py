#!/usr/bin/env python3
"""Hold stacks to contract/openapi.yaml and print the table of stack × check; `--help` says how."""

from _venv import enter

enter()

from stackmatrix.cli.commands import door

if __name__ == "__main__":
    door("contract")
