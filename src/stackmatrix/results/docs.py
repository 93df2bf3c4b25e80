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
    """Put the tables below their mark."""
    page.write_text(head(page) + tables(), encoding="utf-8")


def head(page: Path = PAGE) -> str:
    """Return what the page says above the tables, with the mark."""
    text, mark, _ = page.read_text(encoding="utf-8").partition(START)
    return f"{text}{START if mark else ''}"


def tables() -> str:
    """Write one table for each type."""
    files = [Path(directory.__file__).with_name(f"{name}.py") for name in FORMAT]
    modules = (file.read_text(encoding="utf-8") for file in (*files, Path(latency.__file__)))
    return "\n" + "".join(type_table(node) for text in modules for node in ast.parse(text).body if is_format(node))


def is_format(node: ast.stmt) -> bool:
    """Tell whether it is a dataclass."""
    return isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(each) for each in node.decorator_list)


def type_table(node: ast.stmt) -> str:
    """Write a type's name, what it is, and its fields."""
    assert isinstance(node, ast.ClassDef)
    rows = "".join(f"| `{name}` | `{kind}` | {words} |\n" for name, kind, words in fields(node))
    about = " ".join((ast.get_docstring(node) or "").split())
    about += "".join(f" It has every field of `{ast.unparse(base)}` too." for base in node.bases)
    return f"\n### {node.name}\n\n{about}\n\n| field | type | meaning |\n|---|---|---|\n{rows}"


def fields(node: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    """List name, type and meaning of each field; a name that says it needs no words."""
    for index, line in enumerate(node.body):
        if isinstance(line, ast.AnnAssign):
            after = node.body[index + 1] if index + 1 < len(node.body) else None
            said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            yield (
                ast.unparse(line.target),
                ast.unparse(line.annotation).replace("|", "\\|"),
                " ".join(str(said).split()),
            )


if __name__ == "__main__":
    write_docs()
