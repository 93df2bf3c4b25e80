"""A package, so that a test is named after its module even where two floors have modules of one name."""
