"""Everything that touches a running stack in order to time it."""
