"""What others are told of a refund: ids and amounts, nothing of the person."""

from tallystick.notify.model import Told
from tallystick.payments.refunds.model import Refund, RefundStanding


def told_of(refund: Refund) -> Told:
    """Return the event that a refund has come to its end, which it may do twice: money can come back."""
    data: dict[str, object] = {
        "refund_id": refund.refund_id,
        "payment_id": refund.payment_id,
        "invoice_id": refund.invoice_id,
        "customer": refund.customer,
        "asset": refund.asset,
        "amount": refund.amount,
        "provider": refund.provider,
        "provider_refund_id": refund.provider_refund_id,
        "reason": refund.reason,
    }
    subject = f"payment/{refund.payment_id}"
    if RefundStanding(refund.status) is RefundStanding.FAILED:
        return Told("refund.failed", subject, data | {"failure": refund.failure})
    return Told("payment.refunded", subject, data)
