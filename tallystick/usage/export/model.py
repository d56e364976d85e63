"""What an exported file holds: its formats, its columns, and the rows of the two kinds of export."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path

from tallystick.errors import InvalidInput
from tallystick.usage.query import StoredEvent
from tallystick.usage.totals.read import Total, Wanted


class Format(StrEnum):
    """The formats of exported files; the closed set."""

    PARQUET = "parquet"
    ARROW = "arrow"
    CSV = "csv"


MEDIA_TYPES = {
    Format.PARQUET: b"application/vnd.apache.parquet",
    Format.ARROW: b"application/vnd.apache.arrow.file",
    Format.CSV: b"text/csv; charset=utf-8",
}
_ENDINGS = {".parquet": Format.PARQUET, ".arrow": Format.ARROW, ".feather": Format.ARROW, ".csv": Format.CSV}


class Stored(Enum):
    """What the values of a column are."""

    TEXT = "text"
    """Also exact decimal numbers, which no type of fixed width could hold."""
    LONG = "long"
    INSTANT = "instant"
    """Microseconds, UTC."""
    PAIRS = "pairs"
    """Names with texts; in CSV a JSON object."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an exported file."""

    name: str
    stored: Stored
    may_lack: bool = False


Value = str | int | dt.datetime | Mapping[str, str] | None
ExportedRow = tuple[Value, ...]

EVENT_COLUMNS = (
    Column("id", Stored.TEXT),
    Column("source", Stored.TEXT),
    Column("customer", Stored.TEXT),
    Column("type", Stored.TEXT),
    Column("at", Stored.INSTANT),
    Column("quantities", Stored.PAIRS),
    Column("dimensions", Stored.PAIRS),
)


def event_row(event: StoredEvent) -> ExportedRow:
    """Write an event as a row; its quantities as exact decimal text."""
    quantities = {name: str(number) for name, number in event.quantities.items()}
    return (event.id, event.source, event.customer, event.type, event.at, quantities, event.dimensions)


def total_columns(wanted: Wanted) -> tuple[Column, ...]:
    """Return the columns of readings: a dimension that they are told apart by has one of its own."""
    return (
        Column("start_at", Stored.INSTANT),
        Column("end_at", Stored.INSTANT),
        *([Column("customer", Stored.TEXT)] if wanted.by_customer else []),
        *(Column(f"dimension.{name}", Stored.TEXT, may_lack=True) for name in wanted.group_by),
        Column("events", Stored.LONG),
        Column("quantity", Stored.TEXT),
    )


def total_row(total: Total, wanted: Wanted) -> ExportedRow:
    """Write a reading as a row of those columns."""
    customer = [total.customer] if wanted.by_customer else []
    told_apart = [total.dimensions[name] for name in wanted.group_by]
    return (total.start_at, total.end_at, *customer, *told_apart, total.events, total.quantity)


def format_of(path: Path, option: str) -> Format:
    """
    Tell the format of a file from its ending.

    Raises:
        InvalidInput: it is none of those there are (``invalid_input``).
    """
    found = _ENDINGS.get(path.suffix.lower())
    if found is None:
        raise InvalidInput(field=option, rule=f"The ending of {path.name} is none of {', '.join(_ENDINGS)}")
    return found


def column_values(rows: Sequence[ExportedRow], place: int) -> list[Value]:
    """Return the values of one column."""
    return [row[place] for row in rows]
