"""The commands: arguments in, one run of the harness, words and an exit code out."""
