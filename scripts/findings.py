#!/usr/bin/env python3
"""Carry out the experiments and write docs/findings.md; `--help` says how."""

from _venv import enter

enter()

from stackmatrix.cli.findings import main

if __name__ == "__main__":
    main()
