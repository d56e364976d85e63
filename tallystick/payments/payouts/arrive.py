"""
Arrive: an entry of a bank statement is a payout, or the return of one that failed; what was on its way is the bank's.

What was said of the wrong entry is taken back, and can be said of another.
"""

import uuid

from tallystick.db.queries import queries_beside
from tallystick.db.retry import OrderLost
from tallystick.ids import id_of_content
from tallystick.ledger.model import Reason
from tallystick.ledger.read_in_order import take_place
from tallystick.payments.payouts.accounts import Books, Move, bank, on_the_way
from tallystick.payments.payouts.errors import EntryNotOfPayout, NotOnStatement
from tallystick.payments.payouts.find import find_payout
from tallystick.payments.payouts.model import Payout, line_id

_queries = queries_beside(__file__)
_find_entry = _queries.tuples("find_entry")
_find_steps = _queries.values("find_steps")
_insert_step = _queries.run("insert_step")
_insert_bank_match = _queries.run("insert_bank_match")
_find_arrival = _queries.tuples("find_arrival")
_count_arrivals = _queries.value("count_arrivals")
_insert_arrival_undo = _queries.run("insert_arrival_undo")


async def arrive(books: Books, payout_id: uuid.UUID, statement: uuid.UUID, position: int) -> Payout:
    """
    Let an entry of a statement be a payout that arrived, or that the bank sent back after it failed.

    Nobody else may settle entries meanwhile: that is for the caller to see to.

    Raises:
        UnknownPayout: none with this id was recorded (``payouts.unknown_payout``).
        EntryNotOfPayout: there is no such entry, it is something else, or of another amount or asset
            (``payouts.entry_not_of_payout``).
    """
    await books.enter()
    payout = await find_payout(books.connection, books.book_id, payout_id)
    steps = await _find_steps(books.connection, books.book_id, payout_id)
    entry = line_id(statement, position)
    found = await _find_entry(books.connection, books.book_id, statement, position)
    if not found:
        raise EntryNotOfPayout(field="entry", entry=entry, why="there is no such entry")
    asset, amount, matched, ordered = found[0]
    if ordered > (await take_place(books.connection)).place:
        raise OrderLost
    if matched:
        raise EntryNotOfPayout(field="entry", entry=entry, why="it is matched already")
    step = _step(payout, amount, steps)
    if step is None or asset != payout.asset:
        why = (
            f"it is {amount:,} {asset}, and the payout is {payout.amount:,} {payout.asset}, {_standing(payout, steps)}"
        )
        raise EntryNotOfPayout(field="entry", entry=entry, why=why)
    recorded = books.recorded
    nth = int(await _count_arrivals(books.connection, books.book_id, payout_id, step))
    await _insert_step(
        books.connection, books.book_id, payout_id, step, statement, position, recorded.message_place, recorded.at
    )
    why = f"the payout {payout.provider_id} of {payout.provider}" + (", sent back" if step == "returned" else "")
    await _insert_bank_match(
        books.connection, books.book_id, statement, position, why, recorded.message_place, recorded.at
    )
    on_way = on_the_way(payout.provider, asset)
    move = Move(_moved(payout_id, step, nth), bank(asset), on_way, amount, Reason.PAYOUT)
    await books.move(asset, [move])
    return await find_payout(books.connection, books.book_id, payout_id)


async def undo_arrival(books: Books, payout_id: uuid.UUID, reason: str) -> Payout:
    """
    Take back which entry a payout was said to be last: its money is on its way again, and the entry is nothing yet.

    Nobody else may settle entries meanwhile: that is for the caller to see to.

    Raises:
        UnknownPayout: none with this id was recorded (``payouts.unknown_payout``).
        NotOnStatement: no entry was said to be it (``payouts.not_on_statement``).
        AccountUnusable: an account that moved is closed by now (``payouts.account_unusable``).
    """
    await books.enter()
    payout = await find_payout(books.connection, books.book_id, payout_id)
    steps = await _find_steps(books.connection, books.book_id, payout_id)
    step = next((one for one in ("returned", "arrived") if one in steps), None)
    if step is None:
        raise NotOnStatement(field="id", payout=payout.provider_id)
    ((statement, position, ordered),) = await _find_arrival(books.connection, books.book_id, payout_id, step)
    if ordered > (await take_place(books.connection)).place:
        raise OrderLost
    nth = int(await _count_arrivals(books.connection, books.book_id, payout_id, step))
    recorded = books.recorded
    await _insert_arrival_undo(
        books.connection, books.book_id, statement, position, ordered, payout_id, step, reason, recorded.message_place,
        recorded.at,
    )  # fmt: skip
    amount = payout.amount if step == "arrived" else -payout.amount
    on_way = on_the_way(payout.provider, payout.asset)
    move = Move(_moved(payout_id, f"not {step}", nth), on_way, bank(payout.asset), amount, Reason.PAYOUT)
    await books.move(payout.asset, [move])
    return await find_payout(books.connection, books.book_id, payout_id)


def _moved(payout_id: uuid.UUID, what: str, nth: int) -> uuid.UUID:
    """Derive the id of a transfer: the first of its kind, or one behind what was taken back."""
    return id_of_content(("payout", what, str(payout_id)) if nth == 0 else ("payout", what, str(payout_id), str(nth)))


def _step(payout: Payout, amount: int, steps: list[str]) -> str | None:
    """Return what an entry of this amount says of a payout; None: nothing."""
    if amount == payout.amount and "arrived" not in steps:
        return "arrived"
    if amount == -payout.amount and "failed" in steps and "returned" not in steps:
        return "returned"
    return None


def _standing(payout: Payout, steps: list[str]) -> str:
    return f"{payout.status}, {'on a statement already' if 'arrived' in steps else 'on no statement yet'}"
