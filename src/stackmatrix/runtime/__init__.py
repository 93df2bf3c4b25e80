"""Brings upstreams and stacks up and down, behind one protocol."""
