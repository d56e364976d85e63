"""By hand: a person says what a line is, books it, or takes back what was said."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.db.queries import queries_beside
from tallystick.db.retry import OrderLost
from tallystick.ids import id_of_content
from tallystick.ledger.accounts import find_account
from tallystick.ledger.model import Reason
from tallystick.ledger.read_in_order import take_place
from tallystick.payments.payouts.accounts import Books, Move, adjustments, conversions, held
from tallystick.payments.payouts.candidates import Known, Open, find_by_id, find_open
from tallystick.payments.payouts.errors import (
    LineMatched,
    NothingToUndo,
    NotMatchable,
    PartnerTaken,
    UnknownLine,
    UnknownPartner,
)
from tallystick.payments.payouts.keep_matches import Found, keep_matches
from tallystick.payments.payouts.model import PartnerKind, line_id
from tallystick.repayments.dues import lock_and_read

_queries = queries_beside(__file__)
_find_line = _queries.value("find_line")
_find_match = _queries.tuples("find_match")
_count_matches = _queries.value("count_matches")
_find_ordered = _queries.value("find_ordered")
_find_moved = _queries.tuples("find_moved")
_insert_undo = _queries.run("insert_undo")
_find_unallocated = _queries.values("find_unallocated")
_find_account_ids = _queries.values("find_account_ids")
_insert_open = _queries.run("insert_open")

_SAID = "a person said so"


@dataclass(frozen=True, slots=True)
class LineOf:
    """Which line of which payout."""

    payout_id: uuid.UUID
    position: int

    @property
    def id(self) -> str:
        """Write our id of it."""
        return line_id(self.payout_id, self.position)


async def match_by_hand(
    books: Books, line: LineOf, partner: PartnerKind, partner_id: uuid.UUID, difference_to: str | None
) -> None:
    """
    Let a line be something of ours, since a person says so.

    Where the amounts differ, the difference is booked on *difference_to*; where the assets do, both amounts go through
    the provider's conversions, so that each asset adds up for itself.

    Raises:
        UnknownLine: there is no such line (``payouts.unknown_line``).
        LineMatched: it is matched already (``payouts.line_matched``).
        UnknownPartner: there is nothing of ours with this id (``payouts.unknown_partner``).
        PartnerTaken: another line is that (``payouts.partner_taken``).
        NotMatchable: the book has no money of it, it is another provider's, or amounts differ and nobody said where the
            difference goes (``payouts.not_matchable``).
        AccountUnusable: the difference cannot be booked there (``payouts.account_unusable``).
    """
    waiting = await _require_open(books, line)
    known = await _require_partner(books, line, waiting, partner, partner_id)
    one = known.candidate
    asset, own = waiting.line.asset, held(waiting.provider, waiting.line.asset)
    nth = 1 + int(await _count_matches(books.connection, books.book_id, line.payout_id, line.position))
    difference = waiting.open - one.amount
    if one.asset != asset:
        moves = [
            (asset, Move(_moved(line, nth, "in"), own, conversions(waiting.provider, asset), waiting.open,
                         Reason.PAYOUT_ADJUST)),
            (one.asset, Move(_moved(line, nth, "out"), conversions(waiting.provider, one.asset),
                             held(waiting.provider, one.asset), one.amount, Reason.PAYOUT_ADJUST)),
        ]  # fmt: skip
        why = f"{_SAID}: {one.amount:,} {one.asset} for {waiting.open:,} {asset}"
    elif difference == 0:
        moves, why = [], _SAID
    elif difference_to is None:
        said = f"the line leaves {waiting.open:,} open and that is {one.amount:,}; say where the difference goes"
        raise NotMatchable(field="difference_to", line=line.id, why=said)
    else:
        await _require_other(books, line, waiting, difference_to)
        moves = [(asset, Move(_moved(line, nth, "difference"), own, difference_to, difference, Reason.PAYOUT_ADJUST))]
        why = f"{_SAID}: {difference:,} more than that, on {difference_to}"
    transfers = await books.move_in(moves)
    found = Found(line.position, partner, partner_id, waiting.open, why)
    await keep_matches(books, line.payout_id, [found], by_hand=True, transfers=transfers)


async def book_by_hand(books: Books, line: LineOf, account: str | None) -> None:
    """
    Book what a line leaves open on *account*; None: on the provider's adjustments.

    Raises:
        UnknownLine: there is no such line (``payouts.unknown_line``).
        LineMatched: it is matched already (``payouts.line_matched``).
        NotMatchable: the account is the provider's own (``payouts.not_matchable``).
        AccountUnusable: the account is missing, closed, limited or of another asset (``payouts.account_unusable``).
    """
    waiting = await _require_open(books, line)
    asset = waiting.line.asset
    code = account or adjustments(waiting.provider, asset)
    if account is not None:
        await _require_other(books, line, waiting, account)
    nth = 1 + int(await _count_matches(books.connection, books.book_id, line.payout_id, line.position))
    move = Move(_moved(line, nth, "booked"), held(waiting.provider, asset), code, waiting.open, Reason.PAYOUT_ADJUST)
    transfers = await books.move(asset, [move])
    account_id = (await find_account(books.connection, books.book_id, code)).account_id
    found = Found(line.position, "account", None, waiting.open, f"a person booked it on {code}")
    await keep_matches(
        books, line.payout_id, [found], by_hand=True, account_id=account_id, transfers=transfers
    )  # fmt: skip


async def undo_by_hand(books: Books, line: LineOf, reason: str) -> None:
    """
    Take back what a person said of a line: what moved for it moves back, and the line waits again.

    Raises:
        UnknownLine: there is no such line (``payouts.unknown_line``).
        NothingToUndo: it waits, or nobody had to be asked what it is (``payouts.nothing_to_undo``).
        AccountUnusable: an account that moved is closed by now (``payouts.account_unusable``).
    """
    await books.enter()
    await _require_line(books, line)
    made = await _find_match(books.connection, books.book_id, line.payout_id, line.position)
    if not made or not made[0][3]:
        raise NothingToUndo(field="line", line=line.id)
    nth, _, left, _, _, transfers, _ = made[0]
    moved = await _find_moved(books.connection, books.book_id, transfers)
    await _lock_unallocated(books, [account for debit, credit, _ in moved for account in (debit, credit)])
    rows = [
        (_moved(line, nth, f"undo {at}"), credit, debit, amount, Reason.PAYOUT_ADJUST)
        for at, (debit, credit, amount) in enumerate(moved)
    ]
    await books.post(rows)
    await _insert_undo(
        books.connection, books.book_id, line.payout_id, line.position, nth, reason, [row[0] for row in rows],
        books.recorded.message_place, books.recorded.at,
    )  # fmt: skip
    ordered = await _find_ordered(books.connection, books.book_id, line.payout_id)
    await _insert_open(books.connection, books.book_id, ordered, line.position, line.payout_id, left)


async def _lock_unallocated(books: Books, accounts: Sequence[int]) -> None:
    """Let nobody place a customer's money, of which some is about to go, by what was there before."""
    place = await take_place(books.connection)
    unallocated = await _find_unallocated(books.connection, books.book_id, list(accounts))
    await lock_and_read(books.connection, books.ledger, place, [], unallocated)


async def _require_line(books: Books, line: LineOf) -> None:
    """
    Find that a line stands in a payout that was recorded.

    Raises:
        UnknownLine: it does not (``payouts.unknown_line``).
    """
    if await _find_line(books.connection, books.book_id, line.payout_id, line.position) is None:
        raise UnknownLine(field="line", line=line.id)


async def _require_open(books: Books, line: LineOf) -> Open:
    """Return a line that waits, which nobody else matches until the transaction ends."""
    await books.enter()
    await _require_line(books, line)
    place = (await take_place(books.connection)).place
    found = await find_open(books.connection, books.book_id, line.payout_id, [line.position])
    if not found:
        made = await _find_match(books.connection, books.book_id, line.payout_id, line.position)
        raise LineMatched(field="line", line=line.id, why=made[0][4] if made else "it is a fee, or comes to nothing")
    if found[0].ordered > place:
        raise OrderLost
    return found[0]


async def _require_partner(
    books: Books, line: LineOf, waiting: Open, partner: PartnerKind, partner_id: uuid.UUID
) -> Known:
    """Return what a person says that a line is, if it can be."""
    place = (await take_place(books.connection)).place
    known = await find_by_id(books.connection, books.book_id, [partner_id])
    found = next((one for one in known if one.candidate.kind == partner), None)
    if found is None or found.ordered > place:
        raise UnknownPartner(field="partner_id", partner=partner, id=partner_id)
    if found.provider != waiting.provider:
        raise NotMatchable(field="partner_id", line=line.id, why=f"it is of the provider {found.provider}")
    if not found.candidate.moved:
        why = f"it is {found.candidate.state}, so our book has no money of it"
        raise NotMatchable(field="partner_id", line=line.id, why=why)
    if found.candidate.taken is not None:
        raise PartnerTaken(field="partner_id", partner=partner, id=partner_id, line=found.candidate.taken)
    return found


async def _require_other(books: Books, line: LineOf, waiting: Open, account: str) -> None:
    """Find that an account can be booked on, and is not the one that the line is open in."""
    if account == held(waiting.provider, waiting.line.asset):
        raise NotMatchable(field="account", line=line.id, why="that is where it is open")
    await books.require_account(account, waiting.line.asset)
    await _lock_unallocated(books, await _find_account_ids(books.connection, books.book_id, account))


def _moved(line: LineOf, nth: int, what: str) -> uuid.UUID:
    """Derive the id of a transfer that is made for a line."""
    return id_of_content(("payout.line", str(line.payout_id), str(line.position), str(nth), what))
