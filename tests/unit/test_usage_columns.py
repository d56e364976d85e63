"""Columns of usage: keyed, told apart and written alike however many there are, and whatever holds them."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa

from tallystick.db.copy import BIGINT, FixedTable
from tallystick.ids import id_of_content
from tallystick.usage.columns import FEW, ArrowColumn, EventColumns, columns_of
from tallystick.usage.model import Quantity, UsageEvent
from tallystick.usage.store_events import _rows

AT = dt.datetime(2015, 5, 17, 10, tzinfo=dt.UTC)
COUNT = FEW + 101


def events() -> list[UsageEvent]:
    """Make more events than are gone through one by one: some with dimensions, texts of many lengths, three repeats."""
    made = []
    for number in range(COUNT):
        some: dict[str, Quantity] = {"bytes": number, "gb": Decimal("0.5")}
        event = UsageEvent(
            id=f"é{number % (COUNT - 3)}" * (1 + number % 30),
            customer=f"customer-{number % 7}",
            type="http.request" if number % 2 else "sms",
            at=AT + dt.timedelta(microseconds=number),
            quantities=some if number % 5 else {},
            source="elsewhere" if number % 3 else None,
            dimensions={"region": "x" * (number % 90 + 1)} if number % 4 else None,
        )
        made.append(event)
    return made


def in_parts(given: list[UsageEvent]) -> list[EventColumns]:
    """Return the same events as columns of few."""
    return [columns_of("door", given[start : start + FEW // 2]) for start in range(0, len(given), FEW // 2)]


def test_few_events_and_many_are_keyed_and_told_apart_alike() -> None:
    """Going through events one by one gives the keys and contents that Arrow gives; a key is that of source and id."""
    many, parts = columns_of("door", events()), in_parts(events())

    assert many.keys.tobytes() == b"".join(part.keys.tobytes() for part in parts)
    assert many.contents.tobytes() == b"".join(part.contents.tobytes() for part in parts)
    first = events()[0]
    assert many.keys[0].tobytes() == id_of_content(["door", first.id]).bytes


def test_few_events_and_many_are_written_alike() -> None:
    """The rows for the store are the same bytes, with NULL where there are no dimensions, in whatever order is wanted."""
    fixed = FixedTable("usage_event", {"customer_id": BIGINT})
    many = columns_of("door", events())
    places = np.arange(COUNT)[::-1].copy()
    written = _rows(fixed.encode_rows(COUNT, {"customer_id": places}, further=5), many, places)

    one_by_one = []
    for part, start in zip(in_parts(events()), range(0, COUNT, FEW // 2), strict=True):
        own = np.arange(len(part))[::-1].copy()
        one_by_one.append(_rows(fixed.encode_rows(len(part), {"customer_id": own + start}, further=5), part, own))

    assert written == b"".join(reversed(one_by_one))


def test_columns_of_a_file_are_what_lists_of_the_same_are() -> None:
    """A column that Arrow holds gives keys, contents, customers, order and digest of the list of its values."""
    lists = columns_of("door", events())
    held = replace(
        lists,
        ids=ArrowColumn(pa.array(list(lists.ids), pa.string())),
        customers=ArrowColumn(pa.array(list(lists.customers), pa.string())),
        quantities=ArrowColumn(pa.array(list(lists.quantities), pa.binary())),
    )

    assert held.digest == lists.digest
    assert held.by_customer[0] == lists.by_customer[0] == [f"customer-{number}" for number in range(7)]
    assert held.customers_at([1, 8, 2]) == {"customer-1", "customer-2"}
    assert (held.ids[3], list(held.ids)) == (lists.ids[3], list(lists.ids))


def test_the_order_is_that_of_the_keys_and_repeats_are_seen() -> None:
    """Keys in order are their bytes in order; two events of one source and id are a repeat, and only they are."""
    some = columns_of("door", events())
    ordered = [some.keys[place].tobytes() for place in some.in_order.tolist()]

    assert ordered == sorted(ordered)
    assert not some.has_repeats
    assert columns_of("door", [*events(), events()[5]]).has_repeats
