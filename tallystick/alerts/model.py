"""Rules, and what goes beyond them."""

import datetime as dt
from decimal import Decimal
from typing import Literal

import msgspec

RuleKind = Literal["usage_quantity", "usage_amount", "usage_spike", "event_count", "event_amount"]
CountedType = Literal[
    "payment.succeeded", "payment.failed", "repayment.received", "repayment.refunded", "charge.failed"
]


class AlertTerms(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """
    What a rule watches.

    usage_quantity   a customer's month of *meter* is more than *threshold*                       spend.threshold
    usage_amount     what *customer*'s month of *product* would cost is more than *threshold*     spend.threshold
    usage_spike      a customer's day of *meter* is more than *threshold* times the average of
                     the *days* before, and more than *at_least*                                  fraud.suspected
    event_count      more than *threshold* events of *types* of a customer within *seconds*       fraud.suspected
    event_amount     one event of *types* is of more than *threshold* minor units of *asset*      fraud.suspected

    Days and months are those of UTC.
    """

    kind: RuleKind
    threshold: Decimal
    customer: str | None = None
    """Only this one; None: each by itself."""
    meter: str | None = None
    product: str | None = None
    asset: str | None = None
    types: tuple[CountedType, ...] = ()
    seconds: int = 0
    days: int = 0
    at_least: Decimal = Decimal(0)

    @property
    def event(self) -> str:
        """Return the type of event that tells that it went off."""
        return "spend.threshold" if self.kind in {"usage_quantity", "usage_amount"} else "fraud.suspected"


class Rule(msgspec.Struct, frozen=True):
    """A rule as it is in force."""

    rule: str
    active: bool
    terms: AlertTerms
    set_at: dt.datetime


class Finding(msgspec.Struct, frozen=True):
    """A customer beyond a rule in a window."""

    customer: str
    window_start: dt.datetime
    window_end: dt.datetime
    value: Decimal
    threshold: Decimal
    """What the value is beyond; for a spike, the average times the factor."""
    explanation: str
