"""What becomes of invoices: credit notes, the history of an invoice, and who is to be told of it."""

import datetime as dt
import uuid

import msgspec


class CreditNoteLine(msgspec.Struct, frozen=True):
    """What is taken back of one line of the invoice."""

    line: int
    """The position of the invoice's line."""
    description: str
    """Of the credit note's own, or that of the invoice's line."""
    amount: int
    """In minor units; negative where the invoice's line is."""


class CreditNoteTax(msgspec.Struct, frozen=True):
    """What is taken back of one tax of the invoice."""

    jurisdiction: str
    category: str
    name: str
    rate: str
    inclusive: bool
    base: int
    """What the lines come to of which it is taken back, without taxes that they contain."""
    amount: int


class CreditNote(msgspec.Struct, frozen=True):
    """What an invoice asks for and is not owed after all; amounts are minor units of *asset*."""

    id: uuid.UUID
    number: str
    invoice: uuid.UUID
    invoice_number: str
    customer: str
    product: str
    asset: str
    reference: str
    """The caller's own id of it."""
    total: int
    """Its lines, and the taxes that are added to them."""
    applied: int
    """How much of it was still owed on the invoice."""
    unallocated: int
    """How much of it the customer had paid already: it is the customer's, on their unallocated account."""
    reason: str | None
    issued_at: dt.datetime
    lines: list[CreditNoteLine]
    taxes: list[CreditNoteTax]


class LifeEntry(msgspec.Struct, frozen=True):
    """One fact of an invoice."""

    at: dt.datetime
    what: str
    """``drafted``, ``requested``, ``issued``, a state such as ``paid``, ``credit_note``, ``announced``, ``reminded``, or the reason of a transfer."""
    amount: int | None = None
    """In minor units; of a transfer and of a credit note."""
    outstanding: int | None = None
    """What was owed after a state."""
    number: str | None = None
    """Of the invoice, or of the credit note."""
    transfer: uuid.UUID | None = None
    account: str | None = None
    """The other account of a transfer."""
    reason: str | None = None
    message: str | None = None
    """The id of the message that made it."""


class InvoiceHistory(msgspec.Struct, frozen=True):
    """Every fact of an invoice, the first one first."""

    id: uuid.UUID
    items: list[LifeEntry]
