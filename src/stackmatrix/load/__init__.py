"""The load generator, a process of its own: `job` says what to send, `generator` sends it, `summary` counts it."""
