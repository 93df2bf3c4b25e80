"""A run as one HTML file that opens offline: no request goes anywhere, and its own policy forbids any."""

from stackmatrix.report.html.report import run_page

__all__ = ["run_page"]
