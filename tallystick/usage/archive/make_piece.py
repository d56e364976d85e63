"""Make a piece: the table that rows of a piece that was dropped are read back into, and what it is called."""

from tallystick.db.queries import Connection, queries_beside
from tallystick.usage.archive.model import Piece, UnknownMonth, read_utc_month

_queries = queries_beside(__file__)
_make_piece = _queries.value("make_piece")
_name_piece = _queries.value("name_piece")
_pieces = _queries.rows("pieces", Piece)


async def make_piece(connection: Connection, book_id: int, month: str, piece: int) -> str:
    """
    Make the table, empty, and return its name; what one left there who did not finish goes.

    Raises:
        UnknownMonth: the piece was not dropped (``usage.unknown_month``).
    """
    first = read_utc_month(month)
    if not any(one.piece == piece and one.step == "dropped" for one in await _pieces(connection, book_id, first)):
        raise UnknownMonth(field="month", month=f"{month}, piece {piece}", state="dropped")
    name: str = await _make_piece(connection, book_id, first, piece)
    return name


async def name_piece(connection: Connection, book_id: int, month: str, piece: int) -> str:
    """Return the name of a piece's table."""
    name: str = await _name_piece(connection, book_id, read_utc_month(month), piece)
    return name
