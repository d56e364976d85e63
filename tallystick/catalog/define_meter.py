"""Define a meter: once, for good, since invoices were counted by it."""

from tallystick.catalog.model import Meter
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ledger.accounts import Recorded

_queries = queries_beside(__file__)
_insert_meter = _queries.run("insert_meter")
_find_meter = _queries.row("find_meter", Meter)


class MeterExists(TallystickError):
    """The meter {meter} exists with another {differs}; define a new one under a new code."""

    code = "catalog.meter_exists"
    kind = Kind.CONFLICT


class UnknownMeter(TallystickError):
    """There is no meter {meter} in this book."""

    code = "catalog.unknown_meter"
    kind = Kind.NOT_FOUND


async def define_meter(connection: Connection, recorded: Recorded, wanted: Meter) -> Meter:
    """
    Add a meter to the catalog, or find it there with the same content.

    Raises:
        InvalidInput: a sum names no quantity, or a count names one (``invalid_input``).
        MeterExists: it exists with other content (``catalog.meter_exists``).
    """
    if (wanted.aggregation == "sum") != (wanted.quantity is not None):
        raise InvalidInput(field="quantity", rule="a sum names the quantity it adds up, a count names none")
    await _insert_meter(
        connection,
        recorded.book_id,
        wanted.code,
        wanted.name,
        wanted.event_type,
        wanted.aggregation,
        wanted.quantity,
        recorded.message_place,
        recorded.at,
    )
    found = await find_meter(connection, recorded.book_id, wanted.code)
    for name in ("name", "event_type", "aggregation", "quantity"):
        if getattr(found, name) != getattr(wanted, name):
            raise MeterExists(field=name, meter=wanted.code, differs=name)
    return found


async def find_meter(connection: Connection, book_id: int, code: str) -> Meter:
    """
    Return the meter *code*.

    Raises:
        UnknownMeter: there is none (``catalog.unknown_meter``).
    """
    found = await _find_meter(connection, book_id, code)
    if found is None:
        raise UnknownMeter(field="meter", meter=code)
    return found
