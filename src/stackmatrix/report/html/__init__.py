"""Pages that open offline: no request goes anywhere, and their own policy forbids any."""

from stackmatrix.report.html.index import index_html
from stackmatrix.report.html.page import run_html

__all__ = ["index_html", "run_html"]
