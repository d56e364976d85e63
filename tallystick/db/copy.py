"""Binary COPY from columns: a numpy structured array whose bytes are PostgreSQL's copy format as they stand."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tallystick.db.connect import SCHEMA
from tallystick.db.queries import Connection

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_PIECE = 1 << 20
"""So many bytes of rows are gathered before they are handed on: enough that numpy's own cost vanishes."""

Rows = npt.NDArray[np.void]

BIGINT, INTEGER, SMALLINT, UUID = ">i8", ">i4", ">i2", "V16"


@dataclass(frozen=True, slots=True)
class FixedTable:
    """A table, or some columns of one, whose columns are all of fixed width and never NULL."""

    name: str
    columns: Mapping[str, str]
    """Each column and its width: one of ``BIGINT``, ``INTEGER``, ``SMALLINT``, ``UUID``."""
    _row: np.dtype[np.void] = field(init=False)
    """One row: the number of fields, then each field behind its length."""
    _blank: Rows = field(init=False)
    """A row with nothing in its fields, which are bytes here: numpy moves those faster than it swaps numbers into place."""

    def __post_init__(self) -> None:
        """Lay the row out."""
        layout: list[tuple[str, str]] = [("_fields", ">i2")]
        for column, width in self.columns.items():
            layout += [(f"_{column}", ">i4"), (column, width)]
        object.__setattr__(self, "_row", np.dtype(layout))
        bare = [(name, f"V{np.dtype(width).itemsize}" if name in self.columns else width) for name, width in layout]
        blank = np.zeros(1, np.dtype(bare))
        blank["_fields"] = len(self.columns)
        for column, width in self.columns.items():
            blank[f"_{column}"] = np.dtype(width).itemsize
        object.__setattr__(self, "_blank", blank)

    def encode(self, count: int, values: Mapping[str, npt.ArrayLike]) -> bytes:
        """Write *count* rows; each value is an array of that length or one value for all rows."""
        return framed(self.encode_rows(count, values).tobytes())

    def encode_rows(self, count: int, values: Mapping[str, npt.ArrayLike], *, further: int = 0) -> Rows:
        """Write *count* rows without what begins and ends the format; so many *further* fields follow in each."""
        row = self._blank.copy()
        row["_fields"] = len(self.columns) + further
        varying: dict[str, Rows] = {}
        for column, width in self.columns.items():
            value = np.ascontiguousarray(values[column], dtype=width).view(row.dtype[column])
            if np.ndim(values[column]):
                varying[column] = value
            else:
                row[column] = value
        rows = np.repeat(row, count)
        for column, value in varying.items():
            rows[column] = value
        return rows

    def take_rows(self, received: bytearray) -> Rows:
        """Take the whole rows out of *received*, rows in the copy format behind its signature, and leave the rest."""
        whole = len(received) // self._row.itemsize * self._row.itemsize
        rows = np.frombuffer(bytes(received[:whole]), self._row)
        del received[:whole]
        return rows


def framed(rows: bytes) -> bytes:
    """Put what begins and ends the format around rows that are written in it."""
    return b"".join((_SIGNATURE, rows, _TRAILER))


async def copy_in(connection: Connection, table: str, columns: Iterable[str], encoded: bytes) -> None:
    """Append rows that ``FixedTable.encode`` wrote, or that were `framed`."""
    # All at once: between pieces the driver waits for room to write, for ever if the server is gone meanwhile. And not as
    # bytes, which it would take for the name of a file.
    await connection.copy_to_table(
        table,
        schema_name=SCHEMA,
        columns=list(columns),
        format="binary",
        source=memoryview(encoded),  # type: ignore[arg-type]  # its types do not know that it takes these
    )


async def copy_out(
    connection: Connection, table: FixedTable, query: str, *arguments: object, each: Callable[[Rows], None]
) -> None:
    """Run *query*, whose columns are those of *table* in order, and hand its rows on piece by piece as they arrive."""
    received, begun = bytearray(), False

    async def take(data: bytes) -> None:
        nonlocal begun
        received.extend(data)
        if not begun and len(received) >= len(_SIGNATURE):
            del received[: len(_SIGNATURE)]
            begun = True
        if begun and len(received) >= _PIECE:
            each(table.take_rows(received))

    await connection.copy_from_query(query, *arguments, output=take, format="binary")
    each(table.take_rows(received))


async def read_columns(connection: Connection, table: FixedTable, query: str, *arguments: object) -> Rows:
    """Run *query*, whose columns are those of *table* in order, and return all of its rows."""
    pieces: list[Rows] = []
    await copy_out(connection, table, query, *arguments, each=pieces.append)
    return np.concatenate(pieces)
