"""Watch a wallet: set the threshold below which its fall is noticed."""

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded, find_asset

_queries = queries_beside(__file__)
_insert_threshold = _queries.run("insert_threshold")
_enter_to_grant = _queries.run("enter_to_grant")


async def set_threshold(
    connection: Connection, recorded: Recorded, customer_id: int, asset: str, threshold: int | None
) -> None:
    """
    Notice from now on when what the customer has of *asset* falls below *threshold*; None to stop.

    A wallet that is below it already is noticed when it falls the next time from at least as much.

    Raises:
        UnknownAsset: the asset is not in the book (``ledger.unknown_asset``).
    """
    await _enter_to_grant(connection, recorded.book_id)
    found = await find_asset(connection, recorded.book_id, asset)
    await _insert_threshold(
        connection, recorded.book_id, customer_id, found.asset_id, threshold, recorded.message_place, recorded.at
    )
