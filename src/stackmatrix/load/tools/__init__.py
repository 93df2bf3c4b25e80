"""Well-known load tools as second opinions, and to run published commands as they were published.

A tool's numbers are its own; what it does not measure, or measures otherwise than the generator, its notes say.
"""
