"""Refunds, and how far each has come."""

import datetime as dt
import uuid
from enum import Enum
from typing import Literal

import msgspec

TakeFrom = Literal["unallocated", "invoice"]
"""Whose money is given back: what lies unallocated for the customer, or what the payment paid on its invoice."""

RefundState = Literal["requested", "pending", "succeeded", "failed"]


class RefundStanding(Enum):
    """
    How far a refund has come.

        requested → pending → succeeded
            └──────────┴─────────┴────→ failed
    """

    REQUESTED = "requested"
    """Kept and taken from its source; the provider may or may not know of it yet."""
    PENDING = "pending"
    """The provider has it, and does not know yet how it ends."""
    SUCCEEDED = "succeeded"
    """The provider gave the money back; it can still come back, and the refund then fails."""
    FAILED = "failed"
    """The money was not given back, and lies where it was taken from."""

    def may_become(self, other: "RefundStanding") -> bool:
        """Say whether a refund that stands so can go on to *other*; it never goes back, and stays failed."""
        order = list(RefundStanding)
        return order.index(other) > order.index(self)


class Refund(msgspec.Struct, frozen=True):
    """A refund as it stands; amounts in minor units."""

    refund_id: uuid.UUID
    payment_id: uuid.UUID
    invoice_id: uuid.UUID
    customer: str
    provider: str
    transaction_id: str
    """The provider's id of the transaction that it is of."""
    amount: int
    asset: str
    take_from: str
    reason: str
    status: str
    """requested, pending (the provider has it), succeeded, failed."""
    provider_refund_id: str | None
    """The provider's id; null until it told one."""
    failure: str | None
    """Why it failed; null unless it did."""
    requested_at: dt.datetime
    ended_at: dt.datetime | None


class RefundPage(msgspec.Struct, frozen=True):
    """Refunds in the order in which they were asked for; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Refund]
    next: uuid.UUID | None
