"""Explanations in words, from the facts of an arm or of a pair."""
