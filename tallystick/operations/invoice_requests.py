"""The operations by which any product asks for invoices: one, many, and the issue of what waits as a draft."""

import datetime as dt
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from tallystick.errors import InvalidInput, TallystickError
from tallystick.invoicing.model import NumberKind
from tallystick.invoicing.number import set_series
from tallystick.invoicing.requesting.issue_requested import issue_requested
from tallystick.invoicing.requesting.model import InvoiceWanted, LineWanted, RequestedInvoice, RequestOutcome
from tallystick.invoicing.requesting.request import request_invoices
from tallystick.money import MAX_AMOUNT
from tallystick.operations.catalog import CatalogCode
from tallystick.operations.fields import AssetCode, Code
from tallystick.operations.invoicing import MAX_TERMS_DAYS, CustomerRef, Series
from tallystick.operations.model import Call, Input, Operation

MAX_LINES = 10_000
"""How many lines an invoice has at the most, and all invoices of one message together."""
MAX_REQUESTS = 1_000
"""How many invoices one message asks for."""

_PRINTABLE = r"^[^\x00-\x1f\x7f]+$(?!\n)"
Description = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000, pattern=_PRINTABLE)]
ProductReference = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=_PRINTABLE)]
Memo = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]+$")]
"""May have several lines."""
Quantity = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,18}(\.[0-9]{1,18})?$(?!\n)")]
UnitAmount = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,18}(\.[0-9]{1,18})?$(?!\n)")]
LineAmount = Annotated[int, msgspec.Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
CostRank = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,12})?$(?!\n)")]


class LineInput(Input, frozen=True):
    """
    A line in the words of the product.

    Where both ``amount`` and ``unit_amount`` are given, the amount must be what quantity times unit amount comes to,
    rounded half to even once.
    """

    description: Description
    quantity: Quantity = "1"
    """Decimal text."""
    unit_amount: UnitAmount | None = None
    """Decimal text: minor units, and parts of one. Below zero for what is given off."""
    amount: LineAmount | None = None
    """Minor units."""
    tax_category: CatalogCode | None = None
    """The category whose taxes are asked for; left out, none are."""
    post_to: Code | None = None
    """The account that is credited; left out, the revenue of the product."""


class RequestInput(Input, frozen=True):
    """
    An invoice that a product asks for, under its own reference: the same reference is the same invoice.

    It has either ``due_on`` or ``terms_days``.
    """

    product: CatalogCode
    reference: ProductReference
    """The product's own id of it; unique for the product."""
    customer: CustomerRef
    """Made, if new."""
    asset: AssetCode
    lines: Annotated[list[LineInput], msgspec.Meta(min_length=1, max_length=MAX_LINES)]
    due_on: dt.date | None = None
    terms_days: Annotated[int, msgspec.Meta(ge=0, le=MAX_TERMS_DAYS)] | None = None
    """How many days after its issue it is due."""
    zone: str = "UTC"
    """An IANA name: whose calendar the dates are of."""
    issue: bool = True
    """False: it stays a draft until ``invoicing.issue_requested``."""
    memo: Memo | None = None
    cost_rank: CostRank | None = None
    """What the debt costs the customer in a year, as a part of it: ``0.18``; the policy "highest cost first" goes by it."""
    series: Series | None = None
    """What stands before its number; left out, the series that is set for the product, or INV."""


class RequestManyInput(Input, frozen=True):
    """Invoices that a product asks for; each is answered by itself."""

    invoices: Annotated[list[RequestInput], msgspec.Meta(min_length=1, max_length=MAX_REQUESTS)]


class IssueRequestedInput(Input, frozen=True):
    """Drafts that a product asked for, by their ids."""

    invoices: Annotated[list[uuid.UUID], msgspec.Meta(min_length=1, max_length=MAX_REQUESTS)]


class SeriesInput(Input, frozen=True):
    """Which series numbers are of."""

    series: Series
    product: CatalogCode | None = None
    """Left out: every product that has no series of its own."""
    kind: NumberKind = NumberKind.INVOICE


class RequestManyOutput(msgspec.Struct, frozen=True):
    """What became of each, in the order that they were asked for in."""

    items: list[RequestOutcome]


async def request_one(call: Call, request: RequestInput) -> RequestedInvoice:
    """
    Ask for an invoice, in the words of the product; asked again under the same reference, it is the same invoice.

    It is issued at once, unless it is to stay a draft: numbered, and posted to the ledger.
    """
    (outcome,) = await _request(call, [request])
    if isinstance(outcome, TallystickError):
        raise outcome
    return outcome


async def request_many(call: Call, request: RequestManyInput) -> RequestManyOutput:
    """Ask for many invoices at once; one that cannot be is told by itself, and the others are made."""
    if sum(len(one.lines) for one in request.invoices) > MAX_LINES:
        raise InvalidInput(field="invoices", rule=f"together they have at most {MAX_LINES} lines; send fewer at once")
    return RequestManyOutput([_outcome(one) for one in await _request(call, request.invoices)])


async def issue_drafts(call: Call, request: IssueRequestedInput) -> RequestManyOutput:
    """Issue drafts that a product asked for; one that is issued already stays as it is, and is told so."""
    done = await issue_requested(
        call.connection, call.book.ledger, call.recorded, call.message_hashes, request.invoices
    )  # fmt: skip
    return RequestManyOutput([_outcome(one) for one in done])


async def choose_series(call: Call, request: SeriesInput) -> SeriesInput:
    """Say which series the numbers of a product's invoices, or credit notes, are of from now on."""
    await set_series(call.connection, call.recorded, request.product, request.kind, request.series)
    return request


async def _request(call: Call, requests: Sequence[RequestInput]) -> list[RequestedInvoice | TallystickError]:
    wanted = [_wanted(one) for one in requests]
    return await request_invoices(call.connection, call.book, call.recorded, call.message_hashes, wanted)


def _wanted(request: RequestInput) -> InvoiceWanted:
    return InvoiceWanted(
        product=request.product,
        reference=request.reference,
        customer=request.customer,
        asset=request.asset,
        lines=[_line(line) for line in request.lines],
        due_on=request.due_on,
        terms_days=request.terms_days,
        zone=request.zone,
        issue=request.issue,
        memo=request.memo,
        cost_rank=None if request.cost_rank is None else Decimal(request.cost_rank),
        series=request.series,
    )


def _line(line: LineInput) -> LineWanted:
    unit_amount = None if line.unit_amount is None else Decimal(line.unit_amount)
    return LineWanted(
        line.description, Decimal(line.quantity), unit_amount, line.amount, line.tax_category, line.post_to
    )  # fmt: skip


def _outcome(one: RequestedInvoice | TallystickError) -> RequestOutcome:
    if isinstance(one, TallystickError):
        return RequestOutcome(None, one.code, one.message, one.field)
    return RequestOutcome(one)


OPERATIONS = [
    Operation(
        "invoicing.request", RequestInput, RequestedInvoice, "invoicing:write", "POST /invoices/request", request_one
    ),
    Operation(
        "invoicing.request_many",
        RequestManyInput,
        RequestManyOutput,
        "invoicing:write",
        "POST /invoices/request-many",
        request_many,
    ),
    Operation(
        "invoicing.issue_requested",
        IssueRequestedInput,
        RequestManyOutput,
        "invoicing:write",
        "POST /invoices/issue-requested",
        issue_drafts,
    ),
    Operation(
        "invoicing.set_series", SeriesInput, SeriesInput, "invoicing:write", "POST /invoices/series", choose_series
    ),
]
