"""
What Stripe answers, as far as it is read here, and what it means to us.

The shapes name only what is needed, so that what Stripe adds is no matter; what does not fit them is unreadable, and
leaves the outcome unknown. Source: Stripe's API reference; the lifecycle of a PaymentIntent.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from tallystick.payments.providers.protocol import (
    DisputeStatus,
    PayoutLine,
    PayoutLineKind,
    PayoutStatus,
    ProviderDispute,
    ProviderPayout,
    ProviderRefund,
    ProviderTransaction,
    ProviderUnreachable,
    RefundStatus,
    TransactionStatus,
)
from tallystick.payments.providers.stripe.currencies import from_stripe

_Shape = TypeVar("_Shape")

_LONGEST_DESCRIPTION = 255


class Failure(msgspec.Struct):
    """Why a customer's bank said no."""

    code: str | None = None
    decline_code: str | None = None


class Charge(msgspec.Struct):
    """One try to take the money of an intent."""

    status: str
    failure_code: str | None = None


class Redirect(msgspec.Struct):
    """Where the customer is sent."""

    url: str | None = None


class NextAction(msgspec.Struct):
    """What the customer has to do."""

    redirect_to_url: Redirect | None = None


class Intent(msgspec.Struct):
    """A PaymentIntent."""

    id: str
    status: str
    amount: int
    currency: str
    created: int
    client_secret: str | None = None
    amount_received: int | None = None
    metadata: dict[str, str] | None = None
    last_payment_error: Failure | None = None
    latest_charge: Charge | str | None = None
    next_action: NextAction | None = None

    @property
    def reference(self) -> str:
        """Return our reference; empty if it is none of ours."""
        return (self.metadata or {}).get("reference", "")

    @property
    def failure(self) -> str | None:
        """Return why the last try failed; None if none did."""
        if self.last_payment_error is not None and (code := _code_of(self.last_payment_error)):
            return code
        if isinstance(self.latest_charge, Charge) and self.latest_charge.status == "failed":
            return self.latest_charge.failure_code or "card_declined"
        return None


class Refund(msgspec.Struct):
    """A Refund."""

    id: str
    amount: int
    currency: str
    created: int
    status: str | None = None
    payment_intent: str | None = None
    metadata: dict[str, str] | None = None
    failure_reason: str | None = None

    @property
    def reference(self) -> str:
        """Return our reference; empty if it is none of ours."""
        return (self.metadata or {}).get("reference", "")


class EvidenceDetails(msgspec.Struct):
    """Until when evidence is taken."""

    due_by: int | None = None


class Dispute(msgspec.Struct):
    """A Dispute."""

    id: str
    amount: int
    currency: str
    status: str
    charge: str
    reason: str = ""
    payment_intent: str | None = None
    evidence_details: EvidenceDetails | None = None


class Payout(msgspec.Struct):
    """A Payout."""

    id: str
    amount: int
    currency: str
    status: str
    arrival_date: int


class Source(msgspec.Struct):
    """What a line of the balance comes from."""

    id: str
    object: str
    payment_intent: str | None = None
    charge: str | None = None


class BalanceTransaction(msgspec.Struct):
    """A line of the balance."""

    id: str
    amount: int
    fee: int
    currency: str
    created: int
    type: str
    description: str | None = None
    source: Source | str | None = None


_BEFORE_CAPTURE = {
    # The money is not there yet, or is set aside: none was taken, and none is before it is asked for.
    "requires_payment_method": TransactionStatus.CREATED,
    "requires_confirmation": TransactionStatus.CREATED,
    "requires_capture": TransactionStatus.CREATED,
    "requires_action": TransactionStatus.ACTION_REQUIRED,
    "processing": TransactionStatus.PROCESSING,
}

_OF_REFUND = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}

INQUIRIES = frozenset({"warning_needs_response", "warning_under_review", "warning_closed"})
"""A bank that only asks: no money is held back."""

_OF_DISPUTE = {
    "warning_needs_response": DisputeStatus.OPEN,
    "warning_under_review": DisputeStatus.OPEN,
    "warning_closed": DisputeStatus.WON,
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.OPEN,
    "prevented": DisputeStatus.WON,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}

_OF_PAYOUT = {
    "pending": PayoutStatus.PENDING,
    "in_transit": PayoutStatus.PENDING,
    "paid": PayoutStatus.PAID,
    "failed": PayoutStatus.FAILED,
    "canceled": PayoutStatus.FAILED,
}

_OF_LINE = {
    "charge": PayoutLineKind.CHARGE,
    "payment": PayoutLineKind.CHARGE,
    "refund": PayoutLineKind.REFUND,
    "payment_refund": PayoutLineKind.REFUND,
    "refund_failure": PayoutLineKind.REFUND_FAILED,
    "stripe_fee": PayoutLineKind.FEE,
    "stripe_fx_fee": PayoutLineKind.FEE,
    "tax_fee": PayoutLineKind.FEE,
    "network_cost": PayoutLineKind.FEE,
}


def shape(content: Mapping[str, Any], kind: type[_Shape]) -> _Shape:
    """
    Return what Stripe answered as a *kind*.

    Raises:
        ProviderUnreachable: it is none (``payments.provider_unknown_outcome``).
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError:
        raise _unreadable() from None


def transaction_of(intent: Intent, failure: str | None = None) -> ProviderTransaction:
    """
    Return an intent as a transaction; *failure* is why it was given up, where that is known.

    An intent that was given up after a try that failed is declined: Stripe has no status for that.
    """
    decline_code = failure or intent.failure
    match intent.status:
        case "succeeded":
            status = TransactionStatus.CAPTURED
        case "canceled":
            status = TransactionStatus.CANCELED if decline_code is None else TransactionStatus.DECLINED
        case _:
            status = _known(_BEFORE_CAPTURE, intent.status)
    captured, declined = status is TransactionStatus.CAPTURED, status is TransactionStatus.DECLINED
    action = intent.next_action and intent.next_action.redirect_to_url
    return ProviderTransaction(
        id=intent.id,
        token=intent.client_secret or "",
        reference=intent.reference,
        status=status,
        # Somebody may have taken less of it by hand.
        amount=intent.amount_received if captured and intent.amount_received is not None else intent.amount,
        currency=from_stripe(intent.currency),
        decline_code=decline_code if declined else None,
        action_url=action.url if action and status is TransactionStatus.ACTION_REQUIRED else None,
    )


def refund_of(refund: Refund, transaction_id: str) -> ProviderRefund:
    """Return a refund of *transaction_id*; one without a status is still on its way."""
    status = _known(_OF_REFUND, refund.status or "pending")
    return ProviderRefund(
        id=refund.id,
        reference=refund.reference,
        transaction_id=refund.payment_intent or transaction_id,
        status=status,
        amount=refund.amount,
        currency=from_stripe(refund.currency),
        failure=(refund.failure_reason or "no reason given") if status is RefundStatus.FAILED else None,
    )


def dispute_of(dispute: Dispute) -> ProviderDispute:
    """Return a dispute; of a bank that only asked and is content, as won."""
    due_by = dispute.evidence_details and dispute.evidence_details.due_by
    return ProviderDispute(
        id=dispute.id,
        transaction_id=dispute.payment_intent or dispute.charge,
        status=_known(_OF_DISPUTE, dispute.status),
        amount=dispute.amount,
        currency=from_stripe(dispute.currency),
        reason=dispute.reason,
        answer_by=instant(due_by) if due_by else None,
    )


def payout_of(payout: Payout) -> ProviderPayout:
    """Return a payout."""
    return ProviderPayout(
        id=payout.id,
        status=_known(_OF_PAYOUT, payout.status),
        amount=payout.amount,
        currency=from_stripe(payout.currency),
        arrives_on=instant(payout.arrival_date).date(),
    )


def line_of(entry: BalanceTransaction) -> PayoutLine:
    """
    Return a line of the balance as a line of a payout's report.

    A fee on its own, which Stripe books as an amount, is a fee here. What Stripe says of a line goes along only where
    it belongs to no payment: of others it may name the customer.
    """
    source = entry.source if isinstance(entry.source, Source) else None
    kind = _kind_of_line(entry, source)
    amount, fee = (0, entry.fee - entry.amount) if kind is PayoutLineKind.FEE else (entry.amount, entry.fee)
    said = entry.description if kind in {PayoutLineKind.FEE, PayoutLineKind.ADJUSTMENT} else None
    transaction_id, refund_id, dispute_id = _subjects(source)
    return PayoutLine(
        id=entry.id,
        kind=kind,
        amount=amount,
        fee=fee,
        currency=from_stripe(entry.currency),
        occurred_at=instant(entry.created),
        transaction_id=transaction_id,
        refund_id=refund_id,
        dispute_id=dispute_id,
        description=(said or entry.type)[:_LONGEST_DESCRIPTION],
    )


def instant(seconds: int) -> dt.datetime:
    """
    Return the instant of Stripe's *seconds* since 1970.

    Raises:
        ProviderUnreachable: it is none (``payments.provider_unknown_outcome``).
    """
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (OverflowError, ValueError, OSError):
        raise _unreadable() from None


def _kind_of_line(entry: BalanceTransaction, source: Source | None) -> PayoutLineKind:
    if source is not None and source.object == "dispute":
        return PayoutLineKind.DISPUTE if entry.amount < 0 else PayoutLineKind.DISPUTE_REVERSED
    return _OF_LINE.get(entry.type, PayoutLineKind.ADJUSTMENT)


def _subjects(source: Source | None) -> tuple[str | None, str | None, str | None]:
    """Return the transaction, the refund and the dispute that a line comes from."""
    match source:
        case Source(object="charge"):
            return source.payment_intent or source.id, None, None
        case Source(object="refund"):
            return source.payment_intent or source.charge, source.id, None
        case Source(object="dispute"):
            return source.payment_intent or source.charge, None, source.id
        case _:
            return None, None, None


_Meaning = TypeVar("_Meaning")


def _known(meanings: Mapping[str, _Meaning], status: str) -> _Meaning:
    meaning = meanings.get(status)
    if meaning is None:
        raise ProviderUnreachable(cause="a status that this release does not know")
    return meaning


def _code_of(failure: Failure) -> str | None:
    return failure.decline_code or failure.code


def _unreadable() -> ProviderUnreachable:
    return ProviderUnreachable(cause="the answer cannot be read")
