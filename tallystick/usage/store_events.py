"""Store events: by COPY, in the form the store takes as it stands, made column by column."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tallystick.db.copy import BIGINT, INTEGER, SMALLINT, UUID, FixedTable, copy_in, framed
from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.usage.columns import EventColumns

_queries = queries_beside(__file__)
_order_transaction = _queries.value("order_transaction")
_insert_not_billable = _queries.run("insert_not_billable")
_insert_conflicts = _queries.run("insert_conflicts")

_SINCE_2000 = 946_684_800_000_000
"""Microseconds from 1970 to where PostgreSQL counts from."""
_KEYS = FixedTable(
    "usage_key",
    {"event_key": UUID, "content": UUID, "customer_id": BIGINT, "occurred_at": BIGINT, "book_id": INTEGER},
)
_FIXED = FixedTable(
    "usage_event",
    {
        "customer_id": BIGINT, "occurred_at": BIGINT, "transaction_id": BIGINT, "event_key": UUID, "book_id": INTEGER,
        "message_place": INTEGER, "sign": SMALLINT,
    },
)  # fmt: skip
_TEXTS = ("type", "source", "event_id", "quantities", "dimensions")
_JSONB = b"\1"
"""What stands before the text of a jsonb: the version of its form."""
_NULL = (-1).to_bytes(4, "big", signed=True)
_NOTHING = pa.scalar(b"", pa.binary())
_encode = msgspec.json.Encoder(order="sorted").encode
_Places = npt.NDArray[np.int64]


async def store_events(
    connection: Connection,
    recorded: Recorded,
    events: EventColumns,
    places: _Places,
    customer_ids: npt.NDArray[np.int64],
) -> None:
    """
    Append the *events* at *places*, whose customers are *customer_ids*, and their keys.

    In order of key: transactions that share some wait for each other, and never in a ring.

    Raises:
        asyncpg.UniqueViolationError: one of them is there.
        asyncpg.CheckViolationError: there is no partition for one of their months.
    """
    ordered = _in_order(events.keys[places])
    places, customer_ids = places[ordered], customer_ids[ordered]
    same: dict[str, Any] = {
        "event_key": events.keys[places],
        "customer_id": customer_ids,
        "occurred_at": events.at[places] - _SINCE_2000,
        "book_id": recorded.book_id,
    }
    keys = _KEYS.encode(len(places), {**same, "content": events.contents[places]})
    await copy_in(connection, _KEYS.name, _KEYS.columns, keys)
    order = await _order_transaction(connection)
    fixed = {**same, "transaction_id": order, "message_place": recorded.message_place, "sign": 1}
    rows = _rows(_FIXED.encode_rows(len(places), fixed, further=len(_TEXTS)), events, places)
    await copy_in(connection, _FIXED.name, (*_FIXED.columns, *_TEXTS), framed(rows))


def _in_order(keys: npt.NDArray[np.void]) -> _Places:
    """Return the places of keys in their order, which is that of their bytes."""
    halves = keys.view(np.uint8).reshape(-1, 2, 8).view(">u8")[:, :, 0].astype(np.uint64)
    return np.lexsort((halves[:, 1], halves[:, 0]))


def _rows(fixed: npt.NDArray[np.void], events: EventColumns, places: _Places) -> bytes:
    """Put the texts of each event behind its fixed columns; one call makes the bytes of all rows."""
    taken = places.tolist()
    pieces = [
        _binary(fixed),
        *_text(events.types, taken),
        *_text(events.sources, taken),
        *_text(events.ids, taken),
        *_json([events.quantities[place] for place in taken]),
        *_json_or_null(events.dimensions, taken),
    ]
    rows: pa.BinaryArray = pc.binary_join_element_wise(*pieces, _NOTHING)
    start, end = rows.offset, rows.offset + len(rows)
    offsets = np.frombuffer(rows.buffers()[1], np.int32)
    written: bytes = rows.buffers()[2][int(offsets[start]) : int(offsets[end])].to_pybytes()
    return written


def _text(column: str | list[str], places: list[int]) -> list[Any]:
    """Return the lengths and the texts of a column, or both in one where they are the same for all."""
    if isinstance(column, str):
        text = column.encode()
        return [pa.scalar(len(text).to_bytes(4, "big") + text, pa.binary())]
    texts = pa.array([column[place] for place in places], pa.string()).cast(pa.binary())
    return [_lengths(texts, 0), texts]


def _json(texts: list[bytes]) -> list[Any]:
    column = pa.array(texts, pa.binary())
    return [_lengths(column, len(_JSONB)), pa.scalar(_JSONB, pa.binary()), column]


def _json_or_null(column: list[bytes | None] | None, places: list[int]) -> list[Any]:
    if column is None:
        return [pa.scalar(_NULL, pa.binary())]
    taken = [column[place] for place in places]
    return [
        pa.array(
            [_NULL if one is None else (len(one) + 1).to_bytes(4, "big") + _JSONB + one for one in taken], pa.binary()
        )
    ]


def _lengths(column: pa.Array, beside: int) -> pa.Array:
    """Write the length of each value, with the bytes *beside* it, as the store reads it."""
    lengths = pc.binary_length(column).to_numpy(zero_copy_only=False) + beside
    return _binary(np.ascontiguousarray(lengths, ">i4"))


def _binary(column: npt.NDArray[Any]) -> pa.Array:
    """Return a column of values of one width as one of any."""
    width = column.dtype.itemsize
    offsets = np.arange(0, (len(column) + 1) * width, width, dtype=np.int32)
    return pa.Array.from_buffers(
        pa.binary(), len(column), [None, pa.py_buffer(offsets), pa.py_buffer(column.tobytes())]
    )


async def keep_refused(
    connection: Connection,
    recorded: Recorded,
    events: EventColumns,
    not_billable: tuple[list[int], list[str]],
    conflicts: tuple[list[int], list[str | None]],
) -> None:
    """Keep that the events at some places were not billable and why, and what those in conflict said."""
    places, reasons = not_billable
    if places:
        keys = _array_text(events, places)
        await _insert_not_billable(connection, recorded.book_id, recorded.message_place, recorded.at, keys, reasons)
    places, fields = conflicts
    if places:
        await _insert_conflicts(
            connection,
            recorded.book_id,
            recorded.message_place,
            recorded.at,
            _array_text(events, places),
            places,
            fields,
            [_said(events, place) for place in places],
        )


def _array_text(events: EventColumns, places: Sequence[int]) -> str:
    return f"{{{','.join(key.hex() for key in events.keys[np.array(places)].tolist())}}}"


def _said(events: EventColumns, place: int) -> str:
    """Write what an event says beside its source and id."""
    dimensions = events.dimensions[place] if events.dimensions is not None else None
    said: dict[str, object] = {
        "customer": events.customers[place],
        "type": events.types if isinstance(events.types, str) else events.types[place],
        "at": np.datetime_as_string(events.at[place].view("datetime64[us]")) + "Z",
        "quantities": msgspec.Raw(events.quantities[place]),
    }
    if dimensions is not None:
        said["dimensions"] = msgspec.Raw(dimensions)
    return _encode(said).decode()
