"""Compare: is an event under a known id the same again, or another one?"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from tallystick.db.queries import Connection, queries_beside
from tallystick.usage.columns import EventColumns

_queries = queries_beside(__file__)
_find_first_contents = _queries.tuples("find_first_contents")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)

Difference = str | None
"""The first field that differs; empty: none does; None: one of type, quantities and dimensions, nobody knows which."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of every event for ever."""

    customer_id: int
    at: dt.datetime
    content: bytes | None
    """As ``EventColumns.contents`` derives it; None: it was stored before that was done."""


async def compare_with_known(
    connection: Connection,
    book_id: int,
    events: EventColumns,
    known: Mapping[int, Known],
    id_of: Callable[[str], int | None],
) -> dict[int, Difference]:
    """
    Say of each event, by place, in which field it differs from what is *known* under its id.

    It is compared with what first came in, whatever was amended since. Of an event that has left with its month no more
    is known than that its content was another; and where no content was derived, nothing that speaks against it.
    """
    differences: dict[int, Difference] = {}
    unclear: list[int] = []
    contents = events.contents
    names, codes = events.by_customer
    for place, one in known.items():
        if id_of(names[codes[place]]) != one.customer_id:
            differences[place] = "customer"
        elif events.at[place] != (one.at - _EPOCH) // _MICROSECOND:
            differences[place] = "at"
        elif contents[place].tobytes() == one.content:
            differences[place] = ""
        else:
            unclear.append(place)
    if unclear:
        for place, said in (await _compare_contents(connection, book_id, events, unclear)).items():
            differences[place] = "" if said is None and known[place].content is None else said
    return differences


def compare_with_earlier(events: EventColumns, place: int, earlier: int) -> Difference:
    """Say in which field the event at *place* differs from an *earlier* one of the same batch under the same id."""
    if events.customers[place] != events.customers[earlier]:
        return "customer"
    if events.at[place] != events.at[earlier]:
        return "at"
    return _first_other(_content(events, place), _content(events, earlier))


async def _compare_contents(
    connection: Connection, book_id: int, events: EventColumns, places: list[int]
) -> dict[int, Difference]:
    keys = [key.hex() for key in events.keys[np.array(places)].tolist()]
    rows = await _find_first_contents(connection, book_id, f"{{{','.join(sorted(set(keys)))}}}")
    stored = {
        key.hex: (type_, msgspec.json.decode(quantities), msgspec.json.decode(dimensions or b"{}"))
        for key, type_, quantities, dimensions in rows
    }
    return {
        place: _first_other(_content(events, place), stored[key]) if key in stored else None
        for place, key in zip(places, keys, strict=True)
    }


_Content = tuple[str, dict[str, Any], dict[str, str]]


def _content(events: EventColumns, place: int) -> _Content:
    type_ = events.types if isinstance(events.types, str) else events.types[place]
    dimensions = events.dimensions[place] if events.dimensions is not None else None
    return type_, msgspec.json.decode(events.quantities[place]), msgspec.json.decode(dimensions or b"{}")


def _first_other(one: _Content, other: _Content) -> Difference:
    if one[0] != other[0]:
        return "type"
    if not _same_numbers(one[1], other[1]):
        return "quantities"
    return "" if one[2] == other[2] else "dimensions"


def _same_numbers(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Compare by value: what is stored has decimals as strings, and 0.5 is 0.50."""
    return one.keys() == other.keys() and all(Decimal(one[name]) == Decimal(other[name]) for name in one)
