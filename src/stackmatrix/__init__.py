"""Stack Matrix: times web stacks under one contract and says what bound every number."""
