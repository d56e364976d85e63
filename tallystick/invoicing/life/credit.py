"""Credit: take back what an invoice asks for, line by line, in a credit note with a number of its own."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tallystick import canonical
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.ids import id_of_content
from tallystick.invoicing.find import InvoiceNotIssued
from tallystick.invoicing.life.enter_to_decide import enter_to_decide
from tallystick.invoicing.life.errors import CreditReferenceTaken, CreditTooLarge, InvoiceEnded
from tallystick.invoicing.life.find_credit_notes import find_credit_note
from tallystick.invoicing.life.find_header import Header, find_header
from tallystick.invoicing.life.hold_invoice import hold_invoice
from tallystick.invoicing.life.model import CreditNote
from tallystick.invoicing.life.note_states import note_states
from tallystick.invoicing.life.post_fact import post_fact
from tallystick.invoicing.life.take_back import Line, Tax, TaxBack, take_back_taxes
from tallystick.invoicing.life.unallocated_account import open_unallocated
from tallystick.invoicing.model import InvoiceStatus, NumberKind, revenue_account
from tallystick.invoicing.number import find_series, lock_series, take_numbers
from tallystick.invoicing.pair import Pairing, pair, split_sides
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import Book
from tallystick.ledger.model import Reason
from tallystick.ledger.post import Ledger
from tallystick.ledger.resolve import resolve_accounts
from tallystick.taxes.apply import load_taxes

_queries = queries_beside(__file__)
_find_lines_left = _queries.tuples("find_lines_left")
_find_taxes_left = _queries.tuples("find_taxes_left")
_find_reference = _queries.tuples("find_reference")
_insert_credit_note = _queries.run("insert_credit_note")
_insert_credit_lines = _queries.run("insert_credit_lines")
_insert_credit_taxes = _queries.run("insert_credit_taxes")


@dataclass(frozen=True, slots=True)
class LineBack:
    """What is to be taken back of a line."""

    line: int
    """Its position in the invoice."""
    amount: int | None
    """In minor units, with the sign of the line; None: all that is left of it."""
    description: str | None


@dataclass(frozen=True, slots=True)
class CreditOrder:
    """A credit note that is asked for."""

    invoice_id: uuid.UUID
    reference: str
    """The caller's own id of it: one reference is one credit note of the invoice."""
    lines: Sequence[LineBack] | None
    """None: all that is left of the invoice."""
    reason: str
    series: str | None
    """None: the series that is set for the credit notes of the product."""


@dataclass(frozen=True, slots=True)
class _Note:
    """A credit note as it is to be written."""

    credit_note_id: uuid.UUID
    lines: Sequence[tuple[Line, int, str | None]]
    """Lines of the invoice, what is taken back of each, and its words."""
    taxes: Sequence[TaxBack]

    @property
    def total(self) -> int:
        """Return what it comes to: the lines, and the taxes that were added to them."""
        return sum(amount for _, amount, _ in self.lines) + sum(one.amount for one in self.taxes if not one.inclusive)


async def credit(
    connection: Connection,
    book: Book,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    order: CreditOrder,
) -> CreditNote:
    """
    Take back lines of an issued invoice, with their taxes; the same reference again is the same credit note.

    First it lowers what is outstanding; what goes beyond was paid, and becomes the customer's unallocated money.

    Raises:
        UnknownInvoice: there is no such invoice (``invoicing.unknown_invoice``).
        InvoiceNotIssued: it is a draft (``invoicing.not_issued``).
        InvoiceEnded: it is void, or was written off (``invoicing.ended``).
        CreditReferenceTaken: the reference is another credit note's (``invoicing.credit_reference_taken``).
        CreditTooLarge: a line, or the invoice, has less left to credit (``invoicing.credit_too_large``).
        InvalidInput: the lines come to nothing (``invalid_input``).
        SeriesOfOtherKind: the series counts invoices (``invoicing.series_of_other_kind``).
        GroupFailed: an account that the invoice credited is closed (``ledger.group_failed``).
        OrderLost: less is outstanding by now.
    """
    book_id = recorded.book_id
    await enter_to_decide(connection, book_id)
    head = await _find_issued(connection, book_id, order.invoice_id)
    series = order.series or await find_series(connection, book_id, head.product, NumberKind.CREDIT_NOTE)
    await lock_series(connection, book_id, NumberKind.CREDIT_NOTE, [series])
    head = await hold_invoice(connection, book.ledger, order.invoice_id)
    known = await _find_reference(connection, book_id, order.invoice_id, order.reference)
    if known:
        return await _find_same(connection, book_id, order, *known[0])
    if head.was_written_off or head.status is InvoiceStatus.VOID:
        status = "void" if head.status is InvoiceStatus.VOID else "written off"
        raise InvoiceEnded(field="id", invoice=order.invoice_id, status=status)
    note = await _draw_up(connection, book, recorded, head, order)
    if not note.lines or note.total <= 0:
        if head.credited == head.total:
            raise CreditTooLarge(field="lines", what="The invoice", left=0, wanted=max(note.total, 1))
        raise InvalidInput(field="lines", rule="a credit note comes to more than nothing")
    if head.credited + note.total > head.total:
        left = head.total - head.credited
        raise CreditTooLarge(field="lines", what="The invoice", left=left, wanted=note.total)
    return await _issue(connection, book.ledger, recorded, message_hashes, (head, order, note, series))


async def _find_issued(connection: Connection, book_id: int, invoice_id: uuid.UUID) -> Header:
    head = await find_header(connection, book_id, invoice_id)
    if head.account_id is None:
        raise InvoiceNotIssued(field="id", invoice=invoice_id)
    return head


async def _find_same(
    connection: Connection, book_id: int, order: CreditOrder, known: uuid.UUID, kept: bytes
) -> CreditNote:
    """Return the credit note that was asked for before under the reference, if it is the same."""
    if bytes(kept) != _content(order):
        raise CreditReferenceTaken(field="reference", reference=order.reference, credit_note=known)
    return await find_credit_note(connection, book_id, known)


async def _draw_up(connection: Connection, book: Book, recorded: Recorded, head: Header, order: CreditOrder) -> _Note:
    """Return what is taken back of which lines and taxes."""
    lines = await _find_lines(connection, recorded, head, order.invoice_id)
    chosen = _choose(lines, order.lines)
    back = {line.position: amount for line, amount, _ in chosen}
    rows = await _find_taxes_left(connection, recorded.book_id, order.invoice_id)
    taxes = take_back_taxes([Tax(*row) for row in rows], lines, back)
    credit_note_id = id_of_content(("credit_note", book.name, str(order.invoice_id), order.reference))
    return _Note(credit_note_id, chosen, taxes)


def _content(order: CreditOrder) -> bytes:
    """Return the SHA-256 of what is asked for."""
    said: dict[str, Any] = {
        "lines": None if order.lines is None else [[one.line, one.amount, one.description] for one in order.lines],
        "reason": order.reason,
        "series": order.series,
    }
    return canonical.digest(said)


async def _find_lines(
    connection: Connection, recorded: Recorded, head: Header, invoice_id: uuid.UUID
) -> dict[int, Line]:
    """Return the lines of an invoice by position, each with what was taken back of it and its category of tax."""
    rows = await _find_lines_left(connection, recorded.book_id, invoice_id)
    taxes = await _find_taxes_left(connection, recorded.book_id, invoice_id)
    categories = sorted({row[1] for row in taxes})
    usual = revenue_account(head.product, head.asset)
    table = None
    if len(categories) > 1 and not head.requested and head.period_end is not None:
        table = await load_taxes(connection, recorded.book_id, [head.customer_id])
    found: dict[int, Line] = {}
    for position, name, product, charge, category, post_to, amount, taken in rows:
        if not head.requested and categories:
            known = (
                None
                if table is None or head.period_end is None
                else table.category_of(product, charge, head.period_end)
            )
            category = known or categories[0]  # noqa: PLW2901 - of a period's line the taxes say it
        found[position] = Line(position, name, category, post_to or usual, amount, taken)
    return found


def _choose(
    lines: dict[int, Line], wanted: Sequence[LineBack] | None
) -> list[tuple[Line, int, str | None]]:  # fmt: skip
    """Return which lines are taken back, and how much of each."""
    if wanted is None:
        return [(line, line.left, None) for line in lines.values() if line.left]
    chosen: dict[int, tuple[Line, int, str | None]] = {}
    for place, one in enumerate(wanted):
        field = f"lines[{place}]"
        line = lines.get(one.line)
        if line is None:
            raise InvalidInput(field=f"{field}.line", rule=f"the invoice has the lines 0 to {max(lines)}")
        if one.line in chosen:
            raise InvalidInput(field=f"{field}.line", rule="a credit note names each line once")
        amount = line.left if one.amount is None else one.amount
        if not amount or abs(amount) > abs(line.left) or (amount < 0) != (line.left < 0):
            what = f"The line {one.line} of the invoice"
            raise CreditTooLarge(field=f"{field}.amount", what=what, left=line.left, wanted=amount)
        chosen[one.line] = (line, amount, one.description)
    return list(chosen.values())


async def _issue(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    drawn_up: tuple[Header, CreditOrder, _Note, str],
) -> CreditNote:
    """Post a credit note, number it and write it."""
    head, order, note, series = drawn_up
    receivable = head.account_id or 0
    applied = min(note.total, head.outstanding)
    moves = await _moves(connection, ledger, recorded, (head, note, applied))
    await post_fact(
        connection,
        ledger,
        recorded,
        message_hashes,
        moves,
        (Reason.INVOICE_CREDIT, [str(note.credit_note_id)], receivable),
    )
    (number,) = await take_numbers(connection, recorded.book_id, [series])
    await _insert_credit_note(
        connection, recorded.book_id, note.credit_note_id, order.invoice_id, order.reference, series, number, note.total,
        applied, order.reason, _content(order), recorded.message_place, recorded.at,
    )  # fmt: skip
    await _insert_credit_lines(
        connection,
        recorded.book_id,
        note.credit_note_id,
        [line.position for line, _, _ in note.lines],
        [description for _, _, description in note.lines],
        [amount for _, amount, _ in note.lines],
    )
    await _insert_credit_taxes(
        connection,
        recorded.book_id,
        note.credit_note_id,
        [one.position for one in note.taxes],
        [one.base for one in note.taxes],
        [one.amount for one in note.taxes],
    )
    await note_states(connection, recorded, [order.invoice_id])
    return await find_credit_note(connection, recorded.book_id, note.credit_note_id)


async def _moves(
    connection: Connection, ledger: Ledger, recorded: Recorded, what: tuple[Header, _Note, int]
) -> list[Pairing]:
    """Return the transfers: from what the lines had credited to what is owed, and beyond that to the customer."""
    head, note, applied = what
    usual = revenue_account(head.product, head.asset)
    by_code: dict[str, int] = {}
    for line, amount, _ in note.lines:
        by_code[line.account] = by_code.get(line.account, 0) + amount
    added = sum(one.amount for one in note.taxes if not one.inclusive)
    by_code[usual] = by_code.get(usual, 0) + added
    codes = sorted(code for code, amount in by_code.items() if amount)
    accounts = await resolve_accounts(connection, ledger, codes)
    credited_back, debits = split_sides({account: by_code[code] for account, code in zip(accounts, codes, strict=True)})
    ends: list[tuple[int, int]] = [(head.account_id or 0, applied)] if applied else []
    if note.total > applied:
        (unallocated,) = await open_unallocated(connection, recorded, [(head.customer, head.asset)])
        ends.append((unallocated, note.total - applied))
    return pair(debits, [*ends, *credited_back])
