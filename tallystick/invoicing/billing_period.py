"""The month a product is invoiced for, in the one zone that the product is invoiced by."""

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ledger.accounts import Recorded
from tallystick.periods import Period, iana_zones, month

_queries = queries_beside(__file__)
_insert_zone = _queries.run("insert_zone")
_find_zone = _queries.value("find_zone")


class OtherZone(TallystickError):
    """The product {product} is invoiced by the months of {zone}; months of another zone would overlap them."""

    code = "invoicing.other_zone"
    kind = Kind.CONFLICT


def read_month(text: str, zone: str) -> Period:
    """
    Read ``2015-05`` as that month in *zone*.

    Raises:
        InvalidInput: it is not a month, or there is no such zone (``invalid_input``).
    """
    if zone not in iana_zones():
        raise InvalidInput(field="zone", rule="a zone is an IANA name such as UTC or Europe/Vienna")
    try:
        return month(text, zone)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(field="month", rule="a month is written as 2015-05, in the years 1 to 9999") from error


async def fix_zone(connection: Connection, recorded: Recorded, product: str, zone: str) -> None:
    """
    Invoice *product* by the months of *zone* from the first time on.

    Raises:
        OtherZone: it is invoiced by another's (``invoicing.other_zone``).
    """
    await _insert_zone(connection, recorded.book_id, product, zone, recorded.message_place, recorded.at)
    found = await _find_zone(connection, recorded.book_id, product)
    if found != zone:
        raise OtherZone(field="zone", product=product, zone=found)


async def require_zone(connection: Connection, book_id: int, product: str, zone: str) -> None:
    """
    Hold *zone* against the one that *product* is invoiced by, if it ever was.

    Raises:
        OtherZone: it is invoiced by another's (``invoicing.other_zone``).
    """
    found = await _find_zone(connection, book_id, product)
    if found not in {None, zone}:
        raise OtherZone(field="zone", product=product, zone=found)
