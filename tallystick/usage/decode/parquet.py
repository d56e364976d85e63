"""
Parquet: columns go in as columns, without an object for each event.

Columns named as the fields of an event are those fields. Of the others, numbers are quantities and texts dimensions, by
the column's name. A field that is missing in a row is null there.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tallystick.errors import Kind, TallystickError
from tallystick.usage.columns import ArrowColumn, Column, EventColumns, Evidence
from tallystick.usage.decode.open_file import DamagedFile
from tallystick.usage.model import (
    DEFAULT_TYPE,
    MAX_DIGITS,
    MAX_DIMENSIONS,
    MAX_EVIDENCE,
    MAX_QUANTITIES,
    MAX_TEXT,
    GivenEvent,
    InvalidEvent,
    UsageEvent,
    check_event,
    check_quantities,
    write_number,
    write_quantities,
)

MAGIC = b"PAR1"
_FIELDS = {"id", "customer", "type", "at", "source", "status", "resource"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}", re.ASCII)
_LAST = int(dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC).timestamp())
_LATEST = {"s": _LAST, "ms": _LAST * 10**3, "us": _LAST * 10**6, "ns": 2**63 - 1}
"""The last instant by the unit it is counted in; what lies behind it could come out as another when it is converted."""
_TOO_FINE = object()
_Value = TypeVar("_Value")
_encode = msgspec.json.Encoder(decimal_format="string", order="sorted").encode


class ColumnUnfit(TallystickError):
    """The column {column} {rule}."""

    code: ClassVar[str] = "usage.column_unfit"
    kind: ClassVar[Kind] = Kind.INVALID


@dataclass(slots=True)
class ReadColumns:
    """What the next rows of a file hold."""

    columns: EventColumns | None
    """None: not one of the rows is an event."""
    quantities: dict[str, pa.Array]
    """By name, as they stand in the rows that are events."""
    malformed: dict[int, InvalidEvent]
    """By row of these, why it is no event."""
    rows: int


@dataclass(slots=True)
class ParquetUsage:
    """A Parquet file of usage, read a few thousand rows at a time."""

    path: Path
    _file: pq.ParquetFile = field(init=False)

    def __post_init__(self) -> None:
        """
        Open the file and look at its columns.

        Raises:
            DamagedFile: usage.damaged_file; it is not whole.
            ColumnUnfit: usage.column_unfit; one is missing, or has a type that is not exact.
        """
        try:
            self._file = pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError) as error:
            raise DamagedFile(path=self.path, why=str(error)[:200]) from error
        try:
            _check_columns(self._file.schema_arrow)
        except ColumnUnfit:
            self.close()
            raise

    @property
    def rows_total(self) -> int:
        """Return how many rows the file says it has."""
        total: int = self._file.metadata.num_rows
        return total

    def read(self, source: str, count: int) -> Iterator[ReadColumns]:
        """
        Read the rows, *count* at a time; those that name no source are of *source*.

        Raises:
            DamagedFile: usage.damaged_file; after the rows before the damage.
        """
        try:
            for batch in self._file.iter_batches(batch_size=count):
                yield read_batch(batch, source)
        except (pa.ArrowException, OSError) as error:
            raise DamagedFile(path=self.path, why=str(error)[:200]) from error

    def position(self, done: int, size: int) -> int:
        """Say how far the file of *size* bytes has been read when *done* rows have."""
        return size * done // max(self.rows_total, 1)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_batch(batch: pa.RecordBatch, source: str) -> ReadColumns:
    """Read rows as events: all at once where every row is plain, and those that are not one by one."""
    batch, invalid = _plain_texts(batch)
    unclear = _unclear(batch)
    taken = {name: batch.column(name) for name in batch.schema.names}
    mended: dict[int, UsageEvent] = {}
    for place in np.flatnonzero(unclear).tolist():
        if place in invalid:
            continue
        try:
            row = {name: column[place].as_py() for name, column in taken.items() if name != "at"}
            mended[place] = _read_row({**row, "at": _instant(taken["at"], place)})
        except InvalidEvent as error:
            invalid[place] = error
    if len(invalid) == batch.num_rows:
        return ReadColumns(None, {}, invalid, batch.num_rows)
    if invalid:
        keep = np.ones(batch.num_rows, bool)
        keep[list(invalid)] = False
        kept_places = np.flatnonzero(keep)
        batch = batch.take(pa.array(kept_places))
        where = {old: new for new, old in enumerate(kept_places.tolist())}
        mended = {where[place]: event for place, event in mended.items()}
    columns, quantities = _columns(batch, source, mended)
    return ReadColumns(columns, quantities, invalid, batch.num_rows + len(invalid))


def _plain_texts(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[int, InvalidEvent]]:
    """Write out texts that stand in a dictionary, or have long offsets; take out those that are none, by row."""
    columns: list[pa.Array] = []
    none: dict[int, InvalidEvent] = {}
    for name, given in zip(batch.schema.names, batch.columns, strict=True):
        column = given
        if _is_text(given.type):
            column = given if given.type == pa.string() else given.cast(pa.string())
            bad = _not_utf8(column)
            none |= {place: InvalidEvent(_named(name), "must be UTF-8") for place in np.flatnonzero(bad).tolist()}
            column = pc.if_else(pa.array(bad), pa.scalar(None, pa.string()), column) if bad.any() else column
        columns.append(column)
    return pa.record_batch(columns, names=batch.schema.names), none


def _not_utf8(column: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Find the texts that are none: a file may hold any bytes as text."""
    found = np.zeros(len(column), bool)
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        for place, one in enumerate(column.cast(pa.binary()).to_pylist()):
            found[place] = one is not None and not _is_utf8(one)
    return found


def _is_utf8(written: bytes) -> bool:
    try:
        written.decode()
    except UnicodeDecodeError:
        return False
    return True


def _named(column: str) -> str:
    """Return how the field of a text is named in errors."""
    return column if column in _FIELDS else f"dimensions.{column}"


def _columns(batch: pa.RecordBatch, source: str, mended: dict[int, UsageEvent]) -> tuple[EventColumns, dict[str, Any]]:
    names = batch.schema.names
    count = batch.num_rows
    numbers = sorted(name for name in names if name not in _FIELDS and not _is_text(batch.schema.field(name).type))
    texts = sorted(name for name in names if name not in _FIELDS and _is_text(batch.schema.field(name).type))
    quantities: Column[bytes] = ArrowColumn(_json(batch, numbers, _number_text).cast(pa.binary()))
    dimensions: Column[bytes | None] | None = None
    if texts:
        by = _json(batch, texts, _quoted)
        by = pc.if_else(pc.equal(by, "{}"), pa.scalar(None, pa.string()), by)
        dimensions = None if by.null_count == count else ArrowColumn(by.cast(pa.binary()))
    if mended:
        quantities = _mended(quantities, {place: write_quantities(event.quantities) for place, event in mended.items()})
        if dimensions is not None:
            others = {place: _encode(event.dimensions) if event.dimensions else None for place, event in mended.items()}
            dimensions = _mended(dimensions, others)
    found = EventColumns(
        sources=_texts(batch, "source", source),
        ids=ArrowColumn(batch.column("id")),
        customers=ArrowColumn(batch.column("customer")),
        types=_texts(batch, "type", DEFAULT_TYPE),
        at=_microseconds(batch.column("at")),
        quantities=quantities,
        dimensions=dimensions,
        evidence=_evidence(batch),
    )
    return found, {name: batch.column(name) for name in numbers}


def _evidence(batch: pa.RecordBatch) -> list[Evidence] | None:
    """Pair up what the rows say; a column without a value says as much as none."""
    there = {name: batch.column(name) for name in ("status", "resource") if name in batch.schema.names}
    if all(column.null_count == batch.num_rows for column in there.values()):
        return None
    nobody = [None] * batch.num_rows
    said = (there[name].to_pylist() if name in there else nobody for name in ("status", "resource"))
    return list(zip(*said, strict=True))


def _mended(column: Column[_Value], mended: Mapping[int, _Value]) -> Column[_Value]:
    """Put those of *mended* in their places."""
    values = list(column)
    for place, value in mended.items():
        values[place] = value
    return values


def _texts(batch: pa.RecordBatch, name: str, otherwise: str) -> str | Column[str]:
    if name not in batch.schema.names:
        return otherwise
    column = batch.column(name)
    distinct = column.unique()
    if len(distinct) == 1:
        return distinct[0].as_py() or otherwise
    return ArrowColumn(column.fill_null(otherwise))


def _microseconds(column: pa.Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    moments = column.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64())
    return np.ascontiguousarray(moments.to_numpy(zero_copy_only=False), np.int64)


def _json(batch: pa.RecordBatch, names: list[str], write: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Write an object of each row's values by name; what is null stands in none."""
    if not names:
        return pa.array(["{}"] * batch.num_rows, pa.string())
    members = [
        pc.binary_join_element_wise(f'"{name}":', write(batch.column(name)), "", null_handling="emit_null")
        for name in names
    ]
    inside = members[0] if len(members) == 1 else pc.binary_join_element_wise(*members, ",", null_handling="skip")
    return pc.binary_join_element_wise("{", inside.fill_null(""), "}", "")


def _number_text(column: pa.Array) -> pa.Array:
    """Write numbers in their one form: those that are whole without a point, the others as text in quotes."""
    if pa.types.is_integer(column.type):
        return column.cast(pa.string())
    text = column.cast(pa.string())
    cut = pc.utf8_rtrim(pc.utf8_rtrim(text, "0"), ".")
    pointed = pc.match_substring(text, ".")
    shortest = pc.if_else(pointed, cut, text)
    whole = pc.invert(pc.match_substring(shortest, "."))
    return pc.if_else(whole, shortest, pc.binary_join_element_wise('"', shortest, '"', ""))


def _quoted(column: pa.Array) -> pa.Array:
    return pa.array([None if one is None else _encode(one).decode() for one in column.to_pylist()], pa.string())


def _unclear(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Find the rows that are not plainly events: those that break a rule, or are written in an unusual way."""
    found = np.zeros(batch.num_rows, bool)
    for name in batch.schema.names:
        column = batch.column(name)
        kind = batch.schema.field(name).type
        if name == "at":
            written = column.cast(pa.int64())
            found |= _true(pc.or_(pc.less(written, 0), pc.greater(written, _LATEST[kind.unit])))
            if kind.unit == "ns":
                found |= _true(pc.not_equal(pc.multiply(pc.divide(written, 1000), 1000), written))
        elif _is_text(kind):
            most = MAX_EVIDENCE if name == "resource" else MAX_TEXT
            least = 0 if name == "resource" else 1
            if not _are_plain(column, least, most):
                length = pc.utf8_length(column)
                fits = pc.and_(pc.greater_equal(length, least), pc.less_equal(length, most))
                found |= _true(pc.or_(pc.invert(fits), pc.match_substring(column, "\0")))
        elif name == "status":
            status = column.cast(pa.int64(), safe=False)  # what is too large for that becomes negative
            found |= _true(pc.or_(pc.less(status, 0), pc.greater(status, 999)))
        elif not pa.types.is_unsigned_integer(kind):
            found |= _true(pc.less(column, 0))
            if pa.types.is_decimal(kind):
                text = column.cast(pa.string())
                found |= _true(pc.or_(pc.match_substring(text, "E"), pc.greater(pc.utf8_length(text), MAX_DIGITS)))
        if name in {"id", "customer", "at"}:
            found |= column.is_null().to_numpy(zero_copy_only=False)
    return found


def _are_plain(column: pa.StringArray, least: int, most: int) -> bool:
    """Say whether all texts have so many characters and no NUL, by a look that is quick and may miss some that are."""
    bytes_each = pc.min_max(pc.binary_length(column)).as_py()
    if bytes_each["min"] is None:
        return True
    start, end = np.frombuffer(column.buffers()[1], np.int32)[[column.offset, column.offset + len(column)]].tolist()
    written = memoryview(column.buffers()[2] or b"")[start:end]
    return bytes_each["min"] >= least and bytes_each["max"] <= most and b"\0" not in bytes(written)


def _true(mask: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    plain: np.ndarray[Any, np.dtype[np.bool_]] = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)  # noqa: FBT003 - a value
    return plain


def _instant(column: pa.Array, place: int) -> object:
    """Return the instant at *place*; None: there is none; or that it has digits which would be lost."""
    written = column[place].value
    if written is not None and not 0 <= written <= _LATEST[column.type.unit]:
        raise InvalidEvent("at", "must lie in the years 1970 to 9999")
    if written is not None and column.type.unit == "ns" and written % 1000:
        return _TOO_FINE
    return column[place : place + 1].cast(pa.timestamp("us", "UTC"), safe=False)[0].as_py()


def _read_row(row: dict[str, Any]) -> UsageEvent:
    """Hold one row against the rules that every event is held against."""
    for name in ("id", "customer", "at"):
        if row[name] is None:
            raise InvalidEvent(name, "is missing")
    if row["at"] is _TOO_FINE:
        raise InvalidEvent("at", "must not be finer than microseconds, six digits behind the point")
    others = {name: value for name, value in row.items() if name not in _FIELDS and value is not None}
    given = GivenEvent(
        customer=row["customer"],
        at=row["at"],
        id=row["id"],
        type=DEFAULT_TYPE if row.get("type") is None else row["type"],
        status=row.get("status"),
        resource=row.get("resource"),
        source=row.get("source"),
        dimensions={name: value for name, value in others.items() if isinstance(value, str)},
    )
    numbers = {
        name: value if isinstance(value, int) else write_number(value)
        for name, value in others.items()
        if not isinstance(value, str)
    }
    return msgspec.structs.replace(check_event(given), quantities=check_quantities(numbers))


def _check_columns(schema: pa.Schema) -> None:
    for name in ("id", "customer", "at"):
        if name not in schema.names:
            raise ColumnUnfit(column=name, rule="is missing")
    if len(set(schema.names)) < len(schema.names):
        raise ColumnUnfit(column=next(one for one in schema.names if schema.names.count(one) > 1), rule="stands twice")
    texts = sum(_check_column(column) for column in schema if column.name not in _FIELDS)
    for column in schema:
        _check_field(column)
    if len(schema) - len(_FIELDS & set(schema.names)) - texts > MAX_QUANTITIES or texts > MAX_DIMENSIONS:
        rule = f"is one of too many: at most {MAX_QUANTITIES} quantities and {MAX_DIMENSIONS} dimensions"
        raise ColumnUnfit(column=schema.names[-1], rule=rule)


def _check_field(column: pa.Field) -> None:
    """Hold the column of a field of an event against the type that it must have."""
    kind = column.type
    if column.name == "at" and not (pa.types.is_timestamp(kind) and kind.tz is not None):
        raise ColumnUnfit(column="at", rule=f"must hold timestamps with a time zone, and has {kind}")
    if column.name == "status" and not pa.types.is_integer(kind):
        raise ColumnUnfit(column="status", rule=f"must hold integers, and has {kind}")
    if column.name in _FIELDS - {"at", "status"} and not _is_text(kind):
        raise ColumnUnfit(column=column.name, rule=f"must hold text, and has {kind}")


def _check_column(column: pa.Field) -> bool:
    """Say whether a column that is no field of an event holds dimensions, and not quantities."""
    if _NAME.fullmatch(column.name) is None:
        raise ColumnUnfit(
            column=repr(column.name), rule="must be named by 1 to 64 of A-Z a-z 0-9 _ . -, no digit first"
        )
    if _is_text(column.type):
        return True
    if pa.types.is_floating(column.type):
        rule = f"has {column.type}, binary floating point, which is not exact; write decimals or integers"
        raise ColumnUnfit(column=column.name, rule=rule)
    if not pa.types.is_integer(column.type) and not pa.types.is_decimal(column.type):
        raise ColumnUnfit(column=column.name, rule=f"must hold integers, decimals or text, and has {column.type}")
    return False


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))
