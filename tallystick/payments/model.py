"""Payments, and the steps each goes through."""

import datetime as dt
import uuid
from enum import Enum
from typing import Literal

import msgspec

PaymentType = Literal["credit", "debit"]


class PaymentStatus(Enum):
    """
    How far a payment has come.

        started → opened → submitted → settled
            └────────┴──────────┴────→ failed
    """

    STARTED = "started"
    """Kept; the provider may or may not know of it yet."""
    OPENED = "opened"
    """The provider gave it a transaction; no money has moved."""
    SUBMITTED = "submitted"
    """Its completion was asked for; whether the money was taken may not be known yet."""
    SETTLED = "settled"
    """The money was taken, is in the ledger, and has a receipt."""
    FAILED = "failed"
    """No money was taken and none will be."""


class Payment(msgspec.Struct, frozen=True):
    """A payment as it stands; ``transaction_id`` and ``token`` are the provider's, None until it gave them."""

    payment_id: uuid.UUID
    invoice_id: uuid.UUID
    user: str
    email: str
    timestamp: dt.datetime
    payment_type: str
    amount: int
    asset: str
    provider: str
    status: str
    transaction_id: str | None
    token: str | None
    reason: str | None
    """Why it failed; None unless it did."""
    receipt_id: uuid.UUID | None
    started_at: dt.datetime
    opened_at: dt.datetime | None
    """When the customer's time to complete it began; None until the provider gave it a transaction."""
    submitted_at: dt.datetime | None = None


class NextAction(Enum):
    """What has to happen before more is known of a payment."""

    AUTHENTICATE = "authenticate"
    """The customer has something to do at ``action_url``, such as 3-D Secure."""
    WAIT = "wait"
    """The provider has it; it is asked until it knows, in minutes or in days."""


class PaymentOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payment as it stands; ``transaction_id`` and ``token`` are the provider's, to complete the payment with."""

    payment_id: uuid.UUID
    status: str
    """started, opened, submitted (the outcome is being found out), settled, failed."""
    transaction_id: str | None
    token: str | None
    amount: int
    asset: str
    invoice_id: uuid.UUID
    receipt_id: uuid.UUID | None
    reason: str | None
    next_action: NextAction | None = None
    """authenticate (at ``action_url``) or wait; not told where nothing is known to be in the way."""
    action_url: str | None = None
    """Where the customer does what is asked of them."""


def as_output(payment: Payment) -> PaymentOutput:
    """Return what callers are told of a payment: nothing of the person."""
    return PaymentOutput(
        payment.payment_id,
        payment.status,
        payment.transaction_id,
        payment.token,
        payment.amount,
        payment.asset,
        payment.invoice_id,
        payment.receipt_id,
        payment.reason,
    )
