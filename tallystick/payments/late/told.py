"""What others are told of a late capture: ids and amounts, nothing of the person."""

from tallystick.notify.model import Told
from tallystick.payments.late.model import LateCapture


def told_of(late: LateCapture) -> Told:
    """Return the event that a provider took the money of a payment that had failed."""
    data: dict[str, object] = {
        "payment_id": late.payment_id,
        "invoice_id": late.invoice_id,
        "customer": late.customer,
        "asset": late.asset,
        "amount": late.amount,
        "provider": late.provider,
        "transaction_id": late.transaction_id,
        "reason": late.reason,
    }
    return Told("payment.captured_late", f"payment/{late.payment_id}", data)
