"""The taxes' operations: rates as data, and what they make of lines."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated

import msgspec

from tallystick.errors import InvalidInput
from tallystick.money import MAX_AMOUNT
from tallystick.operations.catalog import DEFAULT_PRODUCT, CatalogCode, Name
from tallystick.operations.fields import Instant
from tallystick.operations.invoicing import CustomerRef
from tallystick.operations.model import Call, Input, Operation
from tallystick.rating.exact import plain
from tallystick.taxes import set_taxes
from tallystick.taxes.apply import load_table, load_taxes, tax_whose
from tallystick.taxes.compute import Taxed, TaxLine
from tallystick.taxes.engine import LineToAsk, TaxQuestion
from tallystick.taxes.keep_answers import keep_answers
from tallystick.taxes.model import (
    STANDARD,
    InvoiceTax,
    Mode,
    Scope,
    TaxCategory,
    TaxCustomer,
    TaxRate,
    TaxRounding,
    Treatment,
    Whose,
)

Jurisdiction = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,16})*$(?!\n)")]
"""A country and parts of it: ``AT``, ``US-CA``, ``US-CA-ALAMEDA``."""
RateText = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,9}(\.[0-9]{1,12})?$(?!\n)")]
HIGHEST_RATE = 10
MAX_ANSWERS = 200
"""How many answers of an engine one message carries."""
_FIRST, _LAST = dt.datetime(1, 1, 2, tzinfo=dt.UTC), dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


class TaxRateInput(Input, frozen=True):
    """A tax of a jurisdiction on a product category; several of other names add up."""

    jurisdiction: Jurisdiction
    name: Name
    """As invoices print it: ``VAT``."""
    rate: RateText | None
    """Of the base, as decimal text such as ``0.20``; null ends the tax."""
    effective_at: Instant
    category: CatalogCode = STANDARD
    inclusive: bool = False
    """Prices contain it; otherwise it is added to them."""
    compound: bool = False
    """It is taken of the base and the taxes that are not compound."""


class TaxRoundingInput(Input, frozen=True):
    """How a jurisdiction's taxes are rounded; ``invoice`` and ``half_up`` where nothing is said."""

    jurisdiction: Jurisdiction
    effective_at: Instant
    scope: Scope
    mode: Mode = "half_up"


class TaxCategoryInput(Input, frozen=True):
    """The category of a product, or of one of its charges; ``standard`` where nothing is said."""

    category: CatalogCode
    effective_at: Instant
    charge: CatalogCode | None = None
    product: CatalogCode = DEFAULT_PRODUCT


class TaxCustomerInput(Input, frozen=True):
    """Where a customer is taxed; one of whom nothing is said is not taxed."""

    customer: CustomerRef
    jurisdiction: Jurisdiction
    effective_at: Instant
    treatment: Treatment = "taxed"
    reason: Name | None = None
    """Why no tax is asked for, as the invoice prints it; exactly where none is."""


class TaxRatesInput(Input, frozen=True):
    """Of which jurisdiction; of all if left out."""

    jurisdiction: Jurisdiction | None = None


class TaxRatesOutput(msgspec.Struct, frozen=True):
    """Every version of every rate."""

    items: list[TaxRate]


class LineToTax(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line to be taxed."""

    amount: Annotated[int, msgspec.Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
    """In minor units; negative where it takes back."""
    charge: CatalogCode | None = None
    category: CatalogCode | None = None
    """Left out, that of the charge, or of the product."""


class TaxPreviewInput(Input, frozen=True):
    """Lines, and who is asked for them: a customer, or anybody in a jurisdiction."""

    lines: Annotated[list[LineToTax], msgspec.Meta(min_length=1, max_length=1000)]
    customer: CustomerRef | None = None
    jurisdiction: Jurisdiction | None = None
    product: CatalogCode = DEFAULT_PRODUCT
    before: Instant | None = None
    """The end of what is invoiced: what was in force right before it counts. Left out, the present moment."""


class TaxPreview(msgspec.Struct, frozen=True):
    """What the taxes in force make of lines; amounts are in minor units."""

    subtotal: int
    """The lines."""
    taxes: list[InvoiceTax]
    exclusive: int
    """What the taxes add."""
    total: int
    parts: list[list[int]]
    """For each tax, the part of each line; they add up to its amount."""


Amount = Annotated[int, msgspec.Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]


class AskedLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line that an engine was asked about."""

    product: CatalogCode
    charge: CatalogCode
    category: CatalogCode
    amount: Amount


class AskedQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an engine was asked, as `invoicing.draft` tells it."""

    invoice_id: uuid.UUID
    customer: CustomerRef
    jurisdiction: Jurisdiction
    treatment: Treatment
    reason: Name | None
    asset: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    exponent: Annotated[int, msgspec.Meta(ge=0, le=18)]
    before: Instant
    lines: Annotated[list[AskedLine], msgspec.Meta(min_length=1, max_length=100_000)]


class AnsweredTax(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tax that an engine says an invoice has."""

    jurisdiction: Jurisdiction
    category: CatalogCode
    name: Name
    rate: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,12})?$(?!\n)")]
    inclusive: bool
    base: Amount
    amount: Amount
    treatment: Treatment = "taxed"
    reason: Name | None = None


class KeptAnswerInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question and what the engine answered to it; no taxes at all is an answer, too."""

    question: AskedQuestion
    taxes: Annotated[list[AnsweredTax], msgspec.Meta(max_length=1_000)]


class KeepAnswersInput(Input, frozen=True):
    """Answers of a tax engine outside."""

    answers: Annotated[list[KeptAnswerInput], msgspec.Meta(min_length=1, max_length=MAX_ANSWERS)]


class KeepAnswersOutput(msgspec.Struct, frozen=True):
    """How many answers are kept."""

    kept: int


async def set_rate(call: Call, request: TaxRateInput) -> TaxRate:
    """Set a tax of a jurisdiction from an instant on; invoices that were made stay as they are."""
    rate = None if request.rate is None else Decimal(request.rate)
    if rate is not None and not 0 <= rate <= HIGHEST_RATE:
        raise InvalidInput(field="rate", rule=f"Expected a rate from 0 to {HIGHEST_RATE}: 0.20 is 20 %")
    wanted = TaxRate(
        request.jurisdiction, request.category, request.name, _in_calendar("effective_at", request.effective_at),
        None if rate is None else plain(rate), request.inclusive, request.compound,
    )  # fmt: skip
    return await set_taxes.set_rate(call.connection, call.recorded, wanted)


async def set_rounding(call: Call, request: TaxRoundingInput) -> TaxRounding:
    """Set how a jurisdiction's taxes are rounded, from an instant on."""
    at = _in_calendar("effective_at", request.effective_at)
    wanted = TaxRounding(request.jurisdiction, at, request.scope, request.mode)
    return await set_taxes.set_rounding(call.connection, call.recorded, wanted)


async def set_category(call: Call, request: TaxCategoryInput) -> TaxCategory:
    """Set the tax category of a product or a charge, from an instant on."""
    at = _in_calendar("effective_at", request.effective_at)
    wanted = TaxCategory(request.product, request.charge, at, request.category)
    return await set_taxes.set_category(call.connection, call.recorded, wanted)


async def set_customer(call: Call, request: TaxCustomerInput) -> TaxCustomer:
    """Set where a customer is taxed, and whether, from an instant on."""
    if (request.treatment == "taxed") != (request.reason is None):
        raise InvalidInput(field="reason", rule="Who is exempt or under reverse charge has a reason, and nobody else")
    at = _in_calendar("effective_at", request.effective_at)
    wanted = TaxCustomer(request.customer, at, request.jurisdiction, request.treatment, request.reason)
    return await set_taxes.set_customer(call.connection, call.recorded, wanted)


async def list_rates(call: Call, request: TaxRatesInput) -> TaxRatesOutput:
    """Return every version of every tax rate."""
    return TaxRatesOutput(await set_taxes.list_rates(call.connection, call.book.book_id, request.jurisdiction))


async def preview(call: Call, request: TaxPreviewInput) -> TaxPreview:
    """Return the taxes of lines without keeping anything."""
    if (request.customer is None) == (request.jurisdiction is None):
        raise InvalidInput(field="customer", rule="Either a customer or a jurisdiction says where the lines are taxed")
    taxed = await _tax(call, request)
    subtotal = sum(line.amount for line in request.lines)
    return TaxPreview(subtotal, taxed.taxes, taxed.exclusive, subtotal + taxed.exclusive, taxed.parts)


async def keep(call: Call, request: KeepAnswersInput) -> KeepAnswersOutput:
    """Keep what a tax engine answered, for the drafts that ask the same; what is kept never changes."""
    answered = [
        (_question(one.question, f"answers[{place}].question"), _taxes(one.taxes, f"answers[{place}].taxes"))
        for place, one in enumerate(request.answers)
    ]
    return KeepAnswersOutput(await keep_answers(call.connection, call.recorded, answered))


def _question(asked: AskedQuestion, field: str) -> TaxQuestion:
    return TaxQuestion(
        asked.invoice_id, asked.customer, asked.jurisdiction, asked.treatment, asked.reason, asked.asset, asked.exponent,
        _in_calendar(f"{field}.before", asked.before),
        [LineToAsk(one.product, one.charge, one.category, one.amount) for one in asked.lines],
    )  # fmt: skip


def _taxes(said: list[AnsweredTax], field: str) -> list[InvoiceTax]:
    for place, one in enumerate(said):
        untaxed = one.treatment != "taxed"
        if untaxed != (one.reason is not None):
            raise InvalidInput(
                field=f"{field}[{place}].reason",
                rule="What is exempt or under reverse charge has a reason, and nothing else",
            )
        if untaxed and Decimal(one.rate):
            raise InvalidInput(field=f"{field}[{place}].rate", rule="What is not taxed has the rate 0")
    return [
        InvoiceTax(
            one.jurisdiction, one.category, one.name, plain(Decimal(one.rate)), inclusive=one.inclusive, base=one.base,
            amount=one.amount, treatment=one.treatment, reason=one.reason,
        )
        for one in said
    ]  # fmt: skip


async def _tax(call: Call, request: TaxPreviewInput) -> Taxed:
    before = call.at if request.before is None else _in_calendar("before", request.before)
    if request.jurisdiction is not None:
        await set_taxes.require_jurisdiction(call.connection, call.book.book_id, request.jurisdiction)
        table, whose = await load_table(call.connection, call.book.book_id), Whose(request.jurisdiction)
    else:
        customer_id = await set_taxes.require_customer(call.connection, call.book.book_id, request.customer or "")
        table = await load_taxes(call.connection, call.book.book_id, [customer_id])
        found = table.whose(customer_id, before)
        if found is None:
            return Taxed([], 0, [])
        whose = found
    lines = [
        TaxLine(one.category or table.category_of(request.product, one.charge or "", before), one.amount)
        for one in request.lines
    ]
    return tax_whose(table, whose, lines, before)


def _in_calendar(field: str, at: dt.datetime) -> dt.datetime:
    if not _FIRST <= at < _LAST:
        raise InvalidInput(field=field, rule="Expected an instant of the years 1 to 9998")
    return at.astimezone(dt.UTC)


OPERATIONS = [
    Operation("taxes.set_rate", TaxRateInput, TaxRate, "taxes:write", "POST /tax-rates", set_rate),
    Operation("taxes.set_rounding", TaxRoundingInput, TaxRounding, "taxes:write", "POST /tax-roundings", set_rounding),
    Operation("taxes.set_category", TaxCategoryInput, TaxCategory, "taxes:write", "POST /tax-categories", set_category),
    Operation("taxes.set_customer", TaxCustomerInput, TaxCustomer, "taxes:write", "POST /tax-customers", set_customer),
    Operation("taxes.rates", TaxRatesInput, TaxRatesOutput, "taxes:read", "GET /tax-rates", list_rates, reads=True),
    Operation("taxes.keep_answers", KeepAnswersInput, KeepAnswersOutput, "invoicing:write", "POST /tax-answers", keep),
    Operation("taxes.preview", TaxPreviewInput, TaxPreview, "taxes:read", "POST /taxes/preview", preview, reads=True),
]
