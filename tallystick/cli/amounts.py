"""Amounts as people read them: in major units, with their asset."""

from collections.abc import Iterable, Mapping

from tallystick.ledger.accounts import find_asset
from tallystick.ledger.books import find_book
from tallystick.money import Asset, Money
from tallystick.open_store import Store


async def read_assets(store: Store, book: str, codes: Iterable[str]) -> dict[str, Asset]:
    """Return assets of the book by their codes, each once, in their order."""
    async with store.operations.pool.acquire() as connection:
        book_id = (await find_book(connection, book)).book_id
        return {
            code: Asset(code, (await find_asset(connection, book_id, code)).exponent) for code in sorted(set(codes))
        }


async def read_amounts(store: Store, book: str, totals: Mapping[str, int]) -> list[Money]:
    """Return totals in minor units by asset as amounts, in order of the assets' codes."""
    assets = await read_assets(store, book, totals)
    return [Money(totals[code], asset) for code, asset in assets.items()]
