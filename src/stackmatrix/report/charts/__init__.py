"""Charts as Vega-Lite, made with Altair; colours are CSS variables, docstrings say what the rows hold."""
