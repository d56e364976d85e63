"""How the sandbox's webhooks are signed, and what is not taken for one."""

import datetime as dt
from collections.abc import Callable

import pytest
from standardwebhooks.webhooks import Webhook

from tallystick.clock import UTC
from tallystick.payments.providers.sandbox.sign import TOLERANCE, NotSigned, check, sign, webhook_secret

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = webhook_secret("a-secret")
BODY = b'{"id":"evt_1"}'
GOOD = sign(SECRET, "evt_1", NOW, BODY)

Headers = dict[str, str]


def test_what_was_signed_is_genuine() -> None:
    """As long as it is recent, on either side of our clock."""
    for shift in (-TOLERANCE, dt.timedelta(0), TOLERANCE):
        assert check(SECRET, GOOD, BODY, NOW + shift) == "evt_1"


def test_one_good_signature_among_several_is_enough() -> None:
    """While a secret is changed, a sender may sign with both."""
    several = GOOD | {"webhook-signature": f"v1,AAAA v2,x {GOOD['webhook-signature']}"}
    assert check(SECRET, several, BODY, NOW) == "evt_1"


@pytest.mark.parametrize(
    ("change", "body", "said"),
    [
        (lambda _: {}, BODY, "lacks"),
        (lambda good: good | {"webhook-id": ""}, BODY, "lacks"),
        (lambda good: good | {"webhook-id": "evt_2"}, BODY, "signature"),
        (lambda good: good | {"webhook-id": "évt"}, BODY, "signature"),
        (lambda good: good | {"webhook-timestamp": "now"}, BODY, "lacks"),
        (lambda good: good | {"webhook-timestamp": "١٢٣"}, BODY, "lacks"),
        (lambda good: good | {"webhook-timestamp": "9" * 5000}, BODY, "lacks"),
        (lambda good: good | {"webhook-timestamp": "1"}, BODY, "signature"),
        (lambda good: good | {"webhook-signature": ""}, BODY, "signature"),
        (lambda good: good | {"webhook-signature": "é\ud800"}, BODY, "signature"),
        (lambda good: good | {"webhook-signature": good["webhook-signature"][3:]}, BODY, "signature"),
        (lambda good: good | {"webhook-signature": "v1,A " * 20 + good["webhook-signature"]}, BODY, "signature"),
        (lambda good: good, BODY + b" ", "signature"),
        (lambda good: good, b"", "signature"),
        (lambda _: sign(webhook_secret("another"), "evt_1", NOW, BODY), BODY, "signature"),
        (lambda _: sign(SECRET, "evt_1", NOW - TOLERANCE - dt.timedelta(seconds=1), BODY), BODY, "five minutes"),
        (lambda _: sign(SECRET, "evt_1", NOW + TOLERANCE + dt.timedelta(seconds=1), BODY), BODY, "five minutes"),
    ],
)
def test_what_is_not_genuine(change: Callable[[Headers], Headers], body: bytes, said: str) -> None:
    """Without id, time or signature, changed on the way, by somebody else, or of another hour."""
    with pytest.raises(NotSigned, match=said):
        check(SECRET, change(GOOD), body, NOW)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The official library reads it, given the same key."""
    key = Webhook(SECRET.encode())
    assert key.sign("evt_1", NOW, BODY.decode()) == GOOD["webhook-signature"]


def test_the_webhooks_secret_does_not_tell_the_other() -> None:
    """It is derived one way, the same on both sides."""
    assert webhook_secret("a-secret") == SECRET != webhook_secret("b-secret")
    assert "a-secret" not in SECRET
