"""
How an order of PayPal's stands, in the words of `payments/providers/protocol.py`.

    order CREATED, SAVED, PAYER_ACTION_REQUIRED   action_required, until the customer has approved it
          APPROVED                                created: nothing moves until it is captured
          VOIDED, or marked as given up by us     canceled
    capture COMPLETED, (PARTIALLY_)REFUNDED       captured
            PENDING                               processing
            DECLINED, FAILED                      declined

A capture outweighs its order. A word that is not in these lists means that nobody knows yet.
"""

from typing import Final

from tallystick.payments.providers.paypal.answers import Capture, Order, Refund
from tallystick.payments.providers.protocol import (
    ProviderRefund,
    ProviderTransaction,
    ProviderUnreachable,
    RefundStatus,
    TransactionStatus,
)

GIVEN_UP: Final = "Given up"
"""The description that we write on an order that will not be captured; PayPal has no way to cancel one."""

_APPROVAL: Final = ("approve", "payer-action")
"""The link that the customer approves the order at; its name depends on how the order was made."""

_TAKEN: Final = frozenset({"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"})
_NOT_TAKEN: Final = frozenset({"DECLINED", "FAILED"})

_OF_ORDER: Final = {
    "CREATED": TransactionStatus.ACTION_REQUIRED,
    "SAVED": TransactionStatus.ACTION_REQUIRED,
    "PAYER_ACTION_REQUIRED": TransactionStatus.ACTION_REQUIRED,
    "APPROVED": TransactionStatus.CREATED,
    "VOIDED": TransactionStatus.CANCELED,
    "COMPLETED": TransactionStatus.PROCESSING,
}
"""Of an order without a capture; a completed one that shows none yet is on its way."""

_OF_REFUND: Final = {
    "COMPLETED": RefundStatus.SUCCEEDED,
    "FAILED": RefundStatus.FAILED,
    "CANCELLED": RefundStatus.FAILED,
}


def transaction_of(order: Order) -> ProviderTransaction:
    """
    Return the transaction that *order* is.

    Raises:
        ProviderUnreachable: it is in a state that we do not know, or none of ours, or its capture is of another amount.
    """
    unit = order.unit
    status = _status_of(order)
    taken = taken_of(order)
    if taken is not None and taken.amount is not None and not taken.amount.equals(unit.amount):
        raise ProviderUnreachable(cause="another amount was captured than the order's")
    approval = approval_of(order)
    declined = [capture for capture in unit.payments.captures if capture.status in _NOT_TAKEN]
    return ProviderTransaction(
        id=order.id,
        token=approval or order.id,
        reference=unit.custom_id or unit.invoice_id or order.id,
        status=status,
        amount=unit.amount.minor,
        currency=unit.amount.currency_code,
        decline_code=_why(declined[-1]) if status is TransactionStatus.DECLINED else None,
        action_url=approval if status is TransactionStatus.ACTION_REQUIRED else None,
    )


def approval_of(order: Order) -> str | None:
    """Return where the customer approves *order*; None once there is nothing to approve."""
    return next((link.href for link in order.links if link.rel in _APPROVAL), None)


def taken_of(order: Order) -> Capture | None:
    """Return the capture that took *order*'s money; None if none did."""
    return next((capture for capture in order.unit.payments.captures if capture.status in _TAKEN), None)


def refund_of(order: Order, refund: Refund, reference: str) -> ProviderRefund:
    """
    Return a refund of *order* that was made for *reference*.

    Raises:
        ProviderUnreachable: it does not say how much it is.
    """
    if refund.amount is None:
        raise ProviderUnreachable(cause="the answer does not say how much was refunded")
    status = _OF_REFUND.get(refund.status, RefundStatus.PENDING)
    return ProviderRefund(
        id=refund.id,
        reference=reference,
        transaction_id=order.id,
        status=status,
        amount=refund.amount.minor,
        currency=refund.amount.currency_code,
        failure=(refund.status_details.reason or refund.status) if status is RefundStatus.FAILED else None,
    )


def _status_of(order: Order) -> TransactionStatus:
    captures = {capture.status for capture in order.unit.payments.captures}
    if captures & _TAKEN:
        return TransactionStatus.CAPTURED
    if captures - _NOT_TAKEN:
        return TransactionStatus.PROCESSING
    if captures:
        return TransactionStatus.DECLINED
    status = _OF_ORDER.get(order.status)
    if status is None:
        raise ProviderUnreachable(cause="the order is in a state that we do not know")
    undecided = status in {TransactionStatus.ACTION_REQUIRED, TransactionStatus.CREATED}
    return TransactionStatus.CANCELED if undecided and order.unit.description == GIVEN_UP else status


def _why(capture: Capture) -> str:
    return capture.status_details.reason or capture.status
