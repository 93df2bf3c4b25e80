"""What the records mean: statistics, ceilings, verdicts and the explanation, as pure functions of results."""
