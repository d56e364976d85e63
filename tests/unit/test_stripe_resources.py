"""What Stripe's answers mean to us, and that the sandbox's Stripe face gives the same shapes."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.payments.providers.protocol import (
    DisputeStatus,
    PayoutLine,
    PayoutLineKind,
    PayoutStatus,
    ProviderDispute,
    ProviderPayout,
    ProviderRefund,
    ProviderRefused,
    ProviderTransaction,
    ProviderUnreachable,
    RefundStatus,
    TransactionStatus,
)
from tallystick.payments.providers.sandbox.stripe_face import resources as face
from tallystick.payments.providers.stripe.resources import (
    BalanceTransaction,
    Dispute,
    Intent,
    Payout,
    Refund,
    dispute_of,
    line_of,
    payout_of,
    refund_of,
    shape,
    transaction_of,
)

FIXTURES = Path("/work/shared/data/stripe_fixtures.json")
AT = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
INTENT = {"id": "pi_1", "status": "requires_capture", "amount": 100, "currency": "eur", "created": 1}
LINE = {"id": "txn_1", "amount": 100, "fee": 3, "currency": "eur", "created": 1, "type": "charge"}


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """Read the examples that Stripe publishes of its resources."""
    if not FIXTURES.exists():
        pytest.skip("Stripe's published examples are not here")
    return dict(json.loads(FIXTURES.read_text("utf-8"))["resources"])


def test_stripes_published_examples_are_understood(published: dict[str, Any]) -> None:
    """Each resource that we read is read as Stripe publishes it, and an example that is over only in part too."""
    assert transaction_of(shape(published["payment_intent"], Intent)).status is TransactionStatus.CREATED
    refund = refund_of(shape(published["refund"], Refund), "pi_1")
    assert (refund.status, refund.amount, refund.transaction_id) == (RefundStatus.SUCCEEDED, 100, "pi_1")
    dispute = dispute_of(shape(published["dispute"], Dispute))
    assert (dispute.status, dispute.amount, dispute.currency) == (DisputeStatus.OPEN, 1000, "USD")
    payout = payout_of(shape(published["payout"], Payout))
    assert (payout.status, payout.amount, payout.arrives_on) == (PayoutStatus.PENDING, 1100, dt.date(2009, 2, 13))
    line = line_of(shape(published["balance_transaction"], BalanceTransaction))
    assert (line.kind, line.amount, line.fee) == (PayoutLineKind.CHARGE, 100, 0)
    expanded = published["balance_transaction"] | {"source": published["charge"] | {"payment_intent": "pi_1"}}
    assert line_of(shape(expanded, BalanceTransaction)).transaction_id == "pi_1"


def test_the_sandbox_gives_the_shapes_that_stripe_publishes(published: dict[str, Any]) -> None:
    """The face makes up no field, and what it gives has the type that Stripe gives it, unless one of them is null."""
    transaction = ProviderTransaction("sbx_1", "tok_1", "r", TransactionStatus.DECLINED, 100, "EUR", "card_declined")
    refund = ProviderRefund("ref_1", "r", "sbx_1", RefundStatus.SUCCEEDED, 100, "EUR")
    dispute = ProviderDispute("dis_1", "sbx_1", DisputeStatus.OPEN, 100, "EUR", "fraudulent", AT)
    payout = ProviderPayout("pay_1", PayoutStatus.PAID, 100, "EUR", AT.date())
    line = PayoutLine("lin_1", PayoutLineKind.CHARGE, 100, 3, "EUR", AT, "sbx_1")
    for name, made in (
        ("payment_intent", face.intent(transaction, 1)),
        ("refund", face.refund(refund, 1)),
        ("dispute", face.dispute(dispute, 1)),
        ("payout", face.payout(payout)),
        ("balance_transaction", face.balance_transaction(line)),
    ):
        example = published[name]
        assert set(made) <= set(example), name
        for field, value in made.items():
            if value is not None and example[field] is not None and field not in {"source", "latest_charge"}:
                assert type(value) is type(example[field]), f"{name}.{field}"


@pytest.mark.parametrize(
    ("changed", "status", "decline_code"),
    [
        ({"status": "requires_payment_method"}, TransactionStatus.CREATED, None),
        (
            {"status": "requires_payment_method", "last_payment_error": {"code": "card_declined"}},
            TransactionStatus.CREATED,
            None,
        ),
        ({"status": "requires_confirmation"}, TransactionStatus.CREATED, None),
        ({"status": "requires_capture"}, TransactionStatus.CREATED, None),
        ({"status": "requires_action"}, TransactionStatus.ACTION_REQUIRED, None),
        ({"status": "processing"}, TransactionStatus.PROCESSING, None),
        ({"status": "succeeded"}, TransactionStatus.CAPTURED, None),
        ({"status": "canceled"}, TransactionStatus.CANCELED, None),
        (
            {"status": "canceled", "last_payment_error": {"code": "card_declined", "decline_code": "lost_card"}},
            TransactionStatus.DECLINED,
            "lost_card",
        ),
        (
            {"status": "canceled", "latest_charge": {"status": "failed", "failure_code": "expired_card"}},
            TransactionStatus.DECLINED,
            "expired_card",
        ),
        ({"status": "canceled", "latest_charge": "ch_1"}, TransactionStatus.CANCELED, None),
    ],
)
def test_each_status_of_an_intent_has_one_meaning(
    changed: dict[str, Any], status: TransactionStatus, decline_code: str | None
) -> None:
    """Only an intent that was given up after a failed try is declined: before that its customer can try again."""
    transaction = transaction_of(shape(INTENT | changed, Intent))
    assert (transaction.status, transaction.decline_code) == (status, decline_code)


def test_where_the_customer_is_sent_is_told_while_they_have_to_act() -> None:
    """An action that their own device handles has no address."""
    redirect = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.example/3ds"}}
    asked = transaction_of(shape(INTENT | {"status": "requires_action", "next_action": redirect}, Intent))
    assert asked.action_url == "https://bank.example/3ds"
    by_device = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
    asked = transaction_of(shape(INTENT | {"status": "requires_action", "next_action": by_device}, Intent))
    assert asked.action_url is None


def test_what_was_taken_is_what_was_received() -> None:
    """Somebody may take less of an intent by hand; then less was taken."""
    assert transaction_of(shape(INTENT | {"status": "succeeded", "amount_received": 60}, Intent)).amount == 60


@pytest.mark.parametrize(
    "wrong", [{"status": "new_one"}, {"amount": "100"}, {"amount": None}, {"id": 1}, {"metadata": 1}]
)
def test_what_is_not_understood_is_not_known(wrong: dict[str, Any]) -> None:
    """A status of the future and an answer of another shape say nothing sure about money."""
    with pytest.raises(ProviderUnreachable):
        transaction_of(shape(INTENT | wrong, Intent))


def test_an_amount_in_other_units_is_not_read() -> None:
    """An intent in krónur, which somebody else opened, has an amount that is not ours to read."""
    with pytest.raises(ProviderRefused):
        transaction_of(shape(INTENT | {"currency": "isk"}, Intent))


@pytest.mark.parametrize(
    ("changed", "kind", "amount", "fee"),
    [
        ({}, PayoutLineKind.CHARGE, 100, 3),
        ({"type": "payment"}, PayoutLineKind.CHARGE, 100, 3),
        ({"type": "refund", "amount": -100, "fee": 0}, PayoutLineKind.REFUND, -100, 0),
        ({"type": "refund_failure", "fee": 0}, PayoutLineKind.REFUND_FAILED, 100, 0),
        ({"type": "stripe_fee", "amount": -70, "fee": 0}, PayoutLineKind.FEE, 0, 70),
        ({"type": "tax_fee", "amount": -70, "fee": 0}, PayoutLineKind.FEE, 0, 70),
        ({"type": "payout_failure", "fee": 0}, PayoutLineKind.ADJUSTMENT, 100, 0),
        ({"type": "of_the_future", "fee": 0}, PayoutLineKind.ADJUSTMENT, 100, 0),
        (
            {"type": "adjustment", "amount": -100, "fee": 15, "source": {"id": "dp_1", "object": "dispute"}},
            PayoutLineKind.DISPUTE,
            -100,
            15,
        ),
        (
            {"type": "adjustment", "fee": -15, "source": {"id": "dp_1", "object": "dispute"}},
            PayoutLineKind.DISPUTE_REVERSED,
            100,
            -15,
        ),
    ],
)
def test_each_line_of_the_balance_has_its_kind(
    changed: dict[str, Any], kind: PayoutLineKind, amount: int, fee: int
) -> None:
    """What a line adds is what Stripe's adds, whichever way the fee is written; unknown kinds are adjustments."""
    entry: dict[str, Any] = LINE | changed
    line = line_of(shape(entry, BalanceTransaction))
    assert (line.kind, line.amount, line.fee) == (kind, amount, fee)
    assert line.amount - line.fee == entry["amount"] - entry["fee"]


def test_a_line_names_whatever_it_comes_from() -> None:
    """The payment by the name that we know it by, the refund and the dispute by their own."""
    sources: dict[str, tuple[dict[str, Any], tuple[str | None, ...]]] = {
        "charge": ({"id": "ch_1", "payment_intent": "pi_1"}, ("pi_1", None, None)),
        "refund": ({"id": "re_1", "payment_intent": "pi_1"}, ("pi_1", "re_1", None)),
        "dispute": ({"id": "dp_1", "payment_intent": None, "charge": "ch_1"}, ("ch_1", None, "dp_1")),
        "payout": ({"id": "po_1"}, (None, None, None)),
    }
    for name, (source, told) in sources.items():
        line = line_of(shape(LINE | {"source": {"object": name, **source}}, BalanceTransaction))
        assert (line.transaction_id, line.refund_id, line.dispute_id) == told


def test_what_stripe_says_of_a_payments_line_stays_with_stripe() -> None:
    """A description of a charge may name its customer, so only that of a fee or an adjustment goes along."""
    said = {"description": "Invoice for ada.lovelace@example.org"}
    assert line_of(shape(LINE | said, BalanceTransaction)).description == "charge"
    assert (
        line_of(shape(LINE | {"type": "stripe_fee", "description": "Radar"}, BalanceTransaction)).description == "Radar"
    )


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("warning_needs_response", DisputeStatus.OPEN),
        ("warning_under_review", DisputeStatus.OPEN),
        ("warning_closed", DisputeStatus.WON),
        ("needs_response", DisputeStatus.OPEN),
        ("under_review", DisputeStatus.OPEN),
        ("prevented", DisputeStatus.WON),
        ("won", DisputeStatus.WON),
        ("lost", DisputeStatus.LOST),
    ],
)
def test_each_status_of_a_dispute_has_one_meaning(status: str, meaning: DisputeStatus) -> None:
    """Open, ours again or the customer's again; there is no fourth."""
    dispute = {"id": "dp_1", "amount": 1, "currency": "eur", "charge": "ch_1", "status": status}
    assert dispute_of(shape(dispute, Dispute)).status is meaning
    with pytest.raises(ProviderUnreachable):
        dispute_of(shape(dispute | {"status": "of_the_future"}, Dispute))


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (None, RefundStatus.PENDING),
        ("pending", RefundStatus.PENDING),
        ("requires_action", RefundStatus.PENDING),
        ("succeeded", RefundStatus.SUCCEEDED),
        ("failed", RefundStatus.FAILED),
        ("canceled", RefundStatus.FAILED),
    ],
)
def test_each_status_of_a_refund_has_one_meaning(status: str | None, meaning: RefundStatus) -> None:
    """A refund that failed always says something of why."""
    refund = refund_of(
        shape({"id": "re_1", "amount": 1, "currency": "eur", "created": 1, "status": status}, Refund), "pi_1"
    )
    assert refund.status is meaning
    assert (refund.failure is not None) == (meaning is RefundStatus.FAILED)
