"""What people read of a run: pure functions of results and analysis."""
