"""Invoices, their lines, and what the verbs answer with."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import msgspec

from tallystick.money import MAX_AMOUNT
from tallystick.taxes.engine import TaxQuestion
from tallystick.taxes.model import InvoiceTax
from tallystick.wallets.find import CreditUse


class InvoiceStatus(StrEnum):
    """Where an invoice stands, by what the ledger says is outstanding and what was noted of it."""

    DRAFT = "draft"
    ISSUED = "issued"
    PARTLY_PAID = "partly_paid"
    PAID = "paid"
    """Nothing is outstanding: it was paid, credited, or came to nothing."""
    OVERDUE = "overdue"
    """It was due and something is outstanding, whether a part was paid or not."""
    WRITTEN_OFF = "written_off"
    VOID = "void"


class NumberKind(StrEnum):
    """What numbers are given to; each kind counts in series of its own."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class NotedState(StrEnum):
    """What is noted of an invoice after its issue, each a fact with its time."""

    DUE = "due"
    """Its due date came and something was outstanding; its status does not change by that."""
    PARTLY_PAID = "partly_paid"
    PAID = "paid"
    OVERDUE = "overdue"
    WRITTEN_OFF = "written_off"
    VOID = "void"
    REOPENED = "reopened"
    """More is outstanding than before: what had paid it was taken back."""


class AdjustedLine(msgspec.Struct, frozen=True):
    """The line of an earlier invoice that a line corrects."""

    invoice: uuid.UUID
    line: int


class InvoiceLine(msgspec.Struct, frozen=True):
    """What one version of one charge asks for within one span of time, or what a product asked for in its own words."""

    position: int
    charge: str | None
    """Null: a product asked for the line."""
    name: str
    """Of the charge, or as the product described it."""
    price_at: dt.datetime | None
    """Which version of the charge: the instant it is in force from. Null where there is no charge."""
    meter: str | None
    period_start: dt.datetime | None
    """Null where there is no charge, as is the end."""
    period_end: dt.datetime | None
    events: int
    """How many usage events it covers; of an adjustment, how many more, or fewer, than before."""
    quantity: str
    unit: str
    amount: int
    explanation: str
    detail: dict[str, Any]
    """The charge model, the free units and each part of the amount, as rating gave them; or how it was adjusted."""
    adjusts: AdjustedLine | None = None
    """Null: it corrects no other."""
    unit_amount: str | None = None
    """Of a line that a product asked for: minor units and parts of one; null where it gave the amount alone."""
    tax_category: str | None = None
    """Of a line that a product asked for; null: no tax is asked for."""
    post_to: str | None = None
    """The account that a line credits which a product asked for; null: the revenue of the product."""


class Invoice(msgspec.Struct, frozen=True):
    """An invoice with its lines; amounts are minor units of *asset*."""

    id: uuid.UUID
    number: str | None
    """Null while it is a draft."""
    customer: str
    product: str
    asset: str
    exponent: int
    """How many decimal digits a major unit of *asset* has."""
    period_start: dt.datetime | None
    """Null where a product asked for the invoice, as is the end."""
    period_end: dt.datetime | None
    subtotal: int
    """What the lines come to, with the taxes that they contain."""
    taxes: list[InvoiceTax]
    total: int
    """The lines, and the taxes that are added to them."""
    credits_applied: int
    """What prepaid credits in *asset* paid of it when it was issued."""
    credits: list[CreditUse]
    """Each use of prepaid credit: it paid the invoice, or units of one of its lines."""
    outstanding: int
    """What is still owed; nothing while it is a draft."""
    status: InvoiceStatus
    due_on: dt.date | None
    """Null while it is a draft, unless a product named the day."""
    drafted_at: dt.datetime
    issued_at: dt.datetime | None
    account: str | None
    """The ledger account whose balance is what is outstanding; null while it is a draft."""
    transfer_id: uuid.UUID | None
    """The transfer that issued it, or the first of several; null while it is a draft, and when nothing moved."""
    usage_through: int | None
    """It covers the usage recorded by transactions ordered below this; null where a product asked for it."""
    lines: list[InvoiceLine]
    credited: int = 0
    """What credit notes have taken back of it."""
    reference: str | None = None
    """The own id of the product that asked for it; null where none did."""
    memo: str | None = None
    """What the product had to say with it."""
    cost_rank: str | None = None
    """What the debt costs the customer in a year, as a part of it: ``0.18``."""


class InvoicesPage(msgspec.Struct, frozen=True):
    """Invoices by period and customer; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Invoice]
    next: uuid.UUID | None


class InvoiceAccount(NamedTuple):
    """The ledger account of an issued invoice, and what is outstanding on it in minor units."""

    account_id: int
    code: str
    asset_id: int
    asset: str
    outstanding: int


class BilledEvent(msgspec.Struct, frozen=True):
    """A usage event behind an invoice line, and the message that brought it, or changed it."""

    event_key: uuid.UUID
    source: str
    event_id: str
    type: str
    at: dt.datetime
    quantities: dict[str, int | str]
    message: str | None
    change: Literal["late", "amend", "void"] | None = None
    """Why it is behind an adjustment; null behind any other line."""


class LineagePage(msgspec.Struct, frozen=True):
    """Usage events in order of time; ``next`` is the cursor of the page behind, null on the last."""

    items: list[BilledEvent]
    next: uuid.UUID | None


class SetAside(msgspec.Struct, frozen=True):
    """A customer who could not be invoiced, and why; the next run tries again."""

    customer: str
    code: str
    message: str


class NextCustomer(msgspec.Struct, frozen=True):
    """Whom the next chunk of a month begins with."""

    customer: str | None
    """Null: there is nobody left."""
    cursor: str | None
    """With it, the chunk behind begins after them."""


class LateUsage(msgspec.Struct, frozen=True):
    """Usage of a month that came after the invoices it belongs on, and is on none."""

    events: int


class Drafted(msgspec.Struct, frozen=True):
    """What became of one chunk of customers."""

    customers: int
    """How many were looked at."""
    drafted: int
    """How many invoices are new."""
    known: int
    """How many of theirs had been drafted before."""
    failed: list[SetAside]
    """Those of the customers whose usage has no amount that can be asked for."""
    totals: dict[str, int]
    """What the new ones come to, in minor units by asset."""
    adjustments: int
    """How many lines of the new ones correct lines of earlier invoices."""
    next: str | None
    """The cursor of the chunk behind, null on the last."""
    questions: list[TaxQuestion] | msgspec.UnsetType = msgspec.UNSET
    """What a tax engine has to be asked before the rest can be drafted; left out where the rates of the book count."""


class Issued(msgspec.Struct, frozen=True):
    """What became of one chunk of drafts."""

    issued: int
    totals: dict[str, int]
    """What was issued now, in minor units by asset."""
    first_number: str | None
    last_number: str | None
    next: uuid.UUID | None
    """The cursor of the chunk behind, null on the last."""


def account_of(invoice_id: uuid.UUID) -> str:
    """Return the code of an invoice's ledger account."""
    return f"invoices/{invoice_id}/receivable"


def revenue_account(product: str, asset: str) -> str:
    """Return the code of the ledger account that a product's revenue is credited to."""
    return f"revenue/{product}/{asset}"


def printed_number(series: str, number: int) -> str:
    """Write a number as it stands on the invoice: ``INV-000001``."""
    return f"{series}-{number:06d}"


def how_many_fit(totals: Sequence[Mapping[int, int]]) -> int:
    """Count how many of *totals* (each by asset), from the first on, add up to what one amount can hold."""
    sums: dict[int, int] = {}
    for place, one in enumerate(totals):
        for asset, total in one.items():
            sums[asset] = sums.get(asset, 0) + total
            if sums[asset] > MAX_AMOUNT:
                return place
    return len(totals)


class Standing(NamedTuple):
    """All that tells where an invoice stands; amounts in minor units."""

    issued: bool
    owed: int
    """What it asks for, without what credit notes took of what was outstanding."""
    outstanding: int
    """What the ledger says is still owed."""
    noted: str | None = None
    """The newest state noted of it, those aside that only tell of its due date."""
    overdue: bool = False
    """It was noted to be overdue."""


def status_of(one: Standing) -> InvoiceStatus:
    """Say where an invoice stands: by what the ledger says is outstanding, and by what was noted where that says less."""
    if one.noted == NotedState.VOID:
        return InvoiceStatus.VOID
    if not one.issued:
        return InvoiceStatus.DRAFT
    if one.outstanding == 0:
        return InvoiceStatus.WRITTEN_OFF if one.noted == NotedState.WRITTEN_OFF else InvoiceStatus.PAID
    if one.overdue:
        return InvoiceStatus.OVERDUE
    return InvoiceStatus.ISSUED if one.outstanding == one.owed else InvoiceStatus.PARTLY_PAID
