"""Shows that something is being waited for: a bar or a spinner on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def minutes(seconds: float) -> str:
    """Write how long something takes, about: 45 s, 3 min, 1 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    whole = round(seconds / 60)
    return f"{whole} min" if whole < 90 else f"{whole // 60} h {whole % 60} min"


@contextmanager
def stage(out: "Console", words: str) -> Iterator[None]:
    """Say what is being done: a spinner with the seconds on a terminal, a line elsewhere."""
    if not out.is_terminal:
        out.print(f"{words} …", markup=False)
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=out, transient=True) as spinner:
        spinner.add_task(words, total=None)
        yield
