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
from tallystick.usage.columns import FEW, EventColumns, texts_or_one, values_of

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
_NOTHING, _VERSION = pa.scalar(b"", pa.binary()), pa.scalar(_JSONB, pa.binary())
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

    Keys in their order: transactions that share some wait for each other, and never in a ring. Events by customer: those
    of one lie side by side in the index, and the store finds their place faster.

    Raises:
        asyncpg.UniqueViolationError: one of them is there.
        asyncpg.CheckViolationError: there is no partition for one of their months.
    """
    numbered = np.zeros(len(events), np.int64)
    numbered[places] = customer_ids
    ordered = _in_order(events, places)
    keys = _KEYS.encode(
        len(places),
        {
            "event_key": events.keys[ordered],
            "content": events.contents[ordered],
            "customer_id": numbered[ordered],
            "occurred_at": events.at[ordered] - _SINCE_2000,
            "book_id": recorded.book_id,
        },
    )
    await copy_in(connection, _KEYS.name, _KEYS.columns, keys)
    ordered = places[np.argsort(customer_ids, kind="stable")]
    fixed = {
        "customer_id": numbered[ordered],
        "occurred_at": events.at[ordered] - _SINCE_2000,
        "transaction_id": await _order_transaction(connection),
        "event_key": events.keys[ordered],
        "book_id": recorded.book_id,
        "message_place": recorded.message_place,
        "sign": 1,
    }
    rows = _rows(_FIXED.encode_rows(len(places), fixed, further=len(_TEXTS)), events, ordered)
    await copy_in(connection, _FIXED.name, (*_FIXED.columns, *_TEXTS), framed(rows))


def _in_order(events: EventColumns, places: _Places) -> _Places:
    """Return *places* in the order of their keys."""
    if len(places) == len(events):
        return events.in_order
    wanted = np.zeros(len(events), bool)
    wanted[places] = True
    return events.in_order[wanted[events.in_order]]


def _rows(fixed: npt.NDArray[np.void], events: EventColumns, places: _Places) -> bytes:
    """Put the texts of each event behind its fixed columns; one call makes the bytes of all rows."""
    if len(events) < FEW:
        return _few_rows(fixed, events, places.tolist())
    taken = pa.array(places)
    pieces = [
        _binary(fixed),
        *_text(texts_or_one(events.types), taken),
        *_text(texts_or_one(events.sources), taken),
        *_text(events.id_texts, taken),
        *_json(events.quantity_texts, taken),
        *_json_or_null(events.dimension_texts, taken),
    ]
    rows: pa.BinaryArray = pc.binary_join_element_wise(*pieces, _NOTHING)
    start, end = rows.offset, rows.offset + len(rows)
    offsets = np.frombuffer(rows.buffers()[1], np.int32)
    written: bytes = rows.buffers()[2][int(offsets[start]) : int(offsets[end])].to_pybytes()
    return written


def _few_rows(fixed: npt.NDArray[np.void], events: EventColumns, places: list[int]) -> bytes:
    """Make the same rows one by one."""
    beside: list[Sequence[bytes | None]] = [
        *(values_of(column, len(events)) for column in (events.types, events.sources, events.ids)),
        [_JSONB + one for one in events.quantities],
        [None if one is None else _JSONB + one for one in events.dimensions or [None] * len(events)],
    ]
    pieces: list[bytes] = []
    for place, start in zip(places, fixed, strict=True):
        pieces.append(start.tobytes())
        for column in beside:
            one = column[place]
            pieces += (_NULL,) if one is None else (len(one).to_bytes(4, "big"), one)
    return b"".join(pieces)


def _text(column: pa.BinaryScalar | pa.BinaryArray, places: pa.Array) -> list[Any]:
    """Return the lengths and the texts of a column, or both in one where they are the same for all."""
    if isinstance(column, pa.Scalar):
        text = column.as_py()
        return [pa.scalar(len(text).to_bytes(4, "big") + text, pa.binary())]
    texts = column.take(places)
    return [_lengths(texts, 0), texts]


def _json(column: pa.BinaryArray, places: pa.Array) -> list[Any]:
    texts = column.take(places)
    return [_lengths(texts, len(_JSONB)), _VERSION, texts]


def _json_or_null(column: pa.BinaryArray | None, places: pa.Array) -> list[Any]:
    if column is None:
        return [pa.scalar(_NULL, pa.binary())]
    texts = column.take(places)
    if not texts.null_count:
        return [_lengths(texts, len(_JSONB)), _VERSION, texts]
    version = pc.if_else(texts.is_null(), _NOTHING, _VERSION)
    return [_lengths(texts, len(_JSONB)), version, texts.fill_null(b"")]


def _lengths(column: pa.Array, beside: int) -> pa.Array | pa.Scalar:
    """Write the length of each value, with the bytes *beside* it, as the store reads it, or -1 for one that is null."""
    lengths = pc.add(pc.binary_length(column), beside).fill_null(-1).to_numpy(zero_copy_only=False)
    if int(lengths.min()) == int(lengths.max()):
        return pa.scalar(int(lengths[0]).to_bytes(4, "big", signed=True), pa.binary())
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
