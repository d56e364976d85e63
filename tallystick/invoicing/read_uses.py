"""Read uses: which grants pay for units of lines by now, and whether something can be given back to them."""

import datetime as dt
from collections.abc import Iterable

from tallystick.db.queries import Connection, queries_beside
from tallystick.wallets.draw import grant_left
from tallystick.wallets.give_back import LineKey, LineUse
from tallystick.wallets.model import UnitDraw

_queries = queries_beside(__file__)
_uses_of_lines = _queries.tuples("uses_of_lines")


async def read_uses(
    connection: Connection, book_id: int, lines: Iterable[LineKey], at: dt.datetime
) -> dict[LineKey, list[LineUse]]:
    """Return what grants pay of each of the lines, in order of its spending; *at* says which have expired."""
    wanted = sorted(set(lines))
    found: dict[LineKey, list[LineUse]] = {}
    if not wanted:
        return found
    rows = await _uses_of_lines(
        connection, book_id, [invoice_id for invoice_id, _ in wanted], [position for _, position in wanted], at
    )
    for invoice_id, position, asset, amount, quantity, gone, *grant in rows:
        draw = UnitDraw(grant_left(grant), asset, amount, quantity)
        found.setdefault((invoice_id, position), []).append(LineUse(draw, gone))
    return found
