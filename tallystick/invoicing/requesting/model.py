"""What a product asks for, and what it is answered."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec


@dataclass(frozen=True, slots=True)
class LineWanted:
    """One line, in the words of the product."""

    description: str
    quantity: Decimal
    unit_amount: Decimal | None
    """Minor units, and parts of one."""
    amount: int | None
    """Minor units; None: quantity times unit amount, rounded once."""
    tax_category: str | None
    """None: no tax is asked for."""
    post_to: str | None
    """The account that is credited; None: the revenue of the product."""


@dataclass(frozen=True, slots=True)
class InvoiceWanted:
    """An invoice that a product asks for."""

    product: str
    reference: str
    """The product's own id of it: one reference of a product is one invoice."""
    customer: str
    asset: str
    lines: Sequence[LineWanted]
    due_on: dt.date | None
    terms_days: int | None
    """Days from the issue to the due date, where no date is given."""
    zone: str
    """Whose calendar counts for dates."""
    issue: bool
    """At once; otherwise it stays a draft."""
    memo: str | None
    cost_rank: Decimal | None
    series: str | None
    """None: the series that is set for the product when it is issued."""


class RequestedInvoice(msgspec.Struct, frozen=True):
    """The invoice that a product has asked for; amounts are minor units of *asset*."""

    id: uuid.UUID
    product: str
    reference: str
    number: str | None
    """Null while it is a draft."""
    customer: str
    asset: str
    subtotal: int
    """What the lines come to, with the taxes that they contain."""
    total: int
    """The lines, and the taxes that are added to them."""
    due_on: dt.date | None
    """Null while it is a draft whose due date is counted from its issue."""
    issued_at: dt.datetime | None
    known: bool
    """It had been asked for before."""


class RequestOutcome(msgspec.Struct, frozen=True):
    """What became of one of many: the invoice, or why there is none."""

    invoice: RequestedInvoice | None
    code: str | None = None
    message: str | None = None
    field: str | None = None
    """Which field of the request is to blame."""
