"""Meters, versions of prices, and the windows of time in which a version is in force."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tallystick.money import Asset
from tallystick.periods import Period
from tallystick.rating.model import Price

Aggregation = Literal["count", "sum", "max", "unique", "latest", "time_weighted"]
"""What a meter makes of events; the closed set."""
TimeUnit = Literal["hour", "day", "period"]
"""
An hour, 24 hours, or the whole of the period that is read.

Where a price or a plan changes inside a billing period, each part is read by itself: a level of 1 held all through then
reads 1 in each. By ``hour`` or ``day`` the parts add up.
"""


class Meter(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What measures usage, out of the events of one type.

    ``count`` counts them; ``sum``, ``max`` and ``latest`` add up one of their quantities, take its largest value, or that
    of the last event; ``unique`` counts the distinct values of a dimension; ``time_weighted`` has each event set a
    level that holds until the next, and adds up how high it was for how long.
    """

    code: str
    name: str
    """What it counts, in the plural, as invoices print it: ``requests``."""
    event_type: str
    aggregation: Aggregation
    quantity: str | None
    """Which quantity of the events; null exactly for ``count`` and ``unique``."""
    dimension: str | None = None
    """Of ``unique`` the one whose values are counted; of ``time_weighted``, each value has a level of its own."""
    filters: dict[str, list[str]] = {}
    """Only events count whose dimensions have one of these values each; ascending."""
    group_by: list[str] = []
    """The dimensions that totals may be told apart by."""
    time_unit: TimeUnit | None = None
    """Given exactly for ``time_weighted``: a level of 1 held for so long reads 1."""


def meter_of(row: Sequence[Any]) -> Meter:
    """Read a meter from its columns, in the order of its fields, its filters as JSON text."""
    code, name, event_type, aggregation, quantity, dimension, filters, group_by, time_unit = row
    return Meter(
        code, name, event_type, aggregation, quantity, dimension, msgspec.json.decode(filters), group_by, time_unit
    )


class PriceVersion(msgspec.Struct, frozen=True):
    """What a charge of a product costs from *effective_at* until the next version of the same charge."""

    product: str
    charge: str
    effective_at: dt.datetime
    name: str
    meter: str | None
    """Null: a flat charge, due whatever was used."""
    asset: str
    price: dict[str, Any]
    """As ``tallystick.rating`` reads and writes it."""


def instant_in_utc(instant: dt.datetime) -> dt.datetime:
    """
    Return *instant* in UTC.

    Raises:
        ValueError: it has no zone, or in UTC it is outside the calendar.
    """
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    try:
        return instant.astimezone(dt.UTC)
    except OverflowError as error:
        raise ValueError("an instant is of the years 1 to 9999, in UTC") from error


@dataclass(frozen=True, slots=True)
class PriceWindow:
    """The part of a period in which one version of one charge is in force."""

    charge: str
    name: str
    meter: Meter | None
    asset_id: int
    asset: Asset
    price: Price
    effective_at: dt.datetime
    """Which version it is."""
    period: Period
