"""Read the messages of a book in their order, those of a transaction together."""

from collections.abc import AsyncIterator

from tallystick.db.queries import Connection, queries_beside
from tallystick.journal.model import Kept

_queries = queries_beside(__file__)
_read_messages = _queries.rows("read_messages", Kept)
find_bound = _queries.value("find_bound")
"""Returns the place below which every transaction has ended, so that what is read there stays as it is."""
count_messages = _queries.value("count_messages")
_AT_ONCE = 2_000


async def read_transactions(connection: Connection, book_id: int, bound: int) -> AsyncIterator[list[Kept]]:
    """Give the messages below *bound*, transaction by transaction, each in order of place."""
    gathered: list[Kept] = []
    transaction_id, place = 0, -1
    while page := await _read_messages(connection, book_id, bound, transaction_id, place, _AT_ONCE):
        transaction_id, place = page[-1].transaction_id, page[-1].place
        for one in page:
            if gathered and gathered[-1].transaction_id != one.transaction_id:
                yield gathered
                gathered = []
            gathered.append(one)
    if gathered:
        yield gathered
