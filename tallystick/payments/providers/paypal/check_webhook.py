"""
Check that a webhook is PayPal's: signed over its id, its time, our webhook and the CRC-32 of its body.

    transmission id | transmission time | webhook id | CRC-32 of the body, unsigned, in decimal digits

The signature is RSA with SHA-256 and PKCS #1 v1.5. The cheap checks come first, so that a forgery seldom costs a fetch.
"""

import base64
import binascii
import datetime as dt
import zlib
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from tallystick.clock import Clock
from tallystick.payments.providers.paypal.find_certificate import Certificates
from tallystick.payments.providers.protocol import WebhookNotGenuine

ALGORITHM: Final = "SHA256withRSA"
"""The only one; another would let whoever sends the webhook choose a weaker."""

OLDEST: Final = dt.timedelta(minutes=5)
"""How far a webhook's time may be from now, either way."""

_LONGEST: Final = 2048
_TRANSMISSION_ID: Final = "paypal-transmission-id"
_TRANSMISSION_TIME: Final = "paypal-transmission-time"
_SIGNATURE: Final = "paypal-transmission-sig"
_CERTIFICATE: Final = "paypal-cert-url"
_ALGORITHM: Final = "paypal-auth-algo"


async def check_webhook(
    headers: Mapping[str, str], body: bytes, webhook_id: str, certificates: Certificates, clock: Clock
) -> None:
    """
    Return if *body* is what PayPal sent to *webhook_id* just now.

    Raises:
        WebhookNotGenuine: it is not, or cannot be shown to be (``payments.webhook_not_genuine``).
        ProviderUnreachable: the certificate could not be fetched (``payments.provider_unknown_outcome``).
    """
    if _header(headers, _ALGORITHM) != ALGORITHM:
        raise WebhookNotGenuine(reason="it is signed by another algorithm than PayPal's")
    transmission_id, sent_at = _header(headers, _TRANSMISSION_ID), _header(headers, _TRANSMISSION_TIME)
    _check_time(sent_at, clock.now())
    signature = _decode(_header(headers, _SIGNATURE))
    if "|" in transmission_id:
        raise WebhookNotGenuine(reason="its id is none")
    key = await certificates.find_key(_header(headers, _CERTIFICATE))
    try:
        key.verify(signature, signed_text(transmission_id, sent_at, webhook_id, body), PKCS1v15(), SHA256())
    except InvalidSignature:
        raise WebhookNotGenuine(reason="its signature does not fit") from None


def signed_text(transmission_id: str, sent_at: str, webhook_id: str, body: bytes) -> bytes:
    """Return what the signature of a webhook is made over."""
    return f"{transmission_id}|{sent_at}|{webhook_id}|{zlib.crc32(body)}".encode()


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value or len(value) > _LONGEST or not value.isascii() or not value.isprintable():
        raise WebhookNotGenuine(reason=f"{name} is missing or unreadable")
    return value


def _check_time(text: str, now: dt.datetime) -> None:
    try:
        sent_at = dt.datetime.fromisoformat(text)
    except ValueError:
        sent_at = None
    if sent_at is None or sent_at.tzinfo is None:
        raise WebhookNotGenuine(reason=f"{_TRANSMISSION_TIME} is missing or unreadable")
    if abs(now - sent_at) > OLDEST:
        raise WebhookNotGenuine(reason="it was not sent just now")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise WebhookNotGenuine(reason=f"{_SIGNATURE} is missing or unreadable") from None
