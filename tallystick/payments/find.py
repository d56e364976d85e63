"""Find payments: by our id, or by the provider's."""

import uuid

from tallystick.db.queries import Connection, queries_beside
from tallystick.payments.errors import UnknownPayment
from tallystick.payments.model import Payment

_queries = queries_beside(__file__)
_find_payment = _queries.row("find_payment", Payment)
_find_by_provider_id = _queries.value("find_by_provider_id")


async def find_payment(connection: Connection, book_id: int, payment_id: uuid.UUID) -> Payment:
    """
    Return a payment as it stands.

    Raises:
        UnknownPayment: there is none (``payments.unknown_payment``).
    """
    payment = await _find_payment(connection, book_id, payment_id)
    if payment is None:
        raise UnknownPayment(field="payment_id", payment=payment_id)
    return payment


async def find_by_provider_id(connection: Connection, book_id: int, transaction_id: str) -> Payment:
    """
    Return the payment that the provider knows as *transaction_id*.

    Raises:
        UnknownPayment: there is none (``payments.unknown_payment``).
    """
    payment_id = await _find_by_provider_id(connection, book_id, transaction_id)
    if payment_id is None:
        raise UnknownPayment(field="transaction_id", payment=transaction_id)
    return await find_payment(connection, book_id, payment_id)
