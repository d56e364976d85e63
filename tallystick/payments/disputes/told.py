"""What others are told of a dispute: ids and amounts, nothing of the person."""

from tallystick.notify.model import Told
from tallystick.payments.disputes.model import Dispute, DisputeStanding

_TYPES = {
    DisputeStanding.OPEN: "dispute.opened",
    DisputeStanding.WON: "dispute.won",
    DisputeStanding.LOST: "dispute.lost",
}


def told_of(dispute: Dispute, standing: DisputeStanding) -> Told:
    """Return the event that a dispute has come to stand so."""
    data: dict[str, object] = {
        "dispute_id": dispute.dispute_id,
        "payment_id": dispute.payment_id,
        "invoice_id": dispute.invoice_id,
        "customer": dispute.customer,
        "asset": dispute.asset,
        "amount": dispute.amount,
        "provider": dispute.provider,
        "provider_dispute_id": dispute.provider_dispute_id,
        "reason": dispute.reason,
        "answer_by": dispute.answer_by,
    }
    return Told(_TYPES[standing], f"payment/{dispute.payment_id}", data)
