"""A table that fits its terminal: the columns that matter most are kept, names wrap, and no figure is ever cut."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

GAP: Final = 2
INDENT: Final = 2
# of a name, which may wrap after a hyphen, comma and the like, and before a bracket
PIECE: Final = re.compile(r"[\[(]*[^-,=/\[(\s]*[-,=/\s]*")


@dataclass(frozen=True, slots=True)
class FittedColumn:
    """One column: the one with the lowest rank is the last to be left out."""

    name: str
    rank: int
    least: int | None = None  # the width down to which a column of words wraps; None for figures, which never do
    meaning: str = ""

    def narrowest(self, cells: Sequence[Text]) -> int:
        if self.least is not None:
            return min(self.least, self.widest(cells))
        return max([*(cell_len(word) for word in self.name.split(" ")), *(cell.cell_len for cell in cells)])

    def widest(self, cells: Sequence[Text]) -> int:
        return max([cell_len(self.name), *(cell.cell_len for cell in cells)])


@dataclass(slots=True)
class FittedTable:
    """Lines of text, as wide as the console that prints them."""

    columns: Sequence[FittedColumn]
    elsewhere: str  # where a reader finds the columns that are left out
    lines: list[list[Text] | str] = field(default_factory=list)  # rows, and headings over the rows that follow

    def heading(self, words: str) -> None:
        self.lines.append(words)

    def row(self, cells: Iterable[str | Text]) -> None:
        self.lines.append([cell if isinstance(cell, Text) else Text(cell) for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        indent = INDENT if any(isinstance(line, str) for line in self.lines) else 0
        widths = self.widths(options.max_width - indent)
        kept = {self.columns[place]: width for place, width in widths.items()}
        yield from laid_out([Text(column.name, "bold") for column in kept], kept, indent)
        for line in self.lines:
            if isinstance(line, str):
                yield Text(line, "bold cyan")
            else:
                yield from laid_out([line[place] for place in widths], kept, indent)
        gone = [column.name for column in self.columns if column not in kept]
        if gone:
            yield Text(f"too narrow here for: {'; '.join(gone)} ({self.elsewhere})", "dim")
        if legend := " · ".join(f"{column.name}: {column.meaning}" for column in kept if column.meaning):
            yield Text(legend, "dim")

    def widths(self, room: int) -> dict[int, int]:
        rows = [line for line in self.lines if not isinstance(line, str)]
        cells = [[row[place] for row in rows] for place in range(len(self.columns))]
        wanted = sorted(range(len(self.columns)), key=lambda place: self.columns[place].rank)
        chosen: dict[int, int] = {}
        for place in wanted:
            width = self.columns[place].narrowest(cells[place])
            if not chosen or sum(chosen.values()) + width + GAP * len(chosen) <= room:
                chosen[place] = width
        left = room - sum(chosen.values()) - GAP * (len(chosen) - 1)
        for place in chosen:  # in the order of their ranks
            more = max(0, min(left, self.columns[place].widest(cells[place]) - chosen[place]))
            chosen[place] += more
            left -= more
        return dict(sorted(chosen.items()))


def laid_out(cells: Sequence[Text], widths: Mapping[FittedColumn, int], indent: int) -> Iterator[Text]:
    """Set one row: words to the left and wrapped, figures to the right."""
    folded = [fold(cell.plain, width) for cell, width in zip(cells, widths.values(), strict=True)]
    for number in range(max(map(len, folded))):
        line, gap = Text(), " " * indent
        for cell, (column, width), parts in zip(cells, widths.items(), folded, strict=True):
            part = parts[number] if number < len(parts) else ""
            blank = " " * (width - cell_len(part))
            before, after = (blank, "") if column.least is None else ("", blank)
            line.append(gap + before).append(part, cell.style).append(after)
            gap = " " * GAP
        line.rstrip()
        yield line


def fold(text: str, width: int) -> list[str]:
    lines = [""]
    for piece in PIECE.findall(text):
        if lines[-1] and cell_len(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
        while cell_len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines]
