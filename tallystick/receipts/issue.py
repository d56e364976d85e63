"""Issue receipts: one for each payment, in the transaction that settles it."""

import uuid
from collections.abc import Sequence

from tallystick.db.queries import Connection, queries_beside
from tallystick.ids import id_of_content
from tallystick.ledger.accounts import Recorded

_queries = queries_beside(__file__)
_insert_receipts = _queries.run("insert_receipts")


def receipt_id_of(payment_id: uuid.UUID) -> uuid.UUID:
    """Return the id of the receipt that the payment has or will have."""
    return id_of_content(["receipt", str(payment_id)])


def transfer_id_of(payment_id: uuid.UUID) -> uuid.UUID:
    """Return the id of the transfer that settles the payment."""
    return id_of_content(["payment.settle", str(payment_id)])


async def issue_receipts(connection: Connection, recorded: Recorded, issued: Sequence[tuple[int, uuid.UUID]]) -> None:
    """
    Append the receipts of settled payments; what each says is in the message that settles it.

    *issued* are the places of those messages, with the ids of the payments.
    """
    if issued:
        payment_ids = [payment_id for _, payment_id in issued]
        await _insert_receipts(
            connection,
            recorded.book_id,
            [receipt_id_of(one) for one in payment_ids],
            payment_ids,
            [transfer_id_of(one) for one in payment_ids],
            [place for place, _ in issued],
            recorded.at,
        )
