"""Find charges, with what became of them and of each of their invoices."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any, Literal

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.repayments.errors import UnknownCharge
from tallystick.repayments.find import find_repayments
from tallystick.repayments.model import Charge, ChargedInvoice, ChargePart, ChargesPage, Repayment

_queries = queries_beside(__file__)
_find_charges = _queries.tuples("find_charges")
_find_charged = _queries.rows("find_charged", ChargedInvoice)
_page_charges = _queries.values("page_charges")
_charge_exists = _queries.value("charge_exists")


async def find_charge(connection: Connection, book_id: int, charge_id: uuid.UUID) -> Charge:
    """
    Return a charge.

    Raises:
        UnknownCharge: there is none (``charges.unknown_charge``).
    """
    found = await _find(connection, book_id, [charge_id])
    if not found:
        raise UnknownCharge(field="id", charge=charge_id)
    return found[0]


async def page_charges(
    connection: Connection,
    book_id: int,
    on: dt.date | None,
    customer_id: int | None,
    after: uuid.UUID | None,
    limit: int,
) -> ChargesPage:
    """
    Return *limit* charges behind *after* in order of their days, of one day or one customer if given.

    Raises:
        InvalidInput: *after* is no charge (``invalid_input``).
    """
    if after is not None and not await _charge_exists(connection, book_id, after):
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    ids = await _page_charges(connection, book_id, on, customer_id, after, limit + 1)
    items = await _find(connection, book_id, ids[:limit])
    return ChargesPage(items, items[-1].id if len(ids) > limit else None)


async def _find(connection: Connection, book_id: int, ids: Sequence[uuid.UUID]) -> list[Charge]:
    rows = await _find_charges(connection, book_id, list(ids))
    parts: dict[uuid.UUID, list[ChargedInvoice]] = {row[0]: [] for row in rows}
    for part in await _find_charged(connection, book_id, list(ids)):
        parts[part.charge_id].append(part)
    repayments = await find_repayments(connection, book_id, [row[11] for row in rows if row[11] is not None])
    by_id = {one.id: one for one in repayments}
    return [_charge(row, parts[row[0]], by_id.get(row[11])) for row in rows]


def _charge(row: tuple[Any, ...], parts: Sequence[ChargedInvoice], repayment: Repayment | None) -> Charge:
    (charge_id, customer, bank_account, asset, debit_on, amount, attempt, retry_of, taken, error_kind,
     retry_on) = row[:11]  # fmt: skip
    repaid = {one.invoice: one.amount for one in repayment.allocations} if repayment else {}
    return Charge(
        id=charge_id,
        customer=customer,
        bank_account=bank_account,
        asset=asset,
        debit_on=debit_on,
        amount=amount,
        attempt=attempt,
        retry_of=retry_of,
        status=_status(taken, error_kind, sent=row[17]),
        taken=taken or 0,
        error_kind=error_kind,
        retry_on=retry_on,
        repayment=None if repayment is None else repayment.id,
        invoices=[ChargePart(one.invoice_id, one.amount, repaid.get(one.invoice_id, 0)) for one in parts],
    )


def _status(
    taken: int | None, error_kind: str | None, *, sent: bool
) -> Literal["made", "sent", "succeeded", "partly", "failed"]:
    if taken is None:
        return "sent" if sent else "made"
    if error_kind is None:
        return "succeeded"
    return "partly" if taken else "failed"
