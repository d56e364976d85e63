"""Keep a statement: its entries become facts, each once, however often the file comes."""

from collections.abc import Sequence
from typing import Any

from tallystick.collecting.bank.enter import enter_to_settle
from tallystick.collecting.bank.errors import BalanceDiffers, StatementDiffers
from tallystick.collecting.bank.model import Entry, Imported, StatementHead
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.ledger.accounts import Recorded, find_asset

_queries = queries_beside(__file__)
_count_entries = _queries.value("count_entries")
_sum_entries = _queries.tuples("sum_entries")
_insert_statement = _queries.run("insert_statement")
_insert_entries = _queries.run("insert_entries")
_find_entries = _queries.tuples("find_entries")


async def keep_statement(
    connection: Connection,
    recorded: Recorded,
    head: StatementHead,
    entries: Sequence[Entry],
    first: int,
    of: int,
    *,
    accept_difference: bool,
) -> Imported:
    """
    Keep the entries of a statement from position *first* on, of *of* that it has; what is kept already stays as it is.

    Raises:
        StatementDiffers: an entry was kept otherwise (``bank.statement_differs``).
        BalanceDiffers: with the last one it does not add up, and nobody accepts that (``bank.balance_differs``).
        InvalidInput: it has another number of entries (``invalid_input``).
        UnknownAsset: the book does not count in its currency (``ledger.unknown_asset``).
    """
    await enter_to_settle(connection, recorded.book_id)
    asset = await find_asset(connection, recorded.book_id, head.currency)
    statement = head.id
    kept_of = await _count_entries(connection, recorded.book_id, statement)
    last = first + len(entries) - 1
    if last > of or (kept_of is not None and kept_of != of):
        raise InvalidInput(field="of", rule=f"The statement has {kept_of if kept_of is not None else of} entries")
    if kept_of is None:
        await _insert_statement(
            connection, recorded.book_id, statement, head.account, asset.asset_id, head.number, head.opening.on,
            head.opening.amount, head.closing.on, head.closing.amount, of, recorded.message_place, recorded.at,
        )  # fmt: skip
    kept = dict(await find_kept(connection, recorded.book_id, statement, first, last))
    fresh = []
    for position, one in enumerate(entries, first):
        if position not in kept:
            fresh.append((position, one))
        elif kept[position] != one:
            raise StatementDiffers(
                field=f"entries[{position - first}]", position=position, what=_what(kept[position], one)
            )
    if fresh:
        await _insert_entries(connection, recorded.book_id, statement, recorded.message_place, *_columns(fresh))
    ((count, total),) = await _sum_entries(connection, recorded.book_id, statement)
    if count == of and head.opening.amount + total != head.closing.amount and not accept_difference:
        raise BalanceDiffers(field="closing", sum=head.opening.amount + total, closing=head.closing.amount)
    return Imported(statement, len(entries), len(fresh))


async def find_kept(
    connection: Connection, book_id: int, statement: object, first: int, last: int
) -> list[tuple[int, Entry]]:
    """Return entries that are kept, with their positions."""
    return [(row[0], entry_of(row[1:])) for row in await _find_entries(connection, book_id, statement, first, last)]


def entry_of(row: Sequence[Any]) -> Entry:
    """Make an entry of its columns."""
    value_on, booked_on, amount, reversal, code, reference, bank_reference, words, account, name = row
    return Entry(value_on, amount, booked_on, reversal, code, reference, bank_reference, words, account, name)


def _columns(entries: Sequence[tuple[int, Entry]]) -> list[list[Any]]:
    own = [one for _, one in entries]
    return [
        [position for position, _ in entries],
        [one.value_on for one in own],
        [one.booked_on for one in own],
        [one.amount for one in own],
        [one.reversal for one in own],
        [one.code for one in own],
        [one.reference for one in own],
        [one.bank_reference for one in own],
        [one.text for one in own],
        [one.account for one in own],
        [one.name for one in own],
    ]


def _what(kept: Entry, said: Entry) -> str:
    return next(name for name in Entry.__struct_fields__ if getattr(kept, name) != getattr(said, name))
