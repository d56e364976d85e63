"""Find slips with all that was heard of them."""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tallystick.collecting.slips.draw_barcode import data_of
from tallystick.collecting.slips.errors import UnknownSlip
from tallystick.collecting.slips.model import Notice, Settlement, Slip, SlipPart, SlipsPage, SlipStatus
from tallystick.collecting.slips.number import read_number
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput

_queries = queries_beside(__file__)
_find_slips = _queries.tuples("find_slips")
_find_parts = _queries.tuples("find_parts")
_find_notices = _queries.tuples("find_notices")
_find_settlements = _queries.tuples("find_settlements")
_page_slips = _queries.values("page_slips")
_slip_exists = _queries.value("slip_exists")
_find_by_number = _queries.tuples("find_by_number")


class Found(NamedTuple):
    """A slip, and the numbers of its customer and asset."""

    slip: Slip
    customer_id: int
    asset_id: int


async def find_slips(
    connection: Connection, book_id: int, slip_ids: Sequence[uuid.UUID], at: dt.datetime
) -> list[Found]:
    """Return slips as they stand at an instant, in the order that they are asked for in; who is unknown is left out."""
    ids = list(slip_ids)
    parts, notices, settlements = (
        _by_slip(rows) for rows in (
            await _find_parts(connection, book_id, ids), await _find_notices(connection, book_id, ids),
            await _find_settlements(connection, book_id, ids),
        )
    )  # fmt: skip
    return [
        _found(
            row,
            [SlipPart(one[0], one[1]) for one in parts[row[0]]],
            [_notice(one) for one in notices[row[0]]],
            [_settlement(one) for one in settlements[row[0]]],
            at,
        )
        for row in await _find_slips(connection, book_id, ids)
    ]


async def find_slip(connection: Connection, book_id: int, slip_id: uuid.UUID, at: dt.datetime) -> Found:
    """
    Return a slip as it stands at an instant.

    Raises:
        UnknownSlip: there is none (``slips.unknown_slip``).
    """
    found = await find_slips(connection, book_id, [slip_id], at)
    if not found:
        raise UnknownSlip(field="id", slip=slip_id)
    return found[0]


async def find_numbered(connection: Connection, book_id: int, numbers: Iterable[str]) -> dict[str, uuid.UUID]:
    """Return the ids of those slips that there are, by number."""
    rows = await _find_by_number(connection, book_id, sorted(set(numbers)))
    return {number: slip_id for slip_id, number in rows}


async def require_numbered(connection: Connection, book_id: int, text: str, at: dt.datetime) -> Found:
    """
    Return the slip that has a number.

    Raises:
        InvalidInput: the number is none, or its check digits do not fit (``invalid_input``).
        UnknownSlip: there is none (``slips.unknown_slip``).
    """
    number = read_number(text, "number")
    ids = await find_numbered(connection, book_id, [number])
    if number not in ids:
        raise UnknownSlip(field="number", slip=number)
    return await find_slip(connection, book_id, ids[number], at)


class Wanted(NamedTuple):
    """Which slips a page shows."""

    customer: str | None
    invoice: uuid.UUID | None


async def page_slips(
    connection: Connection, book_id: int, wanted: Wanted, after: uuid.UUID | None, limit: int, at: dt.datetime
) -> SlipsPage:
    """
    Return a page of slips in the order in which they were issued.

    Raises:
        InvalidInput: *after* is no slip (``invalid_input``).
    """
    if after is not None and not await _slip_exists(connection, book_id, after):
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    ids = await _page_slips(connection, book_id, *wanted, after, limit + 1)
    items = [one.slip for one in await find_slips(connection, book_id, ids[:limit], at)]
    return SlipsPage(items, items[-1].id if len(ids) > limit else None)


def _by_slip(rows: Iterable[tuple[Any, ...]]) -> defaultdict[uuid.UUID, list[tuple[Any, ...]]]:
    found: defaultdict[uuid.UUID, list[tuple[Any, ...]]] = defaultdict(list)
    for slip_id, *rest in rows:
        found[slip_id].append(tuple(rest))
    return found


def _notice(row: tuple[Any, ...]) -> Notice:
    reference, amount, store, paid_at, late, withdrawn, settled, noticed_at = row
    state = "settled" if settled else "withdrawn" if withdrawn else "announced"
    return Notice(reference, amount, store, paid_at, late, state, noticed_at)  # type: ignore[arg-type] # one of the three


def _settlement(row: tuple[Any, ...]) -> Settlement:
    reference, amount, paid_on, repayment_id, unallocated, settled_at = row
    return Settlement(reference, amount, paid_on, repayment_id, unallocated, settled_at)


def _found(
    row: tuple[Any, ...],
    parts: list[SlipPart],
    notices: list[Notice],
    settlements: list[Settlement],
    at: dt.datetime,
) -> Found:
    slip_id, number, customer, asset, amount, expires_on, zone, issued_at, customer_id, asset_id, cancelled = row
    announced = sum(one.amount for one in notices if one.state == "announced")
    settled = sum(one.amount for one in settlements)
    expired = day_in(zone, at) > expires_on
    slip = Slip(
        id=slip_id,
        number=number,
        barcode=data_of(number, expires_on, amount),
        customer=customer,
        asset=asset,
        amount=amount,
        expires_on=expires_on,
        zone=zone,
        status=status_of(settled=settled > 0, announced=announced > 0, cancelled=cancelled, expired=expired),
        announced=announced,
        settled=settled,
        invoices=parts,
        notices=notices,
        settlements=settlements,
        issued_at=issued_at,
    )
    return Found(slip, customer_id, asset_id)


def status_of(*, settled: bool, announced: bool, cancelled: bool, expired: bool) -> SlipStatus:
    """Return where a slip stands by what there is of it: money counts more than a notice, and that more than a date."""
    if settled:
        return "settled"
    if announced:
        return "noticed"
    if cancelled:
        return "cancelled"
    return "expired" if expired else "open"


def day_in(zone: str, at: dt.datetime) -> dt.date:
    """Return the day that an instant is on in a zone."""
    return at.astimezone(ZoneInfo(zone)).date()
