"""The queueing model: ceilings, facts, bottlenecks, and where the model and the measurement disagree."""
