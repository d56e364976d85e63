"""What can be ordered of the sandbox that no merchant can: how others decide, and what the provider does."""

from typing import Annotated

import msgspec

from tallystick.payments.providers.protocol import Amount, CurrencyCode, Name
from tallystick.payments.providers.sandbox.spoil import Flaw

Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How something that was open ends."""

    succeeded: bool


class DisputeOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dispute to open."""

    transaction_id: Name
    amount: Amount | None = None
    """None: all that is left."""
    reason: Words = "fraudulent"


class PayoutOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A payout to make of all that waits in a currency."""

    currency: CurrencyCode
    flaw: Flaw | None = None


class LineOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fee or an adjustment that belongs to no transaction."""

    amount: Annotated[int, msgspec.Meta(ge=-(10**15), le=10**15)]
    currency: CurrencyCode
    description: Words
