"""Tables for a terminal of any width: columns that can be spared give way, and the line below says which."""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

WIDTH = 200  # of what is no terminal: a file, a CI log
FOLDED = 24  # the least for a column whose text may be folded
PLAIN = str.maketrans("─–’×", "--'x")  # for terminals without Unicode


def terminal_width(is_terminal: bool) -> int:
    """Columns of the terminal, or those that the variable COLUMNS asks for; at most `WIDTH`, and that for a file."""
    asked = is_terminal or os.environ.get("COLUMNS", "").isdecimal()
    return min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if asked else WIDTH


def as_text(parts: Iterable[RenderableType], width: int) -> str:
    """Tables and texts as plain text, without what the encoding of standard output lacks."""
    console = Console(width=width, color_system=None, force_terminal=False, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    text, encoding = capture.get(), getattr(sys.__stdout__, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(PLAIN).encode(encoding, "replace").decode(encoding)
    return text


class Fitted:
    """A table. spare: columns to leave out where it is too wide, the first of them first. fold: those of long text."""

    def __init__(
        self, title: str, columns: Sequence[str], spare: Sequence[str] = (), fold: Sequence[str] = (), left: int = 1
    ) -> None:
        self.title, self.columns, self.spare, self.fold, self.left = title, list(columns), spare, fold, left
        self.caption: str | None = None
        self.rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """One cell for each column."""
        self.rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept, spare = list(self.columns), list(self.spare)
        while spare and self._width(console, options, kept) > options.max_width:
            gone = spare.pop(0)
            kept = [column for column in kept if column != gone]
        yield self._table(kept, wrap=self._width(console, options, kept) > options.max_width)
        if self.caption:
            yield Text(f" {self.caption}\n")
        if left_out := list(dict.fromkeys(column for column in self.columns if column not in kept)):
            yield Text(f" left out for want of width: {', '.join(left_out)}\n")

    def _width(self, console: Console, options: ConsoleOptions, kept: Sequence[str]) -> int:
        table = self._table([column for column in kept if column not in self.fold])
        folded = sum(column in self.fold for column in kept)
        return console.measure(table, options=options.update(max_width=10**4)).maximum + folded * (FOLDED + 3)

    def _table(self, kept: Sequence[str], wrap: bool = False) -> Table:
        table = Table(title=self.title, box=box.SIMPLE_HEAD, pad_edge=False)
        table.title_justify, table.title_style = "left", "bold"
        for i, column in enumerate(self.columns):
            if column in kept:
                folds = column in self.fold
                side: JustifyMethod = "left" if i < self.left or folds else "right"
                table.add_column(column, justify=side, no_wrap=i == 0 or not (wrap or folds), overflow="fold")
        for row in self.rows:
            table.add_row(*(cell for cell, column in zip(row, self.columns, strict=True) if column in kept))
        return table
