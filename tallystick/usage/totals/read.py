"""Read: what a meter reads per bucket, customer and dimensions, out of totals, of ends, and of what is not folded yet."""

import base64
import bisect
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from tallystick import canonical
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.periods import Period
from tallystick.usage.aggregate import MeterQuery, divide_by_unit
from tallystick.usage.model import write_number
from tallystick.usage.totals.buckets import take_apart
from tallystick.usage.totals.require_there import require_there

_queries = queries_beside(__file__)
_plan_for_the_values = _queries.value("plan_for_the_values")
_folded_through = _queries.value("folded_through")
_any_correction = _queries.value("any_correction")
_read_totals = _queries.tuples("read_totals")
_read_distinct = _queries.tuples("read_distinct")
_read_largest = _queries.tuples("read_largest")
_read_latest = _queries.tuples("read_latest")
_read_held = _queries.tuples("read_held")
_customers_behind = _queries.values("customers_behind")
_names_of_customers = _queries.tuples("names_of_customers")

_OF_PARTS = {"count", "sum", "unique"}
"""What is read of the parts of totals alone, each of which is planned by itself."""
_ALL = 2**63 - 1
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST = dt.datetime(1, 1, 3, tzinfo=dt.UTC)
"""Before all usage: a level holds from wherever it was set."""
_MICROSECOND = dt.timedelta(microseconds=1)
_HOUR, _DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
"""What totals are of: of everybody together by hour, of single customers by day."""
_CURSOR = "a cursor is what `next` of the page before gave, for the same question"
_MOST_ROUNDS = 100
"""After so many rounds of customers without usage a page is handed out empty, with the cursor to go on from."""


class Total(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a meter reads in one bucket, of one customer or all, for one combination of dimensions."""

    start_at: dt.datetime
    end_at: dt.datetime
    events: int
    quantity: str
    """A decimal number, without an exponent."""
    customer: str | None = None
    """Given where customers are told apart."""
    dimensions: dict[str, str | None] = {}
    """Those that were asked to be told apart by; null: the events have none of that name."""


class TotalsPage(msgspec.Struct, frozen=True):
    """
    Readings that are not empty, by customer, time and dimensions.

    ``next`` is the cursor of the page behind, null on the last; a page can come short with more behind it.
    """

    items: list[Total]
    next: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which readings."""

    meter: MeterQuery
    edges: Sequence[dt.datetime]
    """Where the buckets begin, and the end of the last."""
    customer_id: int | None = None
    """Only this one's usage; None: everybody's."""
    by_customer: bool = False
    group_by: tuple[str, ...] = ()


class _Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """The place of a reading: customer (0 where they are not told apart), bucket, dimensions."""

    customer_id: int
    start: int | None
    """When the bucket begins, in microseconds since 1970; None: before all of them."""
    grouped: list[str | None]


async def read_totals(connection: Connection, book_id: int, wanted: Wanted, after: str, limit: int) -> TotalsPage:
    """
    Return at most *limit* readings behind the cursor *after*; inside of a transaction that sees one moment.

    They equal the readings of the single events as stored: hours that lie whole in a bucket are taken from the totals,
    the rest of it, and what came in since the totals were last brought up to date, event by event.

    Raises:
        InvalidInput: *after* is not a cursor (``invalid_input``).
        EventsAway: events that it takes have left with their month (``usage.events_away``).
    """
    if wanted.meter.aggregation not in _OF_PARTS:
        await _plan_for_the_values(connection)
    behind = _read_cursor(after, wanted)
    await _require_there(connection, book_id, wanted, _taken_singly(wanted))
    if wanted.by_customer and wanted.customer_id is None:
        return await _read_by_customer(connection, book_id, wanted, behind, limit)
    if not wanted.by_customer and behind.start is not None:  # the buckets before need not be read again
        wanted = replace(wanted, edges=wanted.edges[_bucket_of(behind, wanted.edges) - 1 :])
    only = None if wanted.customer_id is None else [wanted.customer_id]
    rows = await _read(connection, book_id, wanted, only, behind, limit + 1)
    return await _page(connection, book_id, wanted, rows, limit)


async def _read_by_customer(
    connection: Connection, book_id: int, wanted: Wanted, behind: _Cursor, limit: int
) -> TotalsPage:
    """Read a few customers at a time, until there is something to hand out."""
    at_once = max(1, limit // (len(wanted.edges) - 1))
    customer_id = behind.customer_id
    for _ in range(_MOST_ROUNDS):
        found = await _customers_behind(connection, book_id, customer_id, at_once + 1)
        some, following = found[:at_once], found[at_once:]
        rows = await _read(connection, book_id, wanted, some, behind, limit + 1)
        page = await _page(connection, book_id, wanted, rows, limit)
        if page.next is not None or not following:
            return page
        customer_id = following[0]
        if rows:
            return msgspec.structs.replace(page, next=_write_cursor(_Cursor(customer_id, None, [])))
    return TotalsPage([], _write_cursor(_Cursor(customer_id, None, [])))


async def _read(
    connection: Connection,
    book_id: int,
    wanted: Wanted,
    customers: Sequence[int] | None,
    behind: _Cursor,
    limit: int,
) -> list[tuple[Any, ...]]:
    """Return rows of customer, bucket, dimensions, events, quantity, in that order, behind a place in it."""
    meter = wanted.meter
    filters = canonical.encode({name: list(values) for name, values in meter.filters.items()}).decode()
    turn = (behind.customer_id, _bucket_of(behind, wanted.edges), behind.grouped, limit)
    told_apart = (list(wanted.group_by), wanted.by_customer)
    # Counts and sums find the place themselves, in the same breath.
    through = None if meter.aggregation in {"count", "sum"} else await _folded_through(connection, book_id)
    straight = (book_id, customers, meter.event_type, list(wanted.edges), filters, *told_apart, *turn, meter.quantity)
    match meter.aggregation:
        case "latest":
            return await _read_latest(connection, *straight)
        case "time_weighted":
            return [_held(row, wanted) for row in await _read_held(connection, *straight, meter.dimension)]
        case "max" if await _any_correction(connection, book_id, through, _ALL):
            await _require_there(connection, book_id, wanted, [Period(wanted.edges[0], wanted.edges[-1])])
            return await _read_largest(connection, *straight)
    pieces = take_apart(wanted.edges, _HOUR if customers is None else _DAY)
    ends = [one.start_at for one in pieces.ends], [one.end_at for one in pieces.ends]
    asked = (book_id, customers, meter.event_type, meter.quantity or "", pieces.whole, *ends, through,
             list(wanted.edges), filters, *told_apart, *turn)  # fmt: skip
    if meter.aggregation == "unique":
        return await _read_distinct(connection, *asked, meter.dimension)
    rows = await _read_totals(connection, *asked)
    place = {"count": 3, "sum": 4, "max": 5}[meter.aggregation]
    return [(*row[:4], row[place]) for row in rows]


def _taken_singly(wanted: Wanted) -> Sequence[Period]:
    """Return the spans, in order, of which single events are read, whatever the totals keep."""
    match wanted.meter.aggregation:
        case "latest":
            return [Period(wanted.edges[0], wanted.edges[-1])]
        case "time_weighted":
            return [Period(_FIRST, wanted.edges[-1])]
    told_apart = wanted.by_customer or wanted.customer_id is not None
    return take_apart(wanted.edges, _DAY if told_apart else _HOUR).ends


async def _require_there(connection: Connection, book_id: int, wanted: Wanted, spans: Sequence[Period]) -> None:
    measured = wanted.meter.event_type, wanted.meter.quantity or ""
    await require_there(connection, book_id, measured, wanted.customer_id, spans)


def _held(row: tuple[Any, ...], wanted: Wanted) -> tuple[Any, ...]:
    """Divide what was held in a bucket by the unit of time."""
    period = Period(wanted.edges[row[1] - 1], wanted.edges[row[1]])
    return (*row[:4], divide_by_unit(row[4], wanted.meter.time_unit or "period", period))


async def _page(
    connection: Connection, book_id: int, wanted: Wanted, rows: Sequence[tuple[Any, ...]], limit: int
) -> TotalsPage:
    shown, edges = rows[:limit], wanted.edges
    names = {}
    if wanted.by_customer and shown:
        names = dict(await _names_of_customers(connection, book_id, list({row[0] for row in shown})))
    items = [
        Total(
            edges[bucket - 1], edges[bucket], events, write_number(quantity), names.get(customer_id),
            dict(zip(wanted.group_by, grouped, strict=True)),
        )
        for customer_id, bucket, grouped, events, quantity, *_ in shown
    ]  # fmt: skip
    if len(rows) <= limit:
        return TotalsPage(items, None)
    customer_id, bucket, grouped = shown[-1][:3]
    last = _Cursor(customer_id, (edges[bucket - 1] - _EPOCH) // _MICROSECOND, grouped)
    return TotalsPage(items, _write_cursor(last))


def _bucket_of(cursor: _Cursor, edges: Sequence[dt.datetime]) -> int:
    """Return the number of the bucket that *cursor* is in, from 1; 0 if it is before all."""
    return 0 if cursor.start is None else bisect.bisect(edges, _EPOCH + cursor.start * _MICROSECOND)


def _write_cursor(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _read_cursor(text: str, wanted: Wanted) -> _Cursor:
    """
    Read a cursor; an empty one is before all.

    Raises:
        InvalidInput: no page of these readings gave it (``invalid_input``).
    """
    if not text:
        return _Cursor(0, None, [])
    try:
        padded = text + "=" * (-len(text) % 4)
        cursor = msgspec.json.decode(base64.b64decode(padded, b"-_", validate=True), type=_Cursor)
        known = cursor.start is None or _EPOCH + cursor.start * _MICROSECOND in wanted.edges[:-1]
    except (ValueError, OverflowError, msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(field="after", rule=_CURSOR) from error
    of_group = len(wanted.group_by) if cursor.start is not None else 0
    texts = "".join(one or "" for one in cursor.grouped)
    if not known or len(cursor.grouped) != of_group or not 0 <= cursor.customer_id <= _ALL or "\0" in texts:
        raise InvalidInput(field="after", rule=_CURSOR)
    return cursor
