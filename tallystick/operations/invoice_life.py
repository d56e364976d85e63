"""The operations on issued invoices: void, write off, credit, mark overdue; their history and credit notes."""

import uuid
from typing import Annotated

import msgspec

from tallystick.invoicing.life import end
from tallystick.invoicing.life.credit import CreditOrder, LineBack, credit
from tallystick.invoicing.life.end import Ended
from tallystick.invoicing.life.find_credit_notes import find_credit_note, find_credit_notes
from tallystick.invoicing.life.find_header import find_header
from tallystick.invoicing.life.history import find_history
from tallystick.invoicing.life.mark_overdue import DuePage, MarkedOverdue, list_due, mark_overdue
from tallystick.invoicing.life.model import CreditNote, InvoiceHistory
from tallystick.operations.fields import PageSize
from tallystick.operations.invoice_requests import MAX_LINES, Description, LineAmount, Memo, ProductReference
from tallystick.operations.invoicing import FindInvoiceInput, Series
from tallystick.operations.model import Call, Input, Operation

MAX_MARKED = 1_000
"""How many invoices one message looks at."""


class EndInput(Input, frozen=True):
    """An invoice that nobody is to owe any more, and why."""

    id: uuid.UUID
    reason: Memo


class CreditLineInput(Input, frozen=True):
    """A line of the invoice that is taken back, in part or as a whole."""

    line: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    """Its position, the first being 0."""
    amount: LineAmount | None = None
    """Minor units, with the sign of the line; left out, all that is left of it."""
    description: Description | None = None
    """Left out, the words of the line."""


class CreditInput(Input, frozen=True):
    """A credit note: what is taken back of an invoice, and why. Taxes are taken back with their lines."""

    id: uuid.UUID
    """Of the invoice."""
    reference: ProductReference
    """Your own id of the credit note: asked again, it is the same one."""
    reason: Memo
    lines: Annotated[list[CreditLineInput], msgspec.Meta(min_length=1, max_length=MAX_LINES)] | None = None
    """Left out, all that is left of the invoice."""
    series: Series | None = None
    """What stands before its number; left out, the series that is set for credit notes of the product, or CN."""


class FindCreditNoteInput(Input, frozen=True):
    """The id of a credit note."""

    id: uuid.UUID


class DueInput(Input, frozen=True):
    """A page of issued invoices whose due date has come, by the date."""

    after: uuid.UUID | None = None
    limit: PageSize = 100


class MarkOverdueInput(Input, frozen=True):
    """Invoices to look at, by their ids."""

    invoices: Annotated[list[uuid.UUID], msgspec.Meta(min_length=1, max_length=MAX_MARKED)]


class CreditNotesOutput(msgspec.Struct, frozen=True):
    """The credit notes of an invoice, the first one first."""

    items: list[CreditNote]


async def void(call: Call, request: EndInput) -> Ended:
    """
    Void an invoice of which nothing is paid; its number stays given, and its postings are taken back.

    A draft that a product asked for is never issued then. Once something is paid, a credit note takes it back.
    """
    return await end.void(
        call.connection, call.book.ledger, call.recorded, call.message_hashes, request.id, request.reason
    )


async def write_off(call: Call, request: EndInput) -> Ended:
    """
    Give up what is outstanding on an invoice: it becomes an expense.

    What the customer pays later is not lost: it finds nothing due on this invoice and stays theirs, unallocated.
    """
    return await end.write_off(
        call.connection, call.book.ledger, call.recorded, call.message_hashes, request.id, request.reason
    )


async def take_back(call: Call, request: CreditInput) -> CreditNote:
    """
    Issue a credit note: lines of an invoice are taken back with their taxes, under a number of their own series.

    What is still outstanding falls by it; what was paid beyond is the customer's, unallocated.
    """
    lines = None
    if request.lines is not None:
        lines = [LineBack(one.line, one.amount, one.description) for one in request.lines]
    order = CreditOrder(request.id, request.reference, lines, request.reason, request.series)
    return await credit(call.connection, call.book, call.recorded, call.message_hashes, order)


async def mark(call: Call, request: MarkOverdueInput) -> MarkedOverdue:
    """Note which of some invoices are due today, and which are overdue; each is told once."""
    return await mark_overdue(call.connection, call.book.ledger, call.recorded, request.invoices)


async def due(call: Call, request: DueInput) -> DuePage:
    """Return invoices whose due date has come and of which that is not noted yet, for `invoicing.mark_overdue`."""
    return await list_due(call.connection, call.book.book_id, call.at, request.after, request.limit)


async def history(call: Call, request: FindInvoiceInput) -> InvoiceHistory:
    """Return every fact of an invoice with its time: drafted, issued, what moved, what was noted and credited."""
    return await find_history(call.connection, call.book.book_id, request.id)


async def find_note(call: Call, request: FindCreditNoteInput) -> CreditNote:
    """Return a credit note with its lines and taxes."""
    return await find_credit_note(call.connection, call.book.book_id, request.id)


async def list_notes(call: Call, request: FindInvoiceInput) -> CreditNotesOutput:
    """Return the credit notes of an invoice."""
    await find_header(call.connection, call.book.book_id, request.id)
    return CreditNotesOutput(await find_credit_notes(call.connection, call.book.book_id, request.id))


OPERATIONS = [
    Operation("invoicing.void", EndInput, Ended, "invoicing:write", "POST /invoices/{id}/void", void),
    Operation("invoicing.write_off", EndInput, Ended, "invoicing:write", "POST /invoices/{id}/write-off", write_off),
    Operation("invoicing.credit", CreditInput, CreditNote, "invoicing:write", "POST /invoices/{id}/credit", take_back),
    Operation(
        "invoicing.mark_overdue", MarkOverdueInput, MarkedOverdue, "invoicing:write", "POST /invoices/overdue", mark
    ),
    Operation("invoicing.list_due", DueInput, DuePage, "invoicing:read", "GET /due-invoices", due, reads=True),
    Operation(
        "invoicing.history",
        FindInvoiceInput,
        InvoiceHistory,
        "invoicing:read",
        "GET /invoices/{id}/history",
        history,
        reads=True,
        snapshot=True,
    ),
    Operation(
        "invoicing.find_credit_note",
        FindCreditNoteInput,
        CreditNote,
        "invoicing:read",
        "GET /credit-notes/{id}",
        find_note,
        reads=True,
        snapshot=True,
    ),
    Operation(
        "invoicing.credit_notes",
        FindInvoiceInput,
        CreditNotesOutput,
        "invoicing:read",
        "GET /invoices/{id}/credit-notes",
        list_notes,
        reads=True,
        snapshot=True,
    ),
]
