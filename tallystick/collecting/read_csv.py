"""Read CSV that comes from outside, row by row: UTF-8, a heading, no line without end."""

import csv
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from tallystick.collecting.bank.errors import UnreadableFile

_MOST_LINE = 64 * 1024


class CsvRow(NamedTuple):
    """A row of a file."""

    place: str
    cells: dict[str, str]
    """By the name of the column, without blanks around; empty where the row is bad."""
    bad: str | None = None
    """Why nothing can be made of it."""


def read_csv(file: BinaryIO, columns: Sequence[str]) -> Iterator[CsvRow]:
    """
    Go through the rows of a file whose heading names *columns*, in any order; empty lines are passed over.

    Raises:
        UnreadableFile: it cannot be read to its end, or its heading is another (``bank.unreadable_file``).
    """
    lines = _lines(file)
    heading = next(csv.reader([next(lines, "").removeprefix("\ufeff")]), [])
    names = [one.strip().lower() for one in heading]
    if sorted(names) != sorted(columns):
        raise UnreadableFile(field="file", place="line 1", rule=f"expected the columns {', '.join(columns)}")
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        cells = next(csv.reader([line]), [])
        if len(cells) != len(names):
            yield CsvRow(f"line {number}", {}, f"{len(cells)} cells instead of {len(names)}")
            continue
        yield CsvRow(f"line {number}", dict(zip(names, (one.strip() for one in cells), strict=True)))


def _lines(file: BinaryIO) -> Iterator[str]:
    number = 0
    while line := file.readline(_MOST_LINE + 1):
        number += 1
        if len(line) > _MOST_LINE:
            raise UnreadableFile(field="file", place=f"line {number}", rule=f"longer than {_MOST_LINE:,} bytes")
        if b"\0" in line:
            raise UnreadableFile(
                field="file", place=f"line {number}", rule="binary, or in an encoding other than UTF-8"
            )
        try:
            yield line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            place = f"line {number}, byte {error.start + 1}"
            raise UnreadableFile(field="file", place=place, rule="it is not UTF-8") from error
