"""What a plan is: how it is billed, and its phases with the charges of each."""

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec

from tallystick.periods import Interval, Unit

Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,30}$(?!\n)")]
"""The code of a charge or a phase; both together, with a dot between, are the code of a charge of the catalog."""
PlanCode = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.-]{0,62}$(?!\n)")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Amount = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,15})?$(?!\n)")]
"""Major units as decimal text."""
When = Literal["advance", "arrears"]
Billing = Literal["calendar", "anniversary"]
ProrationUnit = Literal["second", "day", "none"]

MAX_LENGTH = 10_000
MINIMUM, MAXIMUM = "minimum", "maximum"
"""The charges that a minimum and a maximum spend make lines of; no charge of a plan may be called so."""


class PlanInterval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How long a billing period is."""

    unit: Unit
    count: Annotated[int, msgspec.Meta(ge=1, le=366)] = 1

    @property
    def interval(self) -> Interval:
        """Return it as the kernel counts it."""
        return Interval(self.unit, self.count)


class PhaseLength(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How long a phase is: exactly one of days, months and billing periods."""

    days: Annotated[int, msgspec.Meta(ge=1, le=MAX_LENGTH)] | None = None
    months: Annotated[int, msgspec.Meta(ge=1, le=MAX_LENGTH)] | None = None
    periods: Annotated[int, msgspec.Meta(ge=1, le=MAX_LENGTH)] | None = None


class PlanCharge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One charge of a phase."""

    code: Code
    name: Name
    price: dict[str, Any]
    """One of the charge models of rating, every number as decimal text."""
    meter: PlanCode | None = None
    """What is priced; left out exactly for a flat price."""
    when: When | None = None
    """When a flat price is due: as its period begins (the default), or when it is over. Usage is when it is over."""
    per_quantity: bool = False
    """A flat price's amount is for each of the subscription's quantity: each seat. Discounts and limits are of all together."""


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a subscription's life with charges of its own: a trial, an introductory or the regular one."""

    name: Code
    charges: Annotated[list[PlanCharge], msgspec.Meta(max_length=100)]
    length: PhaseLength | None = None
    """Null for the last phase, and only for it: it has no end."""
    minimum: Amount | None = None
    """What each full billing period comes to at least."""
    maximum: Amount | None = None
    """What each full billing period comes to at most."""


class PlanContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What one version of a plan says."""

    name: Name
    asset: str
    interval: PlanInterval
    phases: Annotated[list[Phase], msgspec.Meta(min_length=1, max_length=10)]
    billing: Billing = "anniversary"
    """Whether periods begin with the calendar's months, or on the day that the subscription began."""
    zone: str = "UTC"
    """The IANA name of the zone whose days and midnights count."""
    proration: ProrationUnit = "second"
    """What parts of a period are counted in; ``none``: what a period began with is due for all of it."""
    extends: PlanCode | None = None
    """A plan whose charges come first, phase by phase of the same name."""


class PlanVersion(msgspec.Struct, frozen=True):
    """A plan as it is from *effective_at* until its next version."""

    plan: str
    effective_at: dt.datetime
    content: PlanContent
    """As it was given."""
    phases: list[Phase]
    """With the charges of the plans that it extends."""

    @property
    def interval(self) -> Interval:
        """Return how long a billing period is."""
        return self.content.interval.interval

    def phase(self, name: str) -> Phase:
        """Return the phase of that name; every version of a plan has the same ones."""
        return next(phase for phase in self.phases if phase.name == name)

    def charge_code(self, phase: str, code: str) -> str:
        """Return what a charge is called in the catalog: with its phase, where the plan has several."""
        return code if len(self.phases) == 1 else f"{phase}.{code}"


class PlansPage(msgspec.Struct, frozen=True):
    """Versions of plans by plan and instant; ``next`` is the cursor of the page behind, null on the last."""

    items: list[PlanVersion]
    next: str | None
