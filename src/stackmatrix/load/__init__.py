"""The load generator, a process of its own: `plan` says what to send, `generator` sends it, `summary` counts it."""
