"""Share a snapshot: several connections see the database as it was at one moment."""

import re

from tallystick.db.queries import Connection, queries_beside

_queries = queries_beside(__file__)
_export_snapshot = _queries.value("export_snapshot")
_stay_idle = _queries.run("stay_idle")

_SNAPSHOT = re.compile("[0-9A-F]+-[0-9A-F]+-[0-9]+")


async def export_snapshot(connection: Connection) -> str:
    """Return the name of what the transaction under way sees; others can take it as long as that lasts."""
    await _stay_idle(connection)
    name: str = await _export_snapshot(connection)
    return name


async def take_snapshot(connection: Connection, name: str) -> None:
    """
    See what another transaction sees: the first thing to do in one of REPEATABLE READ.

    Raises:
        ValueError: *name* is none that PostgreSQL gives.
    """
    if not _SNAPSHOT.fullmatch(name):
        raise ValueError(name)
    await connection.execute(f"SET TRANSACTION SNAPSHOT '{name}'")  # it takes no parameters
    await _stay_idle(connection)
