"""Set a price: append a version to a charge, in force from an instant on."""

import msgspec

from tallystick import canonical
from tallystick.catalog.define_meter import find_meter
from tallystick.catalog.list_catalog import price_version
from tallystick.catalog.model import PriceVersion, instant_in_utc
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ledger.accounts import Recorded, find_asset
from tallystick.rating.check_number import InvalidPrice
from tallystick.rating.model import Flat, Price
from tallystick.rating.rate import needs
from tallystick.rating.read_price import price_to_builtins, read_price

_queries = queries_beside(__file__)
_lock_prices = _queries.run("lock_prices")
_insert_price = _queries.run("insert_price")
_find_price = _queries.tuples("find_price")


class PriceExists(TallystickError):
    """The charge {charge} has a version from that instant on with another {differs}; take a later instant."""

    code = "catalog.price_exists"
    kind = Kind.CONFLICT


async def enter_to_price(connection: Connection, book_id: int, product: str) -> None:
    """
    Wait until nobody drafts invoices of the product, and let nobody begin before the transaction ends.

    Before the transaction takes its place in the order: so a draft never misses a price that stands before it there.
    """
    await _lock_prices(connection, book_id, product)


async def set_price(connection: Connection, recorded: Recorded, wanted: PriceVersion) -> PriceVersion:
    """
    Append a version to a charge, or find it there with the same content.

    It may begin in the past, also in a period that was invoiced: what stands on an invoice stays as it is.

    Raises:
        InvalidPrice: the price breaks a rule of its model (``rating.invalid_price``).
        InvalidInput: a flat price names a meter, or another names none, or one that has no single amounts where the
            price judges each; the instant is outside the calendar (``invalid_input``).
        UnknownMeter: the meter is not defined (``catalog.unknown_meter``).
        UnknownAsset: the asset is not in the book (``ledger.unknown_asset``).
        PriceExists: that instant has a version with other content (``catalog.price_exists``).
    """
    price = _read(wanted)
    try:
        instant_in_utc(wanted.effective_at)
    except ValueError as error:
        raise InvalidInput(field="effective_at", rule=str(error)) from error
    if isinstance(price, Flat) != (wanted.meter is None):
        raise InvalidInput(field="meter", rule="a flat price names no meter, and every other price names one")
    if wanted.meter is not None:
        meter = await find_meter(connection, recorded.book_id, wanted.meter)
        if needs(price) == "transactions" and meter.aggregation != "sum":
            raise InvalidInput(field="meter", rule="a price that judges each transaction needs a meter that adds up")
    asset = await find_asset(connection, recorded.book_id, wanted.asset)
    content = price_to_builtins(price)
    await enter_to_price(connection, recorded.book_id, wanted.product)
    await _insert_price(
        connection,
        recorded.book_id,
        wanted.product,
        wanted.charge,
        wanted.effective_at,
        wanted.name,
        wanted.meter,
        asset.asset_id,
        canonical.encode(content).decode(),
        recorded.message_place,
        recorded.at,
    )
    (row,) = await _find_price(connection, recorded.book_id, wanted.product, wanted.charge, wanted.effective_at)
    found = price_version(row)
    _require_same(msgspec.structs.replace(wanted, price=content), found)
    return found


def _read(wanted: PriceVersion) -> Price:
    """Read the price; what is wrong with it is said with its path in the whole input."""
    try:
        return read_price(wanted.price)
    except InvalidPrice as error:
        error.field = f"price.{error.field}" if error.field else "price"
        raise


def _require_same(wanted: PriceVersion, found: PriceVersion) -> None:
    for name in ("name", "meter", "asset", "price"):
        if getattr(wanted, name) != getattr(found, name):
            raise PriceExists(field=name, charge=wanted.charge, differs=name)
