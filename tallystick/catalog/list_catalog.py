"""List what the catalog holds, page by page."""

import datetime as dt
from typing import Any

import msgspec

from tallystick.catalog.model import Meter, PriceVersion, instant_in_utc, meter_of
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput

_queries = queries_beside(__file__)
_list_meters = _queries.tuples("list_meters")
_list_prices = _queries.tuples("list_prices")
_meter_exists = _queries.value("meter_exists")
_price_exists = _queries.value("price_exists")
_CURSOR = "a cursor is what `next` of the page before gave"
_EARLIEST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


class MetersPage(msgspec.Struct, frozen=True):
    """Meters in order of code; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Meter]
    next: str | None


class PricesPage(msgspec.Struct, frozen=True):
    """Versions of prices by product, charge and instant; ``next`` is the cursor of the page behind, null on the last."""

    items: list[PriceVersion]
    next: str | None


async def list_meters(connection: Connection, book_id: int, after: str, limit: int) -> MetersPage:
    """
    Return *limit* meters whose codes sort behind *after*.

    Raises:
        InvalidInput: *after* is no meter (``invalid_input``).
    """
    if after and not await _meter_exists(connection, book_id, after):
        raise InvalidInput(field="after", rule=_CURSOR)
    found = await _list_meters(connection, book_id, after, limit + 1)
    items = [meter_of(row) for row in found[:limit]]
    return MetersPage(items, items[-1].code if len(found) > limit else None)


async def list_prices(connection: Connection, book_id: int, after: str, limit: int) -> PricesPage:
    """
    Return *limit* versions behind the cursor *after*.

    Raises:
        InvalidInput: *after* is not a cursor, or no version (``invalid_input``).
    """
    product, charge, effective_at = _read_cursor(after)
    if after and not await _price_exists(connection, book_id, product, charge, effective_at):
        raise InvalidInput(field="after", rule=_CURSOR)
    rows = await _list_prices(connection, book_id, product, charge, effective_at, limit + 1)
    items = [price_version(row) for row in rows[:limit]]
    return PricesPage(items, _cursor(items[-1]) if len(rows) > limit else None)


def price_version(row: tuple[Any, ...]) -> PriceVersion:
    """Read one row of the table, its price as JSON text last."""
    product, charge, effective_at, name, meter, asset, price = row
    return PriceVersion(product, charge, effective_at, name, meter, asset, msgspec.json.decode(price))


def _cursor(last: PriceVersion) -> str:
    return f"{last.product}/{last.charge}/{last.effective_at.isoformat()}"


def _read_cursor(text: str) -> tuple[str, str, dt.datetime]:
    if not text:
        return "", "", _EARLIEST
    try:
        product, charge, instant = text.split("/")
        return product, charge, instant_in_utc(dt.datetime.fromisoformat(instant))
    except ValueError as error:
        raise InvalidInput(field="after", rule=_CURSOR) from error
