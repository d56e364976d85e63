"""What a payment took, read behind its lock: of two who give it back the second sees what the first did."""

import uuid
from dataclasses import dataclass

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.read_in_order import Place
from tallystick.payments.errors import UnknownPayment
from tallystick.payments.model import PaymentStatus
from tallystick.payments.refunds.errors import NothingTaken, NotSettled
from tallystick.payments.refunds.limit import GivenBack
from tallystick.repayments.dues import require_earlier


@dataclass(frozen=True, slots=True)
class Taken:
    """A payment as far as giving it back goes."""

    payment_id: uuid.UUID
    invoice_id: uuid.UUID
    customer: str
    provider: str
    transaction_id: str | None
    """The provider's."""
    amount: int
    asset: str
    status: str
    """``settled``, ``failed``, or anything else for a payment that is under way."""
    ordered: int | None
    """Where the transaction stands in the order that settled it."""
    credited: int | None
    """The account that its money went to; None until it is settled."""
    receivable: int
    """The account of its invoice."""

    @property
    def on_invoice(self) -> int:
        """Return how much of it its invoice took: all or nothing."""
        return self.amount if self.credited == self.receivable else 0


_queries = queries_beside(__file__)
_find_taken = _queries.row("find_taken", Taken)
_find_given_back = _queries.tuples("find_given_back")


async def find_taken(connection: Connection, book_id: int, payment_id: uuid.UUID, place: Place) -> Taken:
    """
    Return what a settled payment took; to be called behind `lock_payments`.

    Raises:
        UnknownPayment: there is none (``payments.unknown_payment``).
        NotSettled: it is still under way (``refunds.not_settled``).
        NothingTaken: it has failed (``refunds.nothing_taken``).
        OrderLost: it was settled by a transaction that is ordered later.
    """
    taken = await _find_taken(connection, book_id, payment_id)
    if taken is None:
        raise UnknownPayment(field="payment_id", payment=payment_id)
    if taken.status == PaymentStatus.FAILED.value:
        raise NothingTaken(field="payment_id")
    if taken.ordered is None or taken.status != PaymentStatus.SETTLED.value:
        raise NotSettled(field="payment_id", status=taken.status)
    require_earlier(taken.ordered, place)
    return taken


async def find_given_back(connection: Connection, book_id: int, payment_id: uuid.UUID, place: Place) -> list[GivenBack]:
    """
    Return what went back of a payment, and what disputes hold back.

    Raises:
        OrderLost: some of it by a transaction that is ordered later.
    """
    found = []
    for amount, take_from, ordered in await _find_given_back(connection, book_id, payment_id):
        require_earlier(ordered, place)
        found.append(GivenBack(amount, take_from))
    return found
