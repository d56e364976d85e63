"""Meters, versions of prices, and the windows of time in which a version is in force."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tallystick.money import Asset
from tallystick.periods import Period
from tallystick.rating.model import Price

Aggregation = Literal["count", "sum"]


class Meter(msgspec.Struct, frozen=True):
    """What counts usage: the events of one type, or one of their quantities added up."""

    code: str
    name: str
    """What it counts, in the plural, as invoices print it: ``requests``."""
    event_type: str
    aggregation: Aggregation
    quantity: str | None
    """Which quantity of the events is added up; null exactly when events are counted."""


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
