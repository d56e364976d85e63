"""Set a version: append to a plan, together with the prices of its charges."""

import datetime as dt

import msgspec

from tallystick import canonical
from tallystick.catalog.model import PriceVersion, instant_in_utc
from tallystick.catalog.plans.check_plan import InvalidPlan, check_phase, check_plan
from tallystick.catalog.plans.find_plan import UnknownPlan, find_plan, version_from
from tallystick.catalog.plans.model import MAXIMUM, MINIMUM, Phase, PlanContent, PlanVersion
from tallystick.catalog.set_price import enter_to_price, set_price
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ledger.accounts import Recorded, find_asset

_queries = queries_beside(__file__)
_insert_version = _queries.run("insert_version")
_lock_plan = _queries.run("lock_plan")
_has_prices = _queries.value("has_prices")
_MOST_LEVELS = 8
"""How many plans may extend each other in a row."""
_FIXED = ("asset", "interval", "billing", "zone", "proration")
"""What subscriptions were laid out by, and so no later version may say otherwise."""


class PlanExists(TallystickError):
    """The plan {plan} has a version from that instant on with other content; take a later instant."""

    code = "plans.version_exists"
    kind = Kind.CONFLICT


class PlanIsFixed(TallystickError):
    """The {what} of the plan {plan} cannot change: periods were laid out by it; make a new plan."""

    code = "plans.fixed"
    kind = Kind.CONFLICT


class VersionInThePast(TallystickError):
    """The plan {plan} has versions, so the next begins neither before the newest nor in the past: after {after}."""

    code = "plans.version_in_the_past"
    kind = Kind.REFUSED


class ProductExists(TallystickError):
    """The product {plan} has prices of its own; a plan needs another code."""

    code = "plans.product_exists"
    kind = Kind.CONFLICT


class CyclicPlan(TallystickError):
    """The plan would extend itself: {cycle}."""

    code = "plans.cyclic"
    kind = Kind.INVALID


class PlanTooDeep(TallystickError):
    """More than {most} plans would extend each other: {chain}."""

    code = "plans.too_deep"
    kind = Kind.INVALID


async def set_version(
    connection: Connection, recorded: Recorded, plan: str, effective_at: dt.datetime, content: PlanContent
) -> PlanVersion:
    """
    Append a version to a plan, or find it there with the same content.

    The charges of a plan that it extends are taken over as that plan stands at *effective_at*, for good: later versions
    of that plan do not change it. Subscriptions that follow the plan are billed by it from their next period on.

    Raises:
        InvalidPlan: it could not be billed (``plans.invalid``).
        InvalidPrice: a price breaks a rule of its model (``rating.invalid_price``).
        InvalidInput: the instant is outside the calendar (``invalid_input``).
        UnknownAsset: ``ledger.unknown_asset``.
        UnknownMeter: ``catalog.unknown_meter``.
        UnknownPlan: it extends none that is there (``plans.unknown``).
        CyclicPlan: it would extend itself (``plans.cyclic``).
        PlanTooDeep: too many extend each other (``plans.too_deep``).
        PlanExists: that instant has a version with other content (``plans.version_exists``).
        PlanIsFixed: what subscriptions were laid out by would change (``plans.fixed``).
        VersionInThePast: periods that began would change (``plans.version_in_the_past``).
        ProductExists: there is a product of that code (``plans.product_exists``).
    """
    try:
        effective_at = instant_in_utc(effective_at)
    except ValueError as error:
        raise InvalidInput(field="effective_at", rule=str(error)) from error
    check_plan(content)
    content = msgspec.json.decode(_text(content), type=PlanContent)  # in the one order that JSON is kept in
    await _lock_plan(connection, recorded.book_id, plan)
    await enter_to_price(connection, recorded.book_id, plan)
    there = await version_from(connection, recorded.book_id, plan, effective_at)
    if there is not None:
        if there.content != content:
            raise PlanExists(field="effective_at", plan=plan)
        return there
    await find_asset(connection, recorded.book_id, content.asset)  # a plan that asks for nothing yet names one, too
    phases = await _take_over(connection, recorded.book_id, plan, effective_at, content)
    version = PlanVersion(plan, effective_at, content, phases)
    await _require_next(connection, recorded, version)
    await _insert_version(
        connection,
        recorded.book_id,
        plan,
        effective_at,
        _text(content),
        _text(phases),
        recorded.message_place,
        recorded.at,
    )
    for where, price in _prices(version):
        try:
            await set_price(connection, recorded, price)
        except TallystickError as error:
            if error.field == "meter":
                error.field = f"{where}.meter"
            raise
    return version


def _text(content: object) -> str:
    return canonical.encode(msgspec.to_builtins(content)).decode()


async def _require_next(connection: Connection, recorded: Recorded, version: PlanVersion) -> None:
    """Hold a version against the newest one, so that nothing that was laid out or billed changes."""
    try:
        newest = await find_plan(connection, recorded.book_id, version.plan, None)
    except UnknownPlan:
        if await _has_prices(connection, recorded.book_id, version.plan):
            raise ProductExists(field="plan", plan=version.plan) from None
        return
    for name in _FIXED:
        if getattr(newest.content, name) != getattr(version.content, name):
            raise PlanIsFixed(field=name, what=name, plan=version.plan)
    if [phase.name for phase in newest.phases] != [phase.name for phase in version.phases]:
        raise PlanIsFixed(field="phases", what="names of the phases", plan=version.plan)
    after = max(newest.effective_at, recorded.at)
    if version.effective_at < recorded.at or version.effective_at <= newest.effective_at:
        raise VersionInThePast(field="effective_at", plan=version.plan, after=after.isoformat())


async def _take_over(
    connection: Connection, book_id: int, plan: str, effective_at: dt.datetime, content: PlanContent
) -> list[Phase]:
    """Return the phases with the charges that are taken over in front."""
    if content.extends is None:
        return content.phases
    base = await _find_base(connection, book_id, plan, effective_at, content.extends)
    if base.content.asset != content.asset:
        raise InvalidPlan(field="asset", rule=f"the plan {base.plan} that it extends is in {base.content.asset}")
    charges = {phase.name: phase.charges for phase in base.phases}
    phases = [
        msgspec.structs.replace(phase, charges=[*charges.get(phase.name, ()), *phase.charges])
        for phase in content.phases
    ]
    for place, (phase, own) in enumerate(zip(phases, content.phases, strict=True)):
        check_phase(phase, f"phases[{place}]", len(phase.charges) - len(own.charges))
    return phases


async def _find_base(
    connection: Connection, book_id: int, plan: str, effective_at: dt.datetime, extends: str
) -> PlanVersion:
    """Return the plan that is extended; the chain behind it is walked to its end, and must have one."""
    chain = [plan]
    base: PlanVersion | None = None
    following: str | None = extends
    while following is not None:
        if following in chain:
            raise CyclicPlan(field="extends", cycle=" extends ".join([*chain[chain.index(following) :], following]))
        chain.append(following)
        if len(chain) > _MOST_LEVELS:
            raise PlanTooDeep(field="extends", most=_MOST_LEVELS, chain=" extends ".join(chain))
        try:
            found = await find_plan(connection, book_id, following, effective_at)
        except UnknownPlan as error:
            error.field = "extends"
            raise
        base, following = base or found, found.content.extends
    if base is None:
        raise UnknownPlan(field="extends", plan=extends)
    return base


def _prices(version: PlanVersion) -> list[tuple[str, PriceVersion]]:
    """Return the charges of all phases, each with where it stands, as prices of the catalog, which lines of invoices name."""
    prices = []
    for place, phase in enumerate(version.phases):
        asked = [(charge.code, charge.name, charge.meter, charge.price) for charge in phase.charges]
        for code, name, amount in ((MINIMUM, "Minimum", phase.minimum), (MAXIMUM, "Maximum", phase.maximum)):
            if amount is not None:
                asked.append((code, name, None, {"model": "flat", "amount": amount}))
        taken_over = len(phase.charges) - len(version.content.phases[place].charges)
        prices += [
            (
                f"phases[{place}].charges[{number - taken_over}]",
                PriceVersion(
                    version.plan,
                    version.charge_code(phase.name, code),
                    version.effective_at,
                    name,
                    meter,
                    version.content.asset,
                    price,
                ),
            )
            for number, (code, name, meter, price) in enumerate(asked)
        ]
    return prices
