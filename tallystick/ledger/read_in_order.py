"""Read in order: balances as of the transaction's own place in the order, of accounts that nobody moves meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.post import Ledger
from tallystick.ledger.remember_sums import BalancesBefore

_queries = queries_beside(__file__)
_take_place = _queries.tuples("take_place")
_lock_limited = _queries.run("lock_limited")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the transaction stands in the order, and below what all had ended when it took its place."""

    place: int
    horizon: int


async def take_place(connection: Connection) -> Place:
    """Take the transaction's place in the order, or find the one that it has."""
    ((place, horizon),) = await _take_place(connection)
    return Place(place, horizon)


async def read_in_order(
    connection: Connection, ledger: Ledger, place: Place, accounts: Sequence[int]
) -> BalancesBefore:
    """Lock *accounts*, which are in order of id, until the transaction ends, and return their balances before *place*."""
    await _lock_limited(connection, ledger.book_id, list(accounts))
    return await ledger.sums.find_before(connection, ledger.book_id, accounts, place.place, place.horizon)
