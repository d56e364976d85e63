"""Blocks: a table whose rows stand one below the other, for a terminal that it is too wide for."""

from collections.abc import Iterator

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text


def as_blocks(table: Table) -> Iterator[Text]:
    """
    Yield the lines of a table's rows, each a block: a line for each column that has something, its heading before it.

    A row that says more of the one above it, which leaves its first column empty, stands below that without a gap.
    """
    headings = [str(column.header) for column in table.columns]
    widest = max(map(cell_len, headings), default=0)
    rows = zip(*(column.cells for column in table.columns), strict=True)
    for number, row in enumerate(rows):
        cells = [Text.from_markup(str(cell)) for cell in row]
        if number and cells[0].plain:
            yield Text()
        for heading, cell in zip(headings, cells, strict=True):
            if cell.plain:
                yield Text.assemble((heading.ljust(widest), "dim"), "  ", cell)
