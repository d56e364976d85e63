"""Webhooks of Stripe's: whose they are, how old they are, and what they are about."""

import datetime as dt
import json
import time
from typing import Any

import pytest

from tallystick.payments.providers.protocol import EventKind, WebhookNotGenuine
from tallystick.payments.providers.sandbox.stripe_face.encode_event import sign
from tallystick.payments.providers.stripe.read_event import TOLERANCE, read_event
from tallystick.payments.providers.stripe.sdk import stripe

SECRET, OLDER = "whsec_new", "whsec_old"
NOW = dt.datetime.fromtimestamp(int(time.time()), dt.UTC)


def body_of(kind: str, about: dict[str, Any], **changed: object) -> bytes:
    """Write an event."""
    event = {"id": "evt_1", "object": "event", "created": 1_700_000_000, "type": kind, "data": {"object": about}}
    return json.dumps(event | changed).encode()


def signed(body: bytes, secret: str = SECRET, at: dt.datetime = NOW) -> dict[str, str]:
    """Sign it."""
    return {"stripe-signature": sign(secret, body, at)}


@pytest.mark.parametrize(
    ("kind", "about", "told"),
    [
        (
            "payment_intent.succeeded",
            {"object": "payment_intent", "id": "pi_1"},
            (EventKind.TRANSACTION, "pi_1", "pi_1"),
        ),
        (
            "charge.succeeded",
            {"object": "charge", "id": "ch_1", "payment_intent": "pi_1"},
            (EventKind.TRANSACTION, "pi_1", "pi_1"),
        ),
        (
            "charge.succeeded",
            {"object": "charge", "id": "ch_1", "payment_intent": None},
            (EventKind.TRANSACTION, "ch_1", None),
        ),
        (
            "refund.updated",
            {"object": "refund", "id": "re_1", "payment_intent": "pi_1"},
            (EventKind.REFUND, "re_1", "pi_1"),
        ),
        (
            "charge.dispute.created",
            {"object": "dispute", "id": "dp_1", "payment_intent": "pi_1", "status": "needs_response"},
            (EventKind.DISPUTE, "dp_1", "pi_1"),
        ),
        (
            "charge.dispute.created",
            {"object": "dispute", "id": "dp_1", "payment_intent": "pi_1", "status": "warning_needs_response"},
            (EventKind.OTHER, "dp_1", "pi_1"),
        ),
        ("payout.paid", {"object": "payout", "id": "po_1", "status": "paid"}, (EventKind.PAYOUT, "po_1", None)),
        ("customer.created", {"object": "customer", "id": "cus_1"}, (EventKind.OTHER, "cus_1", None)),
        ("balance.available", {"object": "balance"}, (EventKind.OTHER, "evt_1", None)),
    ],
)
def test_an_event_says_what_it_is_about(kind: str, about: dict[str, Any], told: tuple[object, ...]) -> None:
    """A charge is a try of its payment; a bank that only asks holds no money; the rest is none of payments' business."""
    body = body_of(kind, about)
    event = read_event(signed(body), body, [SECRET])
    assert (event.kind, event.subject, event.transaction_id) == told
    assert (event.id, event.type) == ("evt_1", kind)
    assert event.occurred_at == dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)


def test_a_secret_can_be_changed_without_losing_a_webhook() -> None:
    """While both secrets are set, what either signed is believed, and what Stripe signed with both."""
    body = body_of("payout.paid", {"object": "payout", "id": "po_1"})
    for one in (SECRET, OLDER):
        assert read_event(signed(body, one), body, [OLDER, SECRET]).id == "evt_1"
    both = f"{signed(body, OLDER)['stripe-signature']},v1={signed(body)['stripe-signature'].partition('v1=')[2]}"
    assert read_event({"stripe-signature": both}, body, [SECRET]).id == "evt_1"
    with pytest.raises(WebhookNotGenuine):
        read_event(signed(body, OLDER), body, [SECRET])
    with pytest.raises(WebhookNotGenuine):
        read_event(signed(body), body, [])
    with pytest.raises(WebhookNotGenuine):
        read_event(signed(body, " "), body, [" "])


def test_our_signature_and_the_sdks_are_the_same() -> None:
    """The sandbox signs as Stripe does, by the SDK's own reckoning."""
    body = body_of("payout.paid", {"object": "payout", "id": "po_1"})
    by_sdk = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET, int(NOW.timestamp()))
    assert sign(SECRET, body, NOW) == by_sdk


def test_a_webhook_is_good_for_five_minutes() -> None:
    """Whoever overhears one can say it again for that long, and it is known by its id then."""
    body = body_of("payout.paid", {"object": "payout", "id": "po_1"})
    young = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=TOLERANCE - 30)
    assert read_event(signed(body, at=young), body, [SECRET]).id == "evt_1"
    old = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=TOLERANCE + 30)
    with pytest.raises(WebhookNotGenuine, match="more than 300 seconds"):
        read_event(signed(body, at=old), body, [SECRET])


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=",
        "t=1",
        "v1=00",
        "t=x,v1=00",
        f"t={'9' * 5000},v1=00",
        "t=1,v0=00",
        "t=1,v1=\xe9",
        "\ud800",
        ",=,=",
        "t=1,v1=\x00",
    ],
)
def test_a_header_that_is_no_signature_is_refused(header: str) -> None:
    """Whatever stands in it, the answer is that the webhook is not Stripe's, and never a failure of ours."""
    with pytest.raises(WebhookNotGenuine):
        read_event({"stripe-signature": header}, b"{}", [SECRET])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"null",
        body_of("", {"object": "payout", "id": "po_1"}),
        body_of("payout.paid", {"object": "payout", "id": "po_1"}, id=""),
        body_of("payout.paid", {"object": "payout", "id": "po_1"}, created="today"),
        body_of("payout.paid", {"object": "payout", "id": "po_1"}, created=10**15),
        body_of("payout.paid", {"object": "payout", "id": "p" * 300}),
        body_of("payout.paid", {"object": "payout", "id": ["po_1"]}),
        body_of("payout.paid", {}),
    ],
)
def test_what_is_signed_and_is_no_event_is_refused(body: bytes) -> None:
    """A genuine signature around nonsense is nonsense; around bytes that are no text the SDK cannot even look at it."""
    with pytest.raises(WebhookNotGenuine):
        read_event(signed(body), body, [SECRET])
