"""What the sandbox holds, in the shapes that Stripe gives it. Source: Stripe's API reference."""

import datetime as dt
from typing import Any, Final

from tallystick.payments.providers.protocol import (
    DisputeStatus,
    PayoutLine,
    PayoutLineKind,
    PayoutStatus,
    ProviderDispute,
    ProviderPayout,
    ProviderRefund,
    ProviderTransaction,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.stripe_face.names import charge_id, client_secret, stripe_id

Resource = dict[str, Any]

_INTENT: Final = {
    # As if the customer's device had confirmed with a card as soon as it was given the secret.
    TransactionStatus.CREATED: "requires_capture",
    TransactionStatus.ACTION_REQUIRED: "requires_action",
    TransactionStatus.PROCESSING: "processing",
    TransactionStatus.CAPTURED: "succeeded",
    TransactionStatus.DECLINED: "requires_payment_method",
    TransactionStatus.CANCELED: "canceled",
}
_DISPUTE: Final = {
    DisputeStatus.OPEN: "needs_response",
    DisputeStatus.WON: "won",
    DisputeStatus.LOST: "lost",
}
_PAYOUT: Final = {
    PayoutStatus.PENDING: "in_transit",
    PayoutStatus.PAID: "paid",
    PayoutStatus.FAILED: "failed",
}
_LINE: Final = {
    PayoutLineKind.CHARGE: "charge",
    PayoutLineKind.REFUND: "refund",
    PayoutLineKind.REFUND_FAILED: "refund_failure",
    PayoutLineKind.DISPUTE: "adjustment",
    PayoutLineKind.DISPUTE_REVERSED: "adjustment",
    PayoutLineKind.FEE: "stripe_fee",
    PayoutLineKind.ADJUSTMENT: "adjustment",
}


def intent(transaction: ProviderTransaction, at: int, *, given_up: bool = False, expand: bool = False) -> Resource:
    """Return a PaymentIntent that was created *at*; *given_up*, one that was declined and then canceled."""
    declined = transaction.status is TransactionStatus.DECLINED
    captured = transaction.status is TransactionStatus.CAPTURED
    status = "canceled" if given_up else _INTENT[transaction.status]
    return {
        "id": stripe_id(transaction.id),
        "object": "payment_intent",
        "amount": transaction.amount,
        "amount_capturable": transaction.amount if status == "requires_capture" else 0,
        "amount_received": transaction.amount if captured else 0,
        "capture_method": "manual",
        "client_secret": client_secret(transaction.id, transaction.token),
        "created": at,
        "currency": transaction.currency.lower(),
        "last_payment_error": _payment_error(transaction) if declined else None,
        "latest_charge": _latest_charge(transaction, expand=expand),
        "livemode": False,
        "metadata": {"reference": transaction.reference},
        "next_action": {
            "type": "redirect_to_url",
            "redirect_to_url": {"url": transaction.action_url, "return_url": None},
        }
        if transaction.action_url
        else None,
        "payment_method_types": ["card"],
        "status": status,
    }


def card_error(transaction: ProviderTransaction, at: int) -> Resource:
    """Return the error by which a decline is told."""
    return {**_payment_error(transaction), "payment_intent": intent(transaction, at)}


def refund(made: ProviderRefund, at: int) -> Resource:
    """Return a Refund."""
    rendered = {
        "id": stripe_id(made.id),
        "object": "refund",
        "amount": made.amount,
        "charge": charge_id(made.transaction_id),
        "created": at,
        "currency": made.currency.lower(),
        "metadata": {"reference": made.reference},
        "payment_intent": stripe_id(made.transaction_id),
        "status": made.status.value,
    }
    # Stripe leaves it out where there is none.
    return rendered if made.failure is None else {**rendered, "failure_reason": made.failure}


def dispute(opened: ProviderDispute, at: int) -> Resource:
    """Return a Dispute."""
    return {
        "id": stripe_id(opened.id),
        "object": "dispute",
        "amount": opened.amount,
        "charge": charge_id(opened.transaction_id),
        "created": at,
        "currency": opened.currency.lower(),
        "evidence_details": {"due_by": seconds(opened.answer_by) if opened.answer_by else None},
        "livemode": False,
        "metadata": {},
        "payment_intent": stripe_id(opened.transaction_id),
        "reason": opened.reason,
        "status": _DISPUTE[opened.status],
    }


def payout(paid: ProviderPayout) -> Resource:
    """Return a Payout."""
    arrives = dt.datetime.combine(paid.arrives_on, dt.time(), dt.UTC)
    return {
        "id": stripe_id(paid.id),
        "object": "payout",
        "amount": paid.amount,
        "arrival_date": seconds(arrives),
        "automatic": True,
        "created": seconds(arrives),
        "currency": paid.currency.lower(),
        "livemode": False,
        "metadata": {},
        "reconciliation_status": "completed",
        "status": _PAYOUT[paid.status],
    }


def balance_transaction(line: PayoutLine) -> Resource:
    """Return a line of the balance; a fee on its own is an amount to Stripe."""
    alone = line.kind is PayoutLineKind.FEE
    amount, fee = (line.amount - line.fee, 0) if alone else (line.amount, line.fee)
    return _entry(
        stripe_id(line.id),
        _LINE[line.kind],
        amount,
        fee,
        line.currency,
        seconds(line.occurred_at),
        _source(line),
        line.description,
    )


def entry_of_payout(paid: ProviderPayout) -> Resource:
    """Return the line of the balance by which a payout leaves it."""
    made = payout(paid)
    return _entry(f"txn_{made['id']}", "payout", -paid.amount, 0, paid.currency, made["created"], made, "")


def seconds(at: dt.datetime) -> int:
    """Return an instant as Stripe writes it."""
    return int(at.timestamp())


def _entry(  # noqa: PLR0913, PLR0917 - an entry has so many parts
    own: str, kind: str, amount: int, fee: int, currency: str, at: int, source: Resource | None, description: str
) -> Resource:
    return {
        "id": own,
        "object": "balance_transaction",
        "amount": amount,
        "created": at,
        "currency": currency.lower(),
        "description": description or None,
        "fee": fee,
        "net": amount - fee,
        "source": source,
        "type": kind,
    }


def _source(line: PayoutLine) -> Resource | None:
    """Return what a line comes from, so far as its reader needs it."""
    if line.transaction_id is None:
        return None
    of_payment = {"charge": charge_id(line.transaction_id), "payment_intent": stripe_id(line.transaction_id)}
    if line.refund_id is not None:
        return {"id": stripe_id(line.refund_id), "object": "refund", **of_payment}
    if line.dispute_id is not None:
        return {"id": stripe_id(line.dispute_id), "object": "dispute", **of_payment}
    return {"id": of_payment["charge"], "object": "charge", "payment_intent": of_payment["payment_intent"]}


def _payment_error(transaction: ProviderTransaction) -> Resource:
    return {
        "type": "card_error",
        "code": transaction.decline_code or "card_declined",
        "decline_code": "generic_decline",
        "message": "The card was declined.",
    }


def _latest_charge(transaction: ProviderTransaction, *, expand: bool) -> Resource | str | None:
    if transaction.status in {TransactionStatus.ACTION_REQUIRED, TransactionStatus.CANCELED}:
        return None
    own = charge_id(transaction.id)
    if not expand:
        return own
    failed = transaction.status is TransactionStatus.DECLINED
    return {
        "id": own,
        "object": "charge",
        "captured": transaction.status is TransactionStatus.CAPTURED,
        "failure_code": transaction.decline_code,
        "payment_intent": stripe_id(transaction.id),
        "status": "failed" if failed else "succeeded",
    }
