"""Disputes, and how each stands."""

import datetime as dt
import uuid
from enum import Enum
from typing import Literal

import msgspec

from tallystick.ids import id_of_content

DisputeState = Literal["open", "won", "lost"]


class DisputeStanding(Enum):
    """
    How a dispute stands.

        open → won
          └──→ lost
    """

    OPEN = "open"
    """The provider holds the money back."""
    WON = "won"
    """The money is ours again."""
    LOST = "lost"
    """The money is the customer's again."""


class Dispute(msgspec.Struct, frozen=True):
    """A dispute as it stands; amounts in minor units."""

    dispute_id: uuid.UUID
    payment_id: uuid.UUID
    invoice_id: uuid.UUID
    customer: str
    provider: str
    transaction_id: str
    """The provider's id of the transaction that it is about."""
    provider_dispute_id: str
    amount: int
    asset: str
    reason: str
    """In the provider's words; may be empty."""
    answer_by: dt.datetime | None
    """Until when the provider takes evidence; null if it does not say."""
    status: str
    """open, won, lost."""
    opened_at: dt.datetime
    """When it was noted here."""
    ended_at: dt.datetime | None


class DisputePage(msgspec.Struct, frozen=True):
    """Disputes in the order in which they were noted; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Dispute]
    next: str | None


def dispute_id_of(provider: str, provider_dispute_id: str) -> uuid.UUID:
    """Derive the id of a dispute, so that each of a provider's is kept once."""
    return id_of_content(("dispute", provider, provider_dispute_id))
