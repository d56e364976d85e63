"""Issue a receipt: once for a payment, in the transaction that settles it."""

import uuid

from tallystick.db.queries import Connection, queries_beside
from tallystick.ids import id_of_content
from tallystick.ledger.accounts import Recorded

_queries = queries_beside(__file__)
_insert_receipt = _queries.run("insert_receipt")


def receipt_id_of(payment_id: uuid.UUID) -> uuid.UUID:
    """Return the id of the receipt that the payment has or will have."""
    return id_of_content(["receipt", str(payment_id)])


def transfer_id_of(payment_id: uuid.UUID) -> uuid.UUID:
    """Return the id of the transfer that settles the payment."""
    return id_of_content(["payment.settle", str(payment_id)])


async def issue_receipt(
    connection: Connection, recorded: Recorded, payment_id: uuid.UUID, transfer_id: uuid.UUID
) -> uuid.UUID:
    """Append the receipt of a settled payment and return its id; what it says is in the message that settles it."""
    receipt_id = receipt_id_of(payment_id)
    await _insert_receipt(
        connection, recorded.book_id, receipt_id, payment_id, transfer_id, recorded.message_place, recorded.at
    )
    return receipt_id
