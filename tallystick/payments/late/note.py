"""Note that a provider took the money of a payment that had failed; nothing is posted, since nobody knows whose it is to be."""

import uuid

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.read_in_order import take_place
from tallystick.notify.tell import tell
from tallystick.payments.enter import lock_payments
from tallystick.payments.find import find_payment
from tallystick.payments.late.errors import NotFailed
from tallystick.payments.late.find import seek_late
from tallystick.payments.late.told import told_of
from tallystick.payments.model import PaymentStatus

_queries = queries_beside(__file__)
_insert_late = _queries.run("insert_late")


async def note_late(
    connection: Connection, recorded: Recorded, payment_id: uuid.UUID, amount: int, currency: str
) -> None:
    """
    Note what a provider took of a payment that had failed, once, and tell it.

    The payment stays failed and its invoice owed: whether the money goes back or is kept is for people to say.

    Raises:
        UnknownPayment: there is none (``payments.unknown_payment``).
        NotFailed: the payment has not failed, or has no transaction (``payments.not_failed``).
    """
    await lock_payments(connection, recorded.book_id, [payment_id])
    await take_place(connection)
    payment = await find_payment(connection, recorded.book_id, payment_id)
    if payment.status != PaymentStatus.FAILED.value or payment.transaction_id is None:
        raise NotFailed(field="payment_id", status=payment.status)
    if await seek_late(connection, recorded.book_id, payment_id) is not None:
        return
    place, at = recorded.message_place, recorded.at
    await _insert_late(connection, recorded.book_id, payment_id, amount, currency, place, at)
    noted = await seek_late(connection, recorded.book_id, payment_id)
    if noted is not None:
        await tell(connection, recorded, [told_of(noted)])
