"""Keep what witnesses said of checkpoints."""

import datetime as dt
from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.log.cosignature import Cosignature, Witness

_queries = queries_beside(__file__)
_insert_cosignature = _queries.run("insert_cosignature")
_newest_size_of_witness = _queries.value("newest_size_of_witness")


async def keep_cosignatures(connection: Connection, book_id: int, size: int, found: Sequence[Cosignature]) -> None:
    """Keep cosignatures of the checkpoint at *size* leaves; of each witness the first that came."""
    for one in found:
        at = dt.datetime.fromtimestamp(one.time, dt.UTC)
        await _insert_cosignature(connection, book_id, size, str(one.witness), one.line, at)


async def newest_size_of(connection: Connection, book_id: int, witness: Witness) -> int:
    """Return the size of the newest checkpoint that we hold the witness's cosignature of; 0 when of none."""
    size: int = await _newest_size_of_witness(connection, book_id, str(witness))
    return size
