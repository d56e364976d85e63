"""Bind a unit: say which meters credits in an asset pay for, and at what ratio."""

from decimal import Decimal

import msgspec

from tallystick.catalog.define_meter import find_meter
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.ledger.accounts import Recorded, find_asset
from tallystick.money import currency
from tallystick.rating.exact import plain
from tallystick.wallets.errors import MeterNotBound, UnitBound

_queries = queries_beside(__file__)
_insert_unit = _queries.run("insert_unit")
_find_unit = _queries.value("find_unit")
_find_bound = _queries.values("find_bound")
_list_units_told = _queries.tuples("list_units_told")


class BoundUnit(msgspec.Struct, frozen=True):
    """What a major unit of an asset pays for."""

    asset: str
    meter: str
    units: str
    """How many metered units."""


async def bind_unit(connection: Connection, recorded: Recorded, asset: str, meter: str, units: Decimal) -> BoundUnit:
    """
    Let credits in *asset* pay for the meter, or find that they do at that ratio.

    Raises:
        InvalidInput: the asset is a currency of ISO 4217 (``invalid_input``).
        UnknownAsset: it is not in the book (``ledger.unknown_asset``).
        UnknownMeter: the meter is not defined (``catalog.unknown_meter``).
        UnitBound: they do at another ratio (``wallets.unit_bound``).
    """
    if _is_currency(asset):
        raise InvalidInput(field="asset", rule="A currency pays invoices; what pays for a meter is a unit of your own")
    found = await find_asset(connection, recorded.book_id, asset)
    await find_meter(connection, recorded.book_id, meter)
    await _insert_unit(
        connection, recorded.book_id, found.asset_id, meter, units, recorded.message_place, recorded.at
    )  # fmt: skip
    bound = await _find_unit(connection, recorded.book_id, found.asset_id, meter)
    if bound != units:
        raise UnitBound(field="units", asset=asset, meter=meter, units=plain(bound))
    return BoundUnit(asset, meter, plain(units))


async def require_bound(connection: Connection, book_id: int, asset_id: int, asset: str, meters: list[str]) -> None:
    """
    Find that credits in the asset pay for each of *meters*.

    Raises:
        MeterNotBound: for one they do not (``wallets.meter_not_bound``).
    """
    bound = set(await _find_bound(connection, book_id, asset_id, meters))
    for place, meter in enumerate(meters):
        if meter not in bound:
            raise MeterNotBound(field=f"meters[{place}]", asset=asset, meter=meter)


async def list_units(connection: Connection, book_id: int) -> list[BoundUnit]:
    """Return what units pay for which meters, by asset and meter."""
    return [
        BoundUnit(asset, meter, plain(units)) for asset, meter, units in await _list_units_told(connection, book_id)
    ]


def _is_currency(code: str) -> bool:
    try:
        currency(code)
    except ValueError:
        return False
    return True
