#!/usr/bin/env python3
"""Check stacks against contract/openapi.yaml; `--help` says how."""

from _venv import enter

enter()

from stackmatrix.cli.commands import door

if __name__ == "__main__":
    door("contract")
