"""The invoicing operations: draft, issue, find, list, lineage."""

import uuid
from typing import Annotated, Literal

import msgspec

from tallystick.invoicing.billing_period import read_month
from tallystick.invoicing.draft import DraftOrder, draft, next_to_draft
from tallystick.invoicing.find import find_invoice, page_invoices
from tallystick.invoicing.issue import IssueOrder, issue, next_to_issue
from tallystick.invoicing.late_usage import count_late
from tallystick.invoicing.lineage import page_lineage
from tallystick.invoicing.model import (
    Drafted,
    Invoice,
    InvoicesPage,
    InvoiceStatus,
    Issued,
    LateUsage,
    LineagePage,
    NextCustomer,
)
from tallystick.operations.catalog import DEFAULT_PRODUCT, CatalogCode
from tallystick.operations.fields import PageSize
from tallystick.operations.model import Call, Input, Operation

INTERNAL = ""
MAX_DRAFTS = 1_000
"""How many customers one transaction drafts for."""
MAX_ISSUES = 2_000
"""How many invoices one transaction issues."""
MAX_TERMS_DAYS = 3650
"""No day of issue is so late that the day it is due would be outside the calendar."""

CustomerRef = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00]+$(?!\n)")]
Series = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9-]{0,15}$(?!\n)")]
CustomerCursor = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,18}(\.[0-9]{1,18})?$(?!\n)")]
"""A customer, and how far prices count: a month that was begun goes on at the prices that it began with."""


class DraftInput(Input, frozen=True):
    """Draft a month's invoices: of the customers named, or of the next with usage behind the cursor."""

    month: str
    """Written as ``2015-05``."""
    zone: str = "UTC"
    """An IANA name; fixed for the product by its first draft."""
    product: CatalogCode = DEFAULT_PRODUCT
    terms_days: Annotated[int, msgspec.Meta(ge=0, le=MAX_TERMS_DAYS)] = 30
    """How many days after their issue the invoices are due."""
    customers: Annotated[list[CustomerRef], msgspec.Meta(min_length=1, max_length=MAX_DRAFTS)] | None = None
    after: CustomerCursor = "0"
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_DRAFTS)] = MAX_DRAFTS
    taxes: Literal["answers"] | msgspec.UnsetType = msgspec.UNSET
    """Say ``answers`` where a tax engine was asked and its answers kept; left out, the rates of the book count."""


class IssueInput(Input, frozen=True):
    """Issue the next drafts of a month, in order of customer."""

    month: str
    zone: str = "UTC"
    product: CatalogCode = DEFAULT_PRODUCT
    series: Series | None = None
    """What stands before the number; each series counts by itself. Left out: the one that is set for the product, or INV."""
    after: uuid.UUID | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ISSUES)] = 500


class FindInvoiceInput(Input, frozen=True):
    """The id of an invoice."""

    id: uuid.UUID


class InvoicesPageInput(Input, frozen=True):
    """A page of invoices by period and customer: of one customer, one month or one status, if named."""

    customer: CustomerRef | None = None
    month: str | None = None
    zone: str = "UTC"
    status: InvoiceStatus | None = None
    """Where few stand so, a page can be short, or empty, with more behind it."""
    after: uuid.UUID | None = None
    limit: PageSize = 100


class LateUsageInput(Input, frozen=True):
    """A month of a product."""

    month: str
    zone: str = "UTC"
    product: CatalogCode = DEFAULT_PRODUCT


class LineageInput(Input, frozen=True):
    """A page of the usage events behind the line of an invoice, the first line being 0."""

    id: uuid.UUID
    line: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    after: uuid.UUID | None = None
    limit: PageSize = 100


async def draft_invoices(call: Call, request: DraftInput) -> Drafted:
    """Draft the invoices of a chunk of customers; those that exist are left as they are."""
    return await draft(call.connection, call.book, call.recorded, call.message_hashes, _draft_order(request))


def _draft_order(request: DraftInput) -> DraftOrder:
    after, _, pinned = request.after.partition(".")
    return DraftOrder(
        request.product,
        read_month(request.month, request.zone),
        request.zone,
        request.terms_days,
        request.customers,
        int(after),
        request.limit,
        int(pinned) if pinned else None,
        answered=request.taxes == "answers",
    )


async def find_next_to_draft(call: Call, request: DraftInput) -> NextCustomer:
    """Return whom a chunk of drafts would begin with."""
    order = _draft_order(request)
    found = await next_to_draft(call.connection, call.book.book_id, order)
    if found is None:
        return NextCustomer(None, None)
    customer_id, ref = found
    return NextCustomer(ref, f"{customer_id}" if order.pinned is None else f"{customer_id}.{order.pinned}")


async def issue_invoices(call: Call, request: IssueInput) -> Issued:
    """Issue a chunk of drafts under gapless numbers and post what they ask for."""
    return await issue(call.connection, call.book.ledger, call.recorded, call.message_hashes, _issue_order(request))


def _issue_order(request: IssueInput) -> IssueOrder:
    return IssueOrder(
        request.product,
        read_month(request.month, request.zone),
        request.zone,
        request.series,
        request.after,
        request.limit,
    )


async def find_next_to_issue(call: Call, request: IssueInput) -> NextCustomer:
    """Return whom a chunk of issued invoices would begin with."""
    found = await next_to_issue(call.connection, call.book.book_id, _issue_order(request))
    return NextCustomer(None, None) if found is None else NextCustomer(found[1], str(found[0]))


async def find(call: Call, request: FindInvoiceInput) -> Invoice:
    """Return an invoice with its lines, its status and what is outstanding."""
    return await find_invoice(call.connection, call.book.ledger, request.id)


async def list_invoices(call: Call, request: InvoicesPageInput) -> InvoicesPage:
    """Return a page of invoices by period and customer."""
    period = None if request.month is None else read_month(request.month, request.zone)
    return await page_invoices(
        call.connection,
        call.book.book_id,
        customer=request.customer,
        period=period,
        after=request.after,
        limit=request.limit,
        status=request.status,
    )


async def count_late_usage(call: Call, request: LateUsageInput) -> LateUsage:
    """Count the events of a month that came after the invoices they belong on, and are on none."""
    period = read_month(request.month, request.zone)
    return await count_late(call.connection, call.book.book_id, request.product, period)


async def read_lineage(call: Call, request: LineageInput) -> LineagePage:
    """Return a page of the usage events behind a line of an invoice."""
    return await page_lineage(
        call.connection, call.book.book_id, request.id, request.line, after=request.after, limit=request.limit
    )


OPERATIONS = [
    Operation("invoicing.draft", DraftInput, Drafted, "invoicing:write", "POST /invoices/draft", draft_invoices),
    Operation("invoicing.issue", IssueInput, Issued, "invoicing:write", "POST /invoices/issue", issue_invoices),
    Operation(
        "invoicing.next_to_draft", DraftInput, NextCustomer, "invoicing:write", INTERNAL, find_next_to_draft, reads=True
    ),
    Operation(
        "invoicing.next_to_issue", IssueInput, NextCustomer, "invoicing:write", INTERNAL, find_next_to_issue, reads=True
    ),
    Operation("invoicing.find", FindInvoiceInput, Invoice, "invoicing:read", "GET /invoices/{id}", find, reads=True),
    Operation(
        "invoicing.list", InvoicesPageInput, InvoicesPage, "invoicing:read", "GET /invoices", list_invoices, reads=True
    ),
    Operation(
        "invoicing.late_usage",
        LateUsageInput,
        LateUsage,
        "invoicing:read",
        "GET /late-usage",
        count_late_usage,
        reads=True,
    ),
    Operation(
        "invoicing.lineage",
        LineageInput,
        LineagePage,
        "invoicing:read",
        "GET /invoices/{id}/lines/{line}/usage",
        read_lineage,
        reads=True,
    ),
]
