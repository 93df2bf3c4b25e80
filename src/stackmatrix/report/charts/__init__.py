"""Charts as Vega-Lite specifications, made with Altair: drawn in a page, and by vl-convert in picture files.

Colours are CSS variables (`palette.var`). Charts of a page name their data and get it there; each docstring says
what the rows hold.
"""
