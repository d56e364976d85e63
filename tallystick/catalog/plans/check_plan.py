"""Check a plan: what no type can say of it."""

from decimal import Decimal

from tallystick.catalog.plans.model import MAXIMUM, MINIMUM, Phase, PhaseLength, PlanCharge, PlanContent
from tallystick.errors import Kind, TallystickError
from tallystick.periods import iana_zones
from tallystick.rating.check_number import InvalidPrice
from tallystick.rating.exact import digits_written_out
from tallystick.rating.model import Flat
from tallystick.rating.read_price import read_price

MAX_EACH_DIGITS = 20
"""How many digits an amount may have that is for each of a quantity, which has up to 10: a price has up to 30."""


class InvalidPlan(TallystickError):
    """The plan is not valid: {rule}."""

    code = "plans.invalid"
    kind = Kind.INVALID


def check_plan(content: PlanContent) -> None:
    """
    Refuse a plan that could not be billed.

    Raises:
        InvalidPlan: a rule is broken; the field says where (``plans.invalid``).
        InvalidPrice: a price breaks a rule of its model (``rating.invalid_price``).
    """
    if not is_zone(content.zone):
        raise InvalidPlan(field="zone", rule="a zone is an IANA name such as UTC or Europe/Vienna")
    names = [phase.name for phase in content.phases]
    for place, phase in enumerate(content.phases):
        if phase.name in names[:place]:
            raise InvalidPlan(field=f"phases[{place}].name", rule=f"two phases are called {phase.name}")
        _check_length(phase.length, f"phases[{place}].length", last=place == len(names) - 1)
        check_phase(phase, f"phases[{place}]")


def check_phase(phase: Phase, field: str, taken_over: int = 0) -> None:
    """
    Refuse charges that are none, or two of one code; so many of the first are *taken_over* and not the caller's.

    Raises:
        InvalidPlan: a rule is broken (``plans.invalid``).
        InvalidPrice: a price breaks a rule of its model (``rating.invalid_price``).
    """
    codes: set[str] = set()
    for place, charge in enumerate(phase.charges):
        where = f"{field}.charges[{place - taken_over}]"
        if charge.code in codes or charge.code in {MINIMUM, MAXIMUM}:
            raise InvalidPlan(field=f"{where}.code", rule=f"the phase has a charge {charge.code} already")
        codes.add(charge.code)
        _check_charge(charge, where)
    if phase.minimum is not None and phase.maximum is not None and amount_of(phase.minimum) > amount_of(phase.maximum):
        raise InvalidPlan(field=f"{field}.maximum", rule="the maximum must not be less than the minimum")


def amount_of(text: str) -> Decimal:
    """Read an amount of major units."""
    return Decimal(text)


def is_zone(name: str) -> bool:
    """Say whether *name* is an IANA zone that means the same on every machine."""
    return name in iana_zones()


def _check_length(length: PhaseLength | None, field: str, *, last: bool) -> None:
    if last != (length is None):
        rule = "the last phase has no end: leave its length out" if last else "every phase but the last has a length"
        raise InvalidPlan(field=field, rule=rule)
    if length is not None and [length.days, length.months, length.periods].count(None) != 2:  # noqa: PLR2004 - of three
        raise InvalidPlan(field=field, rule="a length has exactly one of days, months and periods")


def _check_charge(charge: PlanCharge, field: str) -> None:
    try:
        price = read_price(charge.price)
    except InvalidPrice as error:
        error.field = f"{field}.price.{error.field}" if error.field else f"{field}.price"
        raise
    flat = isinstance(price, Flat)
    if flat != (charge.meter is None):
        rule = "a flat price names no meter, and every other price names one"
        raise InvalidPlan(field=f"{field}.meter", rule=rule)
    if not flat and charge.when == "advance":
        raise InvalidPlan(field=f"{field}.when", rule="what will be used is not known in advance")
    if not flat and charge.per_quantity:
        raise InvalidPlan(field=f"{field}.per_quantity", rule="only a flat price is for each of a quantity")
    if isinstance(price, Flat) and charge.per_quantity and digits_written_out(price.amount) > MAX_EACH_DIGITS:
        rule = f"what is for each of a quantity must have at most {MAX_EACH_DIGITS} digits"
        raise InvalidPlan(field=f"{field}.price.amount", rule=rule)
