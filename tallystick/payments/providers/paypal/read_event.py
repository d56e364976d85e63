"""
What a genuine webhook of PayPal's is about.

| event | about |
|---|---|
| ``CHECKOUT.ORDER.…`` | the transaction |
| ``PAYMENT.CAPTURE.REFUNDED``, ``PAYMENT.REFUND.…`` | the refund |
| ``PAYMENT.CAPTURE.REVERSED`` | nothing that we go by: the dispute, or the next payout's report, tells of it |
| ``PAYMENT.CAPTURE.…`` | the transaction, where the event names the order |
| ``CUSTOMER.DISPUTE.…`` | the dispute |
"""

import msgspec

from tallystick.payments.providers.paypal.answers import SupplementaryData, to_instant
from tallystick.payments.providers.protocol import EventKind, ProviderEvent, ProviderUnreachable, WebhookNotGenuine


class _Resource(msgspec.Struct, frozen=True):
    id: str | None = None
    dispute_id: str | None = None
    supplementary_data: SupplementaryData = SupplementaryData()


class _Event(msgspec.Struct, frozen=True):
    id: str
    event_type: str
    create_time: str
    resource: _Resource = _Resource()


def read_event(body: bytes) -> ProviderEvent:
    """
    Return what *body* says; it must have been checked.

    Raises:
        WebhookNotGenuine: it is no event (``payments.webhook_not_genuine``).
    """
    try:
        event = msgspec.json.decode(body, type=_Event)
        occurred_at = to_instant(event.create_time)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ProviderUnreachable):
        raise WebhookNotGenuine(reason="it is no event") from None
    if not event.id or not event.event_type:
        raise WebhookNotGenuine(reason="it is no event")
    kind, subject, transaction_id = _about(event)
    return ProviderEvent(
        id=event.id,
        kind=kind if subject else EventKind.OTHER,
        type=event.event_type,
        subject=subject or event.id,
        transaction_id=transaction_id,
        occurred_at=occurred_at,
    )


def _about(event: _Event) -> tuple[EventKind, str | None, str | None]:
    """Return what kind of thing it is about, its id, and its order."""
    resource = event.resource
    order_id = resource.supplementary_data.related_ids.order_id
    family, _, what = event.event_type.rpartition(".")
    match family, what:
        case "CHECKOUT.ORDER", _:
            return EventKind.TRANSACTION, resource.id, resource.id
        case ("PAYMENT.CAPTURE", "REFUNDED") | ("PAYMENT.REFUND", _):
            return EventKind.REFUND, resource.id, order_id
        case "PAYMENT.CAPTURE", "REVERSED":
            return EventKind.OTHER, resource.id, order_id
        case "PAYMENT.CAPTURE", _:
            return EventKind.TRANSACTION, order_id, order_id
        case "CUSTOMER.DISPUTE", _:
            return EventKind.DISPUTE, resource.dispute_id or resource.id, None
        case _:
            return EventKind.OTHER, resource.id, order_id
