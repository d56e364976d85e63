"""Sign: an event as a request in the Standard Webhooks format."""

import base64
import datetime as dt
import hashlib
import hmac
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tallystick.notify.deliver import Pending


class _Body(msgspec.Struct, frozen=True):
    """What is posted."""

    type: str
    timestamp: dt.datetime
    book: str
    subject: str
    data: msgspec.Raw


_encoder = msgspec.json.Encoder()


def body_of(book: str, event: "Pending") -> bytes:
    """Write the body of an event, the same bytes for every attempt."""
    return _encoder.encode(_Body(event.type, event.told_at, book, event.subject, msgspec.Raw(event.data.encode())))


def sign(secrets: Sequence[bytes], message_id: uuid.UUID, at: dt.datetime, body: bytes) -> dict[str, str]:
    """Return the headers that prove where *body* comes from and when: one signature for each secret."""
    timestamp = str(int(at.timestamp()))
    signed = b"%b.%b.%b" % (str(message_id).encode(), timestamp.encode(), body)
    signatures = [hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets]
    return {
        "webhook-id": str(message_id),
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signatures),
    }
