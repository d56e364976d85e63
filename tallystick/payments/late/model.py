"""Late captures, as people see them."""

import datetime as dt
import uuid

import msgspec


class LateCapture(msgspec.Struct, frozen=True):
    """A payment that had failed, and whose money the provider took all the same; amounts in minor units."""

    payment_id: uuid.UUID
    invoice_id: uuid.UUID
    customer: str
    provider: str
    transaction_id: str
    """The provider's."""
    amount: int
    """As the provider tells it."""
    asset: str
    reason: str
    """Why the payment had failed."""
    noted_at: dt.datetime
    seen_to: bool
    """It stands in a payout report, and somebody has said there where it goes."""


class LateCapturesPage(msgspec.Struct, frozen=True):
    """Late captures in order of their payments' ids; ``next`` is the cursor of the page behind, null on the last."""

    items: list[LateCapture]
    next: uuid.UUID | None
