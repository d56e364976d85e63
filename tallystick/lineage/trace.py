"""
Trace: from any id back to what a record came from, and forward to what was made of it, one query each way.

    back:     receipt ─ payment ─ invoice ─ draft ─ line ─ usage, price
    forward:  message ─ all that it made;  usage ─ line ─ draft ─ invoice ─ payment ─ receipt
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tallystick.db.queries import Connection, Queries, queries_beside
from tallystick.errors import Kind as ErrorKind
from tallystick.errors import TallystickError
from tallystick.journal.model import Kept
from tallystick.ledger.model import Reason
from tallystick.lineage.kinds import KINDS, Kind
from tallystick.lineage.model import Asked, Link, Links, Record, Trace, Traced
from tallystick.lineage.read_id import Wanted, read_id

MOST_DEPTH = 8
"""No chain is longer."""
MOST_RECORDS = 2_000
"""So many are told at once, those nearest to the id first."""

FURTHER = 20
"""So many of each kind are told further along the way."""

_Path = tuple[int, ...]
_Row = tuple[Any, ...]
_Children = Mapping[_Path, Sequence[_Row]]


class UnknownId(TallystickError):
    """Nothing in this book has the id {id}; understood are message keys, ids of receipts, payments, invoices, transfers, usage events and API keys, invoice numbers, lines as INVOICE/LINE, usage events as SOURCE/ID, places in the log as place:N, providers' ids of payments, codes of accounts, assets and meters, customers, and prices as PRODUCT/CHARGE@INSTANT."""

    code = "lineage.unknown_id"
    kind = ErrorKind.NOT_FOUND


class UnknownMessage(TallystickError):
    """There is no message {key} in this book."""

    code = "lineage.unknown_message"
    kind = ErrorKind.NOT_FOUND


_pieces = Queries(Path(__file__).with_name("kinds.sql")).blocks


def _follow(edges: Sequence[str]) -> Callable[..., Awaitable[list[_Row]]]:
    """Put the query together that goes from an id along *edges*."""
    queries = queries_beside(__file__)
    told = [_pieces["told_message"], _pieces["told_line"], *(_pieces[f"told_{kind.name}"] for kind in KINDS)]
    for mark, selects in (("{found}", _starting("found_")), ("{edges}", edges), ("{told}", told)):
        together = "\nUNION ALL\n".join(f"({select})" for select in selects)
        queries.blocks["follow"] = queries.blocks["follow"].replace(mark, together)
    return queries.tuples("follow")


def _starting(prefix: str) -> list[str]:
    return [sql for name, sql in _pieces.items() if name.startswith(prefix)]


def _made(kind: Kind) -> str:
    """Return what finds those records of a kind that a message made."""
    if kind.key is None:
        return _pieces[f"made_{kind.name}"]
    return _pieces["made"].format(kind=kind.name, key=", ".join(kind.key), table=kind.table, order=kind.first)


_back = _follow(_starting("back_"))
_forward = _follow([*map(_made, KINDS), *_starting("forward_")])
_find_message = queries_beside(__file__).row("find_message", Kept)
_plan_for_any_id = queries_beside(__file__).value("plan_for_any_id")


async def trace(connection: Connection, book_id: int, id_: str, *, depth: int, limit: int, after: int) -> Trace:
    """
    Return every record that *id_* names, with *depth* steps of what lies behind and ahead of each; in a transaction.

    Of each kind *limit* are told behind the first *after*, and ``FURTHER`` at the most further along the way.

    Raises:
        UnknownId: nothing has this id (``lineage.unknown_id``).
        InvalidInput: it cannot be an id (``invalid_input``).
    """
    wanted = read_id(id_)
    asked = (connection, book_id, wanted, depth, limit, after)
    back, forward = await _ask(_back, *asked), await _ask(_forward, *asked)
    if not back:
        raise UnknownId(field="id", id=id_[:100])
    behind, ahead = _by_parent(back), _by_parent(forward)
    found = [
        Traced(_record(row), _links(behind, tuple(row[0]), after), _links(ahead, tuple(row[0]), after))
        for row in behind[()]
    ]
    return Trace(id_, found, max(len(back), len(forward)) < MOST_RECORDS)


async def find_message(connection: Connection, book_id: int, key: str) -> Kept:
    """
    Return the message *key* as it was kept.

    Raises:
        UnknownMessage: there is none (``lineage.unknown_message``).
    """
    kept = await _find_message(connection, book_id, key)
    if kept is None:
        raise UnknownMessage(field="key", key=key)
    return kept


async def records_of(connection: Connection, book_id: int, kept: Kept, *, limit: int, after: int) -> list[Links]:
    """Return what a message made: of each kind *limit* records behind the first *after*."""
    nothing = Wanted("", None, None, kept.transaction_id, kept.place, None, None, None, [], None)
    rows = await _ask(_forward, connection, book_id, nothing, 1, limit, after)
    return _links(_by_parent(rows), (1,), after)


async def _ask(
    follow: Callable[..., Awaitable[list[_Row]]],
    connection: Connection,
    book_id: int,
    wanted: Wanted,
    depth: int,
    limit: int,
    after: int,
) -> list[_Row]:
    """Follow a chain by the plan that any id has: planning anew for each takes ten times as long as going there."""
    await _plan_for_any_id(connection)
    return await follow(connection, book_id, *wanted, limit, depth, MOST_RECORDS, after)


def _by_parent(rows: Sequence[_Row]) -> dict[_Path, list[_Row]]:
    """Sort rows under the path of the record that they were come to from; they are in order already."""
    children: dict[_Path, list[_Row]] = {}
    for row in rows:
        children.setdefault(tuple(row[0][:-1]), []).append(row)
    return children


def _links(children: _Children, path: _Path, after: int | None = None) -> list[Links]:
    """Group what a record is linked to by kind; *after* is None further along the way, where no page is turned."""
    kinds: dict[str, list[_Row]] = {}
    for row in children.get(path, ()):
        kinds.setdefault(row[1], []).append(row)
    found = []
    for kind, rows in kinds.items():
        total = rows[0][11]
        seen = (after or 0) + len(rows)
        more = after is not None and (len(rows) >= FURTHER if total is None else seen < total)
        items = [Link(_record(row), _links(children, tuple(row[0]))) for row in rows]
        found.append(Links(kind, total, seen if more else None, items))
    return found


def _record(row: _Row) -> Record:
    (_, kind, id_, what, at, amount, asset, exponent, reason, transfer_id, place, _, message_id, key, operation, by,
     asked_at) = row  # fmt: skip
    return Record(
        kind=kind,
        id=id_,
        what=what,
        at=at,
        amount=amount,
        asset=asset,
        exponent=exponent,
        reason=None if reason is None else Reason(reason).name.lower(),
        transfer_id=transfer_id,
        place=place,
        message=None if key is None else Asked(message_id, key, operation, by, asked_at),
    )
