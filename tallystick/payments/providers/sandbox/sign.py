"""How the sandbox signs what it tells by webhook: HMAC-SHA256 over id, time and body, as Standard Webhooks does."""

import base64
import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

TOLERANCE: Final = dt.timedelta(minutes=5)
"""How far the time of a webhook may be from ours, either way."""

_MOST_SIGNATURES = 16
_VERSION = "v1,"


class NotSigned(Exception):
    """The signature is missing, wrong or too old; the text says which."""


def webhook_secret(secret: str) -> str:
    """Return the secret that webhooks are signed with unless another was ordered: both sides know it by *secret*."""
    return hmac.new(secret.encode(), b"webhooks of the sandbox", hashlib.sha256).hexdigest()


def sign(secret: str, message_id: str, at: dt.datetime, body: bytes) -> dict[str, str]:
    """Return the headers that prove who sent *body*, and when."""
    timestamp = str(int(at.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": _VERSION + _signature(secret, message_id, timestamp, body),
    }


def check(secret: str, headers: Mapping[str, str], body: bytes, now: dt.datetime) -> str:
    """
    Return the id of a message that is genuine and recent; *headers* have names in lower case.

    Raises:
        NotSigned: it is not.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    told = headers.get("webhook-signature", "").split(" ")[:_MOST_SIGNATURES]
    if not message_id or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= len(str(10**11))):
        raise NotSigned("it lacks an id or a time")
    expected = (_VERSION + _signature(secret, message_id, timestamp, body)).encode()
    if not any(hmac.compare_digest(one.encode("utf-8", "replace"), expected) for one in told):
        raise NotSigned("its signature is not the provider's")
    if abs(int(timestamp) - int(now.timestamp())) > TOLERANCE.total_seconds():
        raise NotSigned("it is older or newer than five minutes")
    return message_id


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    signed = b"%b.%b.%b" % (message_id.encode("utf-8", "replace"), timestamp.encode(), body)
    return base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
