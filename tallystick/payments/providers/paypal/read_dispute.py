"""How a dispute stands, in the words of `payments/providers/protocol.py`."""

from typing import Final

from tallystick.payments.providers.paypal.answers import Dispute, to_instant
from tallystick.payments.providers.protocol import DisputeStatus, ProviderDispute

_RESOLVED: Final = "RESOLVED"

_OF_OUTCOME: Final = {
    "RESOLVED_SELLER_FAVOUR": DisputeStatus.WON,
    "RESOLVED_WITH_PAYOUT": DisputeStatus.WON,  # PayPal pays the customer out of its own pocket
    "CANCELED_BY_BUYER": DisputeStatus.WON,
    "DENIED": DisputeStatus.WON,
    "RESOLVED_BUYER_FAVOUR": DisputeStatus.LOST,
    "ACCEPTED": DisputeStatus.LOST,  # by us, that is
}


def dispute_of(dispute: Dispute, transaction_id: str) -> ProviderDispute:
    """
    Return the dispute of *transaction_id*; resolved in words that we do not know, it is open until somebody looks.

    Raises:
        ProviderUnreachable: an amount or a time in it cannot be read.
    """
    outcome = dispute.dispute_outcome.outcome_code
    resolved = dispute.status == _RESOLVED
    due = dispute.seller_response_due_date
    return ProviderDispute(
        id=dispute.dispute_id,
        transaction_id=transaction_id,
        status=_OF_OUTCOME.get(outcome, DisputeStatus.OPEN) if resolved else DisputeStatus.OPEN,
        amount=dispute.dispute_amount.minor,
        currency=dispute.dispute_amount.currency_code,
        reason=dispute.reason,
        answer_by=None if due is None else to_instant(due),
    )
