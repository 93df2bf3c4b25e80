"""A table for a terminal that leaves columns out rather than cut a number."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class FittedColumn:
    """A column and how soon it may be left out."""

    name: str
    importance: int | None = None
    """The least important goes first; None never goes, and wraps where even these do not fit."""
    justify: Literal["left", "right"] = "right"


@dataclass
class FittedTable:
    """Rows of cells; as many columns are shown as the terminal is wide enough for, the most important first."""

    columns: Sequence[FittedColumn]
    elsewhere: str
    """Where what is left out can be read."""
    rows: list[Sequence[str | Text] | None] = field(default_factory=list)

    def add_row(self, *cells: str | Text) -> None:
        """Add a row, a cell for each column."""
        self.rows.append(cells)

    def add_section(self) -> None:
        """Set the rows that follow apart from those before."""
        self.rows.append(None)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = list(range(len(self.columns)))
        while console.measure(self._table(shown), options=options.update(width=10_000)).maximum > options.max_width:
            optional = [place for place in shown if self.columns[place].importance is not None]
            if not optional:
                break
            shown.remove(min(optional, key=self._importance))
        yield self._table(shown, wrap=True)
        hidden = [column.name for place, column in enumerate(self.columns) if place not in shown]
        if hidden:
            yield Text(f"Too narrow for {', '.join(hidden)}: {self.elsewhere}", style="dim")

    def _importance(self, place: int) -> int:
        return self.columns[place].importance or 0

    def _table(self, shown: Sequence[int], wrap: bool = False) -> Table:
        table = Table(box=None, header_style="bold", padding=(0, 1), show_edge=False)
        for place in shown:
            column = self.columns[place]
            folds = wrap and column.importance is None
            table.add_column(column.name, justify=column.justify, no_wrap=not folds, overflow="fold")
        for row in self.rows:
            if row is None:
                table.add_section()
            else:
                table.add_row(*(row[place] for place in shown))
        return table
