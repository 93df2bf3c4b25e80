"""Turns arguments into one run of the harness, and its results into words, files and an exit code."""
