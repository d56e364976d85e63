"""How PayPal words an event, and proves that it is its own."""

import base64
import datetime as dt
import uuid
import zlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tallystick.payments.providers.protocol import (
    DisputeStatus,
    ProviderDispute,
    ProviderPayout,
    ProviderRefund,
    ProviderTransaction,
    RefundStatus,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.change import Event, Record
from tallystick.payments.providers.sandbox.paypal_face import word
from tallystick.payments.providers.sandbox.paypal_face.authority import Authority, Issued

CERTIFICATE: Final = "CERT-sandbox"

_OF_TRANSACTION: Final = {
    TransactionStatus.CREATED: "CHECKOUT.ORDER.APPROVED",
    TransactionStatus.ACTION_REQUIRED: "CHECKOUT.ORDER.SAVED",
    TransactionStatus.CANCELED: "CHECKOUT.ORDER.VOIDED",
    TransactionStatus.PROCESSING: "PAYMENT.CAPTURE.PENDING",
    TransactionStatus.CAPTURED: "PAYMENT.CAPTURE.COMPLETED",
    TransactionStatus.DECLINED: "PAYMENT.CAPTURE.DENIED",
}
_OF_REFUND: Final = {
    RefundStatus.PENDING: "PAYMENT.REFUND.PENDING",
    RefundStatus.SUCCEEDED: "PAYMENT.CAPTURE.REFUNDED",
    RefundStatus.FAILED: "PAYMENT.REFUND.FAILED",
}


class PayPalEncoder:
    """Webhooks as PayPal sends them; the secret of the endpoint is the id of the webhook."""

    def __init__(self, authority: Authority, base: str) -> None:
        """Sign with *authority*'s certificate, which is below *base*."""
        self._authority = authority
        self._certificate_url = f"{base}/v1/notifications/certs/{CERTIFICATE}"

    def encode(self, event: Event, secret: str, at: dt.datetime) -> tuple[Mapping[str, str], bytes]:
        """Return headers and body of a webhook that tells of *event* and is sent *at*."""
        what, resource_type, resource = _told(event.record)
        content = {
            "id": f"WH-{event.id.removeprefix('evt_').upper()}",
            "event_version": "1.0",
            "create_time": event.at.isoformat(),
            "resource_type": resource_type,
            "event_type": what,
            "resource": resource,
        }
        body = msgspec.json.encode(content)
        return signed(self._authority.issued, self._certificate_url, secret, at, body), body


def signed(issued: Issued, url: str, webhook_id: str, at: dt.datetime, body: bytes) -> dict[str, str]:
    """Return the headers that prove who sent *body*, and when; *url* is where the certificate is."""
    transmission_id, sent_at = str(uuid.uuid4()), f"{at:%Y-%m-%dT%H:%M:%SZ}"
    text = "|".join((transmission_id, sent_at, webhook_id, str(zlib.crc32(body))))
    return {
        "content-type": "application/json",
        "paypal-transmission-id": transmission_id,
        "paypal-transmission-time": sent_at,
        "paypal-transmission-sig": base64.b64encode(issued.sign(text.encode())).decode(),
        "paypal-cert-url": url,
        "paypal-auth-algo": "SHA256withRSA",
    }


def _told(record: Record) -> tuple[str, str, dict[str, Any]]:
    """Return what an event is called, what kind of thing it is about, and that thing."""
    match record:
        case ProviderTransaction():
            taken = word.captures(record)
            if taken:
                return _OF_TRANSACTION[record.status], "capture", taken[0]
            return _OF_TRANSACTION[record.status], "checkout-order", word.order(record, (), record.token)
        case ProviderRefund():
            return _OF_REFUND[record.status], "refund", word.refund(record)
        case ProviderDispute():
            what = "CREATED" if record.status is DisputeStatus.OPEN else "RESOLVED"
            return f"CUSTOMER.DISPUTE.{what}", "dispute", word.dispute(record)
        case ProviderPayout():
            # PayPal tells nobody of a withdrawal; what nobody goes by stands for that.
            return "ACCOUNT.WITHDRAWAL", "withdrawal", {"id": word.to_paypal(record.id)}
