"""What others are told of a payment: ids and amounts, nothing of the person."""

from tallystick.notify.model import Told
from tallystick.payments.model import Payment


def told_of(payment: Payment) -> Told:
    """Return the event that a payment has come to its end: it failed, or it succeeded and has a receipt."""
    data: dict[str, object] = {
        "payment_id": payment.payment_id,
        "invoice_id": payment.invoice_id,
        "customer": payment.user,
        "asset": payment.asset,
        "amount": payment.amount,
        "provider": payment.provider,
        "transaction_id": payment.transaction_id,
    }
    if payment.receipt_id is not None:
        return Told("payment.succeeded", f"payment/{payment.payment_id}", data | {"receipt_id": payment.receipt_id})
    return Told("payment.failed", f"payment/{payment.payment_id}", data | {"reason": payment.reason})
