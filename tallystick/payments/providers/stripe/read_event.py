"""Read a webhook of Stripe's, once its signature is known to be Stripe's."""

from collections.abc import Mapping, Sequence

import msgspec

from tallystick.payments.providers.protocol import (
    EventKind,
    Name,
    ProviderEvent,
    ProviderUnreachable,
    WebhookNotGenuine,
)
from tallystick.payments.providers.stripe.resources import INQUIRIES, instant
from tallystick.payments.providers.stripe.sdk import stripe

TOLERANCE = 300
"""Seconds that a signature stays good, so that a webhook that was overheard is no use later; Stripe signs each try anew."""


class _Subject(msgspec.Struct):
    object: str
    id: Name | None = None
    payment_intent: str | None = None
    status: str | None = None


class _Data(msgspec.Struct):
    object: _Subject


class _Event(msgspec.Struct):
    id: Name
    type: Name
    created: int
    data: _Data


_KINDS = {
    "payment_intent": EventKind.TRANSACTION,
    "charge": EventKind.TRANSACTION,
    "refund": EventKind.REFUND,
    "dispute": EventKind.DISPUTE,
    "payout": EventKind.PAYOUT,
}


def read_event(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> ProviderEvent:
    """
    Return what a webhook says that was signed with one of *secrets*.

    Raises:
        WebhookNotGenuine: it was not, or too long ago, or says nothing readable (``payments.webhook_not_genuine``).
    """
    header = headers.get("stripe-signature", "")
    if not header:
        raise WebhookNotGenuine(reason="it has no header Stripe-Signature")
    # The SDK fails in its own way on other characters; no signature has any.
    text = _text(body) if header.isascii() else None
    if text is None or not any(_signed(text, header, secret, None) for secret in secrets):
        raise WebhookNotGenuine(reason="no signature in it is ours")
    if not any(_signed(text, header, secret, TOLERANCE) for secret in secrets):
        raise WebhookNotGenuine(reason=f"it was signed more than {TOLERANCE} seconds ago")
    try:
        return _event_of(msgspec.json.decode(body, type=_Event))
    except (msgspec.DecodeError, ProviderUnreachable):
        raise WebhookNotGenuine(reason="it is no event") from None


def _signed(text: str, header: str, secret: str, tolerance: int | None) -> bool:
    try:
        stripe.WebhookSignature.verify_header(text, header, secret, tolerance)
    except stripe.SignatureVerificationError:
        return False
    return True


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _event_of(event: _Event) -> ProviderEvent:
    subject = event.data.object
    kind = _KINDS.get(subject.object, EventKind.OTHER)
    if subject.object == "dispute" and subject.status in INQUIRIES:
        kind = EventKind.OTHER
    # A charge is a try of its transaction, and nothing of its own here.
    transaction_id = subject.id if subject.object == "payment_intent" else subject.payment_intent
    named = transaction_id if subject.object == "charge" and transaction_id else subject.id
    if named is None:
        kind, named = EventKind.OTHER, event.id
    return ProviderEvent(
        id=event.id,
        kind=kind,
        type=event.type,
        subject=named,
        transaction_id=transaction_id,
        occurred_at=instant(event.created),
    )
