"""Settle: entries of a statement that are certainly something become that; the others wait for a person."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tallystick.collecting.bank.enter import enter_to_settle
from tallystick.collecting.bank.errors import EntryMatched, NotMatchable, UnknownEntry
from tallystick.collecting.bank.find_candidates import find_candidates
from tallystick.collecting.bank.keep_statement import entry_of, find_kept
from tallystick.collecting.bank.match import ids_in, judge
from tallystick.collecting.bank.model import Entry, Settled, SettledChunk, entry_id
from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import Place
from tallystick.money import MAX_AMOUNT
from tallystick.repayments.apply_outcomes import Arrival, Outcome, apply_outcomes
from tallystick.repayments.dues import enter_to_repay, enter_to_reverse, lock_and_read
from tallystick.repayments.model import BANK_DEBIT, Repayment, repayment_id_of
from tallystick.repayments.receive import Money, receive, require_owned
from tallystick.repayments.reverse import reverse

_queries = queries_beside(__file__)
_find_asset_of_statement = _queries.tuples("find_asset_of_statement")
_page_unmatched = _queries.tuples("page_unmatched")
_is_matched = _queries.value("is_matched")
_insert_matches = _queries.run("insert_matches")
_find_charges_named = _queries.tuples("find_charges_named")
_find_files_named = _queries.tuples("find_files_named")
_find_invoice_owner = _queries.tuples("find_invoice_owner")

CHANNEL = "bank"
"""The channel of money that a statement tells of."""
What = Literal["charges", "credits", "returns"]
"""Debits that were collected, and the sums of files; what customers paid; what banks fetched back."""


@dataclass(frozen=True, slots=True)
class Books:
    """Where an entry is settled."""

    connection: Connection
    ledger: Ledger
    recorded: Recorded
    message_hashes: npt.NDArray[np.void]
    statement: uuid.UUID


class _Match(NamedTuple):
    """What an entry was for."""

    position: int
    kind: str
    repayment: uuid.UUID | None
    score: int
    why: str


class _Named(NamedTuple):
    """A charge that an entry names."""

    charge_id: uuid.UUID
    amount: int
    asset_id: int
    answered: bool
    taken: int | None
    repayment_id: uuid.UUID | None
    reversed: bool


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Entries that are not matched, with what they are counted in."""

    asset_id: int
    asset: str
    closed_on: dt.date
    entries: Sequence[tuple[int, Entry]]


async def settle(books: Books, what: What, after: int, limit: int) -> SettledChunk:
    """
    Settle the next entries of a statement behind position *after* that are not matched: those of one kind, if it is certain.

    Of returns one at a time, since each goes back by itself.

    Raises:
        UnknownEntry: there is no such statement (``bank.unknown_entry``).
        OrderLost: another transaction repaid some of it meanwhile, and is ordered later.
    """
    await enter_to_settle(books.connection, books.recorded.book_id)
    enter = enter_to_reverse if what == "returns" else enter_to_repay
    place = await enter(books.connection, books.recorded.book_id)
    chunk = await _find_chunk(books, after, limit)
    next_ = chunk.entries[-1][0] if len(chunk.entries) == limit else None
    if what == "charges":
        return SettledChunk(len(chunk.entries), await _settle_charges(books, chunk), next_)
    if what == "credits":
        return SettledChunk(len(chunk.entries), await _settle_credits(books, place, chunk), next_)
    items, at = await _settle_return(books, place, chunk)
    return SettledChunk(len(chunk.entries), items, next_ if at is None else at)


async def _find_chunk(books: Books, after: int, limit: int) -> _Chunk:
    found = await _find_asset_of_statement(books.connection, books.recorded.book_id, books.statement)
    if not found:
        raise UnknownEntry(field="statement", entry=books.statement)
    rows = await _page_unmatched(books.connection, books.recorded.book_id, books.statement, after, limit)
    asset_id, asset, closed_on = found[0]
    return _Chunk(asset_id, asset, closed_on, [(row[0], entry_of(row[1:])) for row in rows])


async def _settle_charges(books: Books, chunk: _Chunk) -> list[Settled]:
    """Settle what names a charge of ours, or a file of them."""
    credits_ = [(at, one, _ids(one)) for at, one in chunk.entries if one.amount > 0 and not one.reversal]
    wanted = sorted({id_ for _, _, ids in credits_ for id_ in ids})
    book_id = books.recorded.book_id
    files = {row[0] for row in await _find_files_named(books.connection, book_id, wanted)} if wanted else set()
    charges = await _find_charges(books, wanted)
    matches: list[_Match] = []
    fresh: dict[uuid.UUID, int] = {}
    for at, one, ids in credits_:
        if file := next((id_ for id_ in ids if id_ in files), None):
            matches.append(_Match(at, "file", None, 100, f"the sum of the bank file {file}"))
            continue
        charge = next((charges[id_] for id_ in ids if id_ in charges), None)
        if charge is None or charge.asset_id != chunk.asset_id:
            continue
        if charge.answered and charge.taken == one.amount:
            repayment = charge.repayment_id
            matches.append(_Match(at, "charge", repayment, 100, "the charge, whose result is applied"))
        elif not charge.answered and charge.amount == one.amount and charge.charge_id not in fresh:
            fresh[charge.charge_id] = at
    if fresh:
        outcomes = [Outcome(charge, None, None) for charge in fresh]
        arrival = Arrival(None, chunk.closed_on)
        applied = await apply_outcomes(
            books.connection, books.ledger, books.recorded, books.message_hashes, outcomes, arrival
        )
        for answer in applied.items:
            if answer.status == "applied":
                repayment = repayment_id_of(BANK_DEBIT, str(answer.charge))
                matches.append(_Match(fresh[answer.charge], "charge", repayment, 100, "the charge, all of it"))
    return await _keep(books, chunk, sorted(matches))


async def _settle_credits(books: Books, place: Place, chunk: _Chunk) -> list[Settled]:
    """Settle what customers paid, if it is certain for what; each sees what those before it have left."""
    wanted = [(at, one) for at, one in chunk.entries if one.amount > 0 and not one.reversal]
    if not wanted:
        return []
    book_id = books.recorded.book_id

    async def outstanding(accounts: Sequence[int]) -> Mapping[int, int]:
        balances = await lock_and_read(books.connection, books.ledger, place, accounts)
        return {account: balances.outstanding(account) for account in accounts}

    entries = [one for _, one in wanted]
    candidates = await find_candidates(books.connection, book_id, chunk.asset_id, place.place, entries, outstanding)
    money: list[Money] = []
    matches: list[_Match] = []
    for nth, (at, one) in enumerate(wanted):
        judged = judge(one.amount, candidates.open_for(nth, one))
        if not judged.certain:
            continue
        left = one.amount
        for invoice in judged.invoices:
            account = candidates.account_of(invoice.customer_id, invoice.invoice)
            placed = min(left, invoice.outstanding)
            candidates.outstanding[account] -= placed
            left -= placed
        payer = judged.invoices[0]
        money.append(
            Money(
                payer.customer_id, payer.customer, chunk.asset_id, chunk.asset, one.amount, CHANNEL,
                entry_id(books.statement, at), one.value_on,
                invoices={invoice.invoice: MAX_AMOUNT for invoice in judged.invoices},
            )
        )  # fmt: skip
        matches.append(_Match(at, "invoice", money[-1].id, judged.score, judged.why))
    if money:
        await receive(books.connection, books.ledger, books.recorded, books.message_hashes, place, money)
    return await _keep(books, chunk, matches)


async def _settle_return(books: Books, place: Place, chunk: _Chunk) -> tuple[list[Settled], int | None]:
    """Settle the first entry by which a bank fetched a debit back; return it with its position."""
    debits = [(at, one, _ids(one)) for at, one in chunk.entries if one.amount < 0]
    charges = await _find_charges(books, sorted({id_ for _, _, ids in debits for id_ in ids}))
    for at, one, ids in debits:
        charge = next((charges[id_] for id_ in ids if id_ in charges), None)
        if charge is None or charge.repayment_id is None or charge.reversed or charge.taken != -one.amount:
            continue
        repayment = charge.repayment_id
        reason = f"returned by the bank: {one.code} {one.text}".strip()[:255]
        await reverse(books.connection, books.ledger, books.recorded, books.message_hashes, place, repayment, reason)
        return await _keep(books, chunk, [_Match(at, "return", repayment, 100, "the charge was fetched back")]), at
    return [], None


async def match_by_hand(books: Books, position: int, invoice: uuid.UUID) -> Repayment:
    """
    Let an entry repay an invoice, since a person says so; what the invoice does not need lies unallocated.

    Raises:
        UnknownEntry: there is none (``bank.unknown_entry``).
        EntryMatched: it was matched before (``bank.entry_matched``).
        NotMatchable: no money came with it, or the invoice is none of this asset (``bank.not_matchable``).
    """
    await enter_to_settle(books.connection, books.recorded.book_id)
    place = await enter_to_repay(books.connection, books.recorded.book_id)
    id_ = entry_id(books.statement, position)
    book_id = books.recorded.book_id
    found = await _find_asset_of_statement(books.connection, book_id, books.statement)
    kept = await find_kept(books.connection, book_id, books.statement, position, position)
    if not found or not kept:
        raise UnknownEntry(field="entry", entry=id_)
    if await _is_matched(books.connection, book_id, books.statement, position):
        raise EntryMatched(field="entry", entry=id_)
    entry = kept[0][1]
    if entry.amount < 0:
        raise NotMatchable(field="entry", entry=id_, why="no money came with it")
    asset_id, asset, _ = found[0]
    owner = await _find_invoice_owner(books.connection, book_id, invoice)
    if not owner or owner[0][2] != asset_id:
        raise NotMatchable(field="invoice", entry=id_, why=f"there is no such invoice in {asset}")
    customer_id, customer, _ = owner[0]
    await require_owned(books.connection, book_id, (customer_id, asset_id), [invoice], place.place)
    money = Money(
        customer_id,
        customer,
        asset_id,
        asset,
        entry.amount,
        CHANNEL,
        id_,
        entry.value_on,
        invoices={invoice: MAX_AMOUNT},
    )
    (repayment,) = await receive(
        books.connection, books.ledger, books.recorded, books.message_hashes, place, [money]
    )  # fmt: skip
    await _insert(books, [_Match(position, "invoice", repayment.id, 100, "a person said so")])
    return repayment


async def _find_charges(books: Books, wanted: Sequence[uuid.UUID]) -> dict[uuid.UUID, _Named]:
    if not wanted:
        return {}
    rows: list[Any] = await _find_charges_named(books.connection, books.recorded.book_id, list(wanted))
    return {row[0]: _Named(row[0], *row[1:]) for row in rows}


def _ids(entry: Entry) -> list[uuid.UUID]:
    return [id_ for text in (entry.text, entry.reference, entry.bank_reference) for id_ in ids_in(text)]


async def _keep(books: Books, chunk: _Chunk, matches: Sequence[_Match]) -> list[Settled]:
    await _insert(books, matches)
    amounts = {at: one.amount for at, one in chunk.entries}
    return [
        Settled(entry_id(books.statement, one.position), one.kind, amounts[one.position], one.why, one.repayment)  # type: ignore[arg-type]  # the kinds are those of the table
        for one in matches
    ]


async def _insert(books: Books, matches: Sequence[_Match]) -> None:
    if matches:
        await _insert_matches(
            books.connection, books.recorded.book_id, books.statement, books.recorded.message_place, books.recorded.at,
            [one.position for one in matches], [one.kind for one in matches], [one.repayment for one in matches],
            [one.score for one in matches], [one.why for one in matches],
        )  # fmt: skip
