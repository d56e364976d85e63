"""The sandbox's events as webhooks of Stripe's, signed as Stripe signs."""

import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

import msgspec

from tallystick.payments.providers.protocol import (
    DisputeStatus,
    PayoutStatus,
    ProviderDispute,
    ProviderPayout,
    ProviderRefund,
    ProviderTransaction,
    RefundStatus,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.change import Event, Record
from tallystick.payments.providers.sandbox.stripe_face import resources

_TYPES: Final[Mapping[object, str]] = {
    TransactionStatus.CREATED: "payment_intent.amount_capturable_updated",
    TransactionStatus.ACTION_REQUIRED: "payment_intent.requires_action",
    TransactionStatus.PROCESSING: "payment_intent.processing",
    TransactionStatus.CAPTURED: "payment_intent.succeeded",
    TransactionStatus.DECLINED: "payment_intent.payment_failed",
    TransactionStatus.CANCELED: "payment_intent.canceled",
    RefundStatus.PENDING: "refund.created",
    RefundStatus.SUCCEEDED: "refund.updated",
    RefundStatus.FAILED: "refund.failed",
    DisputeStatus.OPEN: "charge.dispute.created",
    DisputeStatus.WON: "charge.dispute.closed",
    DisputeStatus.LOST: "charge.dispute.closed",
    PayoutStatus.PENDING: "payout.created",
    PayoutStatus.PAID: "payout.paid",
    PayoutStatus.FAILED: "payout.failed",
}

_encoder = msgspec.json.Encoder()


class StripeEncoder:
    """Words and signs events as Stripe does."""

    def encode(self, event: Event, secret: str, at: dt.datetime) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body of a webhook that is sent *at*."""
        told = {
            "id": event.id,
            "object": "event",
            "api_version": None,
            "created": resources.seconds(event.at),
            "data": {"object": _resource(event.record, resources.seconds(event.at))},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": _TYPES[event.record.status],
        }
        body = _encoder.encode(told)
        return {"content-type": "application/json; charset=utf-8", "stripe-signature": sign(secret, body, at)}, body


def sign(secret: str, body: bytes, at: dt.datetime) -> str:
    """Return the signature of *body*: HMAC-SHA256 of the time, a dot and the body."""
    timestamp = resources.seconds(at)
    digest = hmac.new(secret.encode(), b"%d.%b" % (timestamp, body), hashlib.sha256)
    return f"t={timestamp},v1={digest.hexdigest()}"


def _resource(record: Record, at: int) -> resources.Resource:
    match record:
        case ProviderTransaction():
            return resources.intent(record, at)
        case ProviderRefund():
            return resources.refund(record, at)
        case ProviderDispute():
            return resources.dispute(record, at)
        case ProviderPayout():
            return resources.payout(record)
