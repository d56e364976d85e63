"""Amounts as people read them: in major units, with their asset."""

from collections.abc import Mapping

from tallystick.ledger.accounts import find_asset
from tallystick.ledger.books import find_book
from tallystick.main import Store
from tallystick.money import Asset, Money


async def read_amounts(store: Store, book: str, totals: Mapping[str, int]) -> list[Money]:
    """Return totals in minor units by asset as amounts, in order of the assets' codes."""
    async with store.operations.pool.acquire() as connection:
        book_id = (await find_book(connection, book)).book_id
        return [
            Money(total, Asset(code, (await find_asset(connection, book_id, code)).exponent))
            for code, total in sorted(totals.items())
        ]
