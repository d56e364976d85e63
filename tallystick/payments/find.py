"""Find payments: by our id, or by the provider's; list them, and what happened to each."""

import datetime as dt
import uuid
from collections.abc import Sequence

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.payments.errors import UnknownPayment
from tallystick.payments.model import Payment

_queries = queries_beside(__file__)
_find_payments = _queries.rows("find_payments", Payment)
_find_by_provider_ids = _queries.tuples("find_by_provider_ids")
_page_payments = _queries.values("page_payments")


class StepTaken(msgspec.Struct, frozen=True):
    """A step of a payment, and when it was taken."""

    step: str
    at: dt.datetime
    transaction_id: str | None
    """The provider's, with the step that opened it."""
    reason: str | None
    """Why it failed."""


find_history = _queries.rows("find_history", StepTaken)


async def find_payments(
    connection: Connection, book_id: int, payment_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, Payment]:  # fmt: skip
    """Return those of the payments that exist, each as it stands, by id."""
    found = await _find_payments(connection, book_id, list(payment_ids))
    return {one.payment_id: one for one in found}


async def find_payment(connection: Connection, book_id: int, payment_id: uuid.UUID) -> Payment:
    """
    Return a payment as it stands.

    Raises:
        UnknownPayment: there is none (``payments.unknown_payment``).
    """
    payment = (await find_payments(connection, book_id, [payment_id])).get(payment_id)
    if payment is None:
        raise UnknownPayment(field="payment_id", payment=payment_id)
    return payment


async def find_by_provider_ids(
    connection: Connection, book_id: int, transaction_ids: Sequence[str], provider: str | None = None
) -> dict[str, uuid.UUID]:
    """Return the ids of payments by what their provider calls them, those that there are; only of *provider*, if named."""
    rows = await _find_by_provider_ids(connection, book_id, list(transaction_ids), provider)
    return dict(rows)


async def page_payments(
    connection: Connection,
    book_id: int,
    *,
    after: uuid.UUID | None,
    user: str | None,
    invoice_id: uuid.UUID | None,
    status: str | None,
    most: int,
) -> list[Payment]:
    """Return up to *most* payments behind *after*, the newest first, of a customer, an invoice or a status if given."""
    ids = await _page_payments(connection, book_id, after, user, invoice_id, status, most)
    found = await find_payments(connection, book_id, ids)
    return [found[one] for one in ids]
