"""Find the prices of a period: for each charge the windows in which its versions are in force."""

import itertools
from typing import Any

from tallystick.catalog.model import PriceWindow, meter_of
from tallystick.db.queries import Connection, queries_beside
from tallystick.money import Asset
from tallystick.periods import Period
from tallystick.rating.read_price import read_price

_queries = queries_beside(__file__)
_versions_in = _queries.tuples("versions_in")
ALL = 2**63 - 1
"""Behind every place in the order of transactions."""


async def prices_in(
    connection: Connection, book_id: int, product: str, period: Period, *, below: int = ALL
) -> list[PriceWindow]:
    """
    Return the windows of *period* by charge and time: the version in force at its start and each change inside.

    A charge's windows touch and do not overlap; before its first version a charge has none. Only versions count that
    were set by transactions ordered *below* that place.
    """
    rows = await _versions_in(connection, book_id, product, period.start_at, period.end_at, below)
    windows: list[PriceWindow] = []
    for _, versions in itertools.groupby(rows, key=lambda row: row[0]):
        windows.extend(_windows(list(versions), period))
    return windows


def _windows(versions: list[tuple[Any, ...]], period: Period) -> list[PriceWindow]:
    """Cut what lies behind the first version at the later ones; they come in order of time."""
    starts = [effective_at for _, _, effective_at, *_ in versions]
    covered = Period(max(period.start_at, starts[0]), period.end_at)
    return [_window(row, piece) for row, piece in zip(versions, covered.cut(starts[1:]), strict=True)]


def _window(row: tuple[Any, ...], period: Period) -> PriceWindow:
    charge, name, effective_at, model, asset_id, asset, exponent, *meter = row
    return PriceWindow(
        charge,
        name,
        None if meter[0] is None else meter_of(meter),
        asset_id,
        Asset(asset, exponent),
        read_price(model.encode()),
        effective_at,
        period,
    )
