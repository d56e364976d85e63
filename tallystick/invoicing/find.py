"""Find invoices, with what the ledger says is outstanding on each."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.invoicing.model import (
    AdjustedLine,
    Invoice,
    InvoiceAccount,
    InvoiceLine,
    InvoicesPage,
    InvoiceStatus,
    Standing,
    account_of,
    printed_number,
    status_of,
)
from tallystick.invoicing.tax import InvoiceTax, find_taxes
from tallystick.ledger.post import Ledger
from tallystick.periods import Period
from tallystick.rating.exact import plain
from tallystick.wallets.find import CreditUse, uses_of_invoices

_queries = queries_beside(__file__)
_find_invoices = _queries.tuples("find_invoices")
_find_account = _queries.tuples("find_account")
_find_lines = _queries.tuples("find_lines")
_page_invoices = _queries.values("page_invoices")
_invoice_exists = _queries.value("invoice_exists")
_find_standings = _queries.tuples("find_standings")

_BESIDE_DETAIL = ("quantity", "unit", "amount", "asset", "explanation")
"""What of a rated line is not repeated in its detail, since it stands beside it."""
_LOOKED_AT = 1_000
"""So many invoices are looked at together for those in a state."""
_MOST_LOOKED_AT = 20_000
"""So many are looked at for one page; one that is short then has more behind it."""


class UnknownInvoice(TallystickError):
    """There is no invoice {invoice} in this book."""

    code = "invoicing.unknown_invoice"
    kind = Kind.NOT_FOUND


class InvoiceNotIssued(TallystickError):
    """The invoice {invoice} is a draft; nothing is owed before it is issued."""

    code = "invoicing.not_issued"
    kind = Kind.REFUSED


async def find_invoice(connection: Connection, ledger: Ledger, invoice_id: uuid.UUID) -> Invoice:
    """
    Return an invoice with its lines.

    Raises:
        UnknownInvoice: there is none (``invoicing.unknown_invoice``).
    """
    found = await find_invoices(connection, ledger.book_id, [invoice_id])
    if not found:
        raise UnknownInvoice(field="id", invoice=invoice_id)
    return found[0]


async def find_invoices(connection: Connection, book_id: int, invoice_ids: Sequence[uuid.UUID]) -> list[Invoice]:
    """Return those of the invoices that exist, in order of *invoice_ids*."""
    rows = await _find_invoices(connection, book_id, list(invoice_ids))
    lines = await find_lines(connection, book_id, invoice_ids)
    taxes = await find_taxes(connection, book_id, invoice_ids)
    uses = await uses_of_invoices(connection, book_id, invoice_ids)
    return [_invoice(row, lines.get(row[0], []), taxes.get(row[0], []), uses.get(row[0], [])) for row in rows]


async def find_lines(
    connection: Connection, book_id: int, invoice_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[InvoiceLine]]:  # fmt: skip
    """Return the lines of invoices in their order; an invoice without any is not in it."""
    lines: defaultdict[uuid.UUID, list[InvoiceLine]] = defaultdict(list)
    for invoice_id, *line in await _find_lines(connection, book_id, list(invoice_ids)):
        lines[invoice_id].append(_line(line))
    return lines


async def page_invoices(
    connection: Connection,
    book_id: int,
    *,
    customer: str | None,
    period: Period | None,
    after: uuid.UUID | None,
    limit: int,
    status: InvoiceStatus | None = None,
) -> InvoicesPage:
    """
    Return *limit* invoices behind *after* by period and customer, of one customer, period or status if given.

    Where few have the status a page can be short, or empty, with more behind it.

    Raises:
        InvalidInput: *after* is no invoice (``invalid_input``).
    """
    await require_cursor(connection, book_id, after)
    start_at = None if period is None else period.start_at
    if status is not None:
        found, cursor = await _find_with_status(connection, book_id, (customer, start_at, after), limit, status)
        return InvoicesPage(await find_invoices(connection, book_id, found), cursor)
    found = await _page_invoices(connection, book_id, customer, start_at, after, limit + 1)
    items = await find_invoices(connection, book_id, found[:limit])
    return InvoicesPage(items, items[-1].id if len(found) > limit else None)


async def _find_with_status(
    connection: Connection, book_id: int, whose: tuple[Any, ...], limit: int, status: InvoiceStatus
) -> tuple[list[uuid.UUID], uuid.UUID | None]:
    """Return the next invoices that stand so, and the cursor behind the last that was looked at."""
    customer, start_at, after = whose
    found: list[uuid.UUID] = []
    for _ in range(_MOST_LOOKED_AT // _LOOKED_AT):
        page = await _page_invoices(connection, book_id, customer, start_at, after, _LOOKED_AT)
        for row in await _find_standings(connection, book_id, page):
            if len(found) == limit:
                return found, found[-1]
            if status_of(Standing(*row[1:])) is status:
                found.append(row[0])
        if len(page) < _LOOKED_AT:
            return found, None
        after = page[-1]
    return found, after


async def require_cursor(connection: Connection, book_id: int, after: uuid.UUID | None) -> None:
    """
    Refuse a cursor behind which there would be nothing, since it is no invoice of the book.

    Raises:
        InvalidInput: it is none (``invalid_input``).
    """
    if after is not None and not await _invoice_exists(connection, book_id, after):
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")


async def invoice_account(connection: Connection, book_id: int, invoice_id: uuid.UUID) -> InvoiceAccount:
    """
    Return the ledger account of an issued invoice and what is outstanding on it.

    Raises:
        UnknownInvoice: there is no such invoice (``invoicing.unknown_invoice``).
        InvoiceNotIssued: it is a draft (``invoicing.not_issued``).
    """
    rows = await _find_account(connection, book_id, invoice_id)
    if not rows:
        raise UnknownInvoice(field="id", invoice=invoice_id)
    account_id, asset_id, asset, outstanding = rows[0]
    if account_id is None:
        raise InvoiceNotIssued(field="id", invoice=invoice_id)
    return InvoiceAccount(account_id, account_of(invoice_id), asset_id, asset, int(outstanding))


def _invoice(row: tuple[Any, ...], lines: list[InvoiceLine], taxes: list[InvoiceTax], uses: list[CreditUse]) -> Invoice:
    (invoice_id, customer, product, asset, exponent, period_start, period_end, total, usage_through, drafted_at,
     series, number, due_on, issued_at, account_id, transfer_id, owed, outstanding, noted, overdue, credited,
     reference, memo, cost_rank) = row  # fmt: skip
    issued = account_id is not None
    return Invoice(
        id=invoice_id,
        number=printed_number(series, number) if issued else None,
        customer=customer,
        product=product,
        asset=asset,
        exponent=exponent,
        period_start=period_start,
        period_end=period_end,
        subtotal=total - sum(one.amount for one in taxes if not one.inclusive),
        taxes=taxes,
        total=total,
        credits_applied=sum(one.amount for one in uses if one.line is None),
        credits=uses,
        outstanding=outstanding,
        status=status_of(Standing(issued, owed, outstanding, noted, overdue)),
        due_on=due_on,
        drafted_at=drafted_at,
        issued_at=issued_at,
        account=account_of(invoice_id) if issued else None,
        transfer_id=transfer_id,
        usage_through=usage_through,
        lines=lines,
        credited=credited,
        reference=reference,
        memo=memo,
        cost_rank=None if cost_rank is None else plain(cost_rank),
    )


def _line(row: list[Any]) -> InvoiceLine:
    (position, charge, name, price_at, meter, period_start, period_end, events, quantity, amount, detail, adjusts,
     adjusts_line, unit_amount, tax_category, post_to) = row  # fmt: skip
    content = msgspec.json.decode(detail)
    return InvoiceLine(
        position=position,
        charge=charge,
        name=name,
        price_at=price_at,
        meter=meter,
        period_start=period_start,
        period_end=period_end,
        events=events,
        quantity=plain(quantity),
        unit=content["unit"],
        amount=amount,
        explanation=content["explanation"],
        detail={key: value for key, value in content.items() if key not in _BESIDE_DETAIL},
        adjusts=None if adjusts is None else AdjustedLine(adjusts, adjusts_line),
        unit_amount=None if unit_amount is None else plain(unit_amount),
        tax_category=tax_category,
        post_to=post_to,
    )
