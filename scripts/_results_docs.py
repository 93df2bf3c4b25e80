"""Write the tables of `docs/results.md`: every type of the on-disk format with its fields, read from the code."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stackmatrix.catalog import ROOT
from stackmatrix.load import latency
from stackmatrix.results import directory

PAGE: Final = ROOT / "docs" / "results.md"
FORMAT: Final = ("plan", "trial", "reasons", "explain", "slo", "experiment", "interval", "run")
START: Final = "<!-- every field, from src/stackmatrix/results/: make docs -->"


def write_docs(page: Path = PAGE) -> None:
    page.write_text(head(page) + tables(), encoding="utf-8")


def head(page: Path = PAGE) -> str:
    """Return what the page says above the tables, with the mark."""
    text, mark, _ = page.read_text(encoding="utf-8").partition(START)
    return f"{text}{START if mark else ''}"


def tables() -> str:
    files = (*(Path(directory.__file__).with_name(f"{name}.py") for name in FORMAT), Path(latency.__file__))
    texts = [file.read_text(encoding="utf-8") for file in files]
    return "\n" + "".join(type_table(node, text) for text in texts for node in ast.parse(text).body if is_format(node))


def is_format(node: ast.stmt) -> bool:
    return isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(each) for each in node.decorator_list)


def type_table(node: ast.stmt, text: str) -> str:
    assert isinstance(node, ast.ClassDef)
    rows = "".join(f"| `{name}` | `{kind}` | {words} |\n" for name, kind, words in fields(node, text.splitlines()))
    about = " ".join((ast.get_docstring(node) or "").split())
    about += "".join(f" It has every field of `{ast.unparse(base)}` too." for base in node.bases)
    return f"\n### {node.name}\n\n{about}\n\n| field | type | meaning |\n|---|---|---|\n{rows}"


def fields(node: ast.ClassDef, lines: list[str]) -> Iterator[tuple[str, str, str]]:
    """List name, type and meaning of each field; a name that says it needs no words."""
    for line in node.body:
        if isinstance(line, ast.AnnAssign):
            kind = ast.unparse(line.annotation).replace("|", "\\|")
            yield ast.unparse(line.target), kind, comment_of(line, lines)


def comment_of(line: ast.stmt, lines: list[str]) -> str:
    """Return what is written behind a statement, or in the lines above it."""
    behind = lines[(line.end_lineno or line.lineno) - 1].partition("  # ")[2]
    above: list[str] = []
    for text in reversed(lines[: line.lineno - 1]):
        if not text.lstrip().startswith("# "):
            break
        above.insert(0, text.strip().removeprefix("# "))
    return behind or " ".join(above)


if __name__ == "__main__":
    write_docs()
