"""The alerts' operations: rules are set, listed, and go off."""

from decimal import Decimal
from typing import Annotated

import msgspec

from tallystick.alerts.model import AlertTerms, CountedType, Finding, Rule, RuleKind
from tallystick.alerts.set_rule import RaisedAlert, list_rules, newest_alerts, raise_alert, set_rule
from tallystick.errors import InvalidInput
from tallystick.operations.catalog import CatalogCode
from tallystick.operations.fields import AssetCode, PageSize
from tallystick.operations.invoicing import CustomerRef
from tallystick.operations.model import Call, Input, NothingInput, Operation

_DAY = 86_400
_MOST_RULES = 100
_NEEDS: dict[str, tuple[str, ...]] = {
    "usage_quantity": ("meter",),
    "usage_amount": ("product", "asset", "customer"),
    "usage_spike": ("meter", "days"),
    "event_count": ("types", "seconds"),
    "event_amount": ("types", "asset"),
}
"""What a rule of each kind has to say, beside its threshold."""
_MAY: dict[str, tuple[str, ...]] = {"usage_spike": ("customer", "at_least"), "usage_amount": ()}
INTERNAL = ""
"""The route of an operation that only the product's own workers call."""

Number = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,18}(\.[0-9]{1,18})?$(?!\n)")]


class SetRuleInput(Input, frozen=True):
    """
    A rule; under the name of one that there is, it takes its place.

    ``usage_quantity`` watches a month of a meter, ``usage_amount`` what a customer's month of a product would cost,
    ``usage_spike`` a day of a meter against the days before, ``event_count`` how many events of a customer fall within
    some seconds, ``event_amount`` a single one.
    """

    rule: CatalogCode
    kind: RuleKind
    threshold: Number
    """Beyond it the rule goes off: metered units, minor units, events, or, for a spike, times the average."""
    active: bool = True
    customer: CustomerRef | None = None
    """Only this one; left out, each by itself."""
    meter: CatalogCode | None = None
    product: CatalogCode | None = None
    asset: AssetCode | None = None
    types: Annotated[tuple[CountedType, ...], msgspec.Meta(max_length=5)] = ()
    seconds: Annotated[int, msgspec.Meta(ge=0, le=7 * _DAY)] = 0
    days: Annotated[int, msgspec.Meta(ge=0, le=90)] = 0
    at_least: Number = "0"
    """A spike is none below so many units in a day."""


class RulesOutput(msgspec.Struct, frozen=True):
    """The rules of a book."""

    items: list[Rule]


class AlertsInput(Input, frozen=True):
    """How many of the newest alerts."""

    limit: PageSize = 100


class AlertsOutput(msgspec.Struct, frozen=True):
    """Rules that went off, the newest first."""

    items: list[RaisedAlert]


class RaiseInput(Input, frozen=True):
    """A rule that went off, with the numbers as they were found."""

    rule: str
    terms: AlertTerms
    found: Finding


class RaiseOutput(msgspec.Struct, frozen=True):
    """Whether that was news."""

    raised: bool


async def set_one(call: Call, request: SetRuleInput) -> RulesOutput:
    """Set what others are told of: spending beyond a threshold, or what looks like fraud."""
    rules = await list_rules(call.connection, call.book.book_id)
    if len(rules) >= _MOST_RULES and request.rule not in {one.rule for one in rules}:
        raise InvalidInput(field="rule", rule=f"A book has at most {_MOST_RULES} rules; set one of them anew")
    _require_whole(request)
    terms = AlertTerms(
        kind=request.kind,
        threshold=Decimal(request.threshold),
        customer=request.customer,
        meter=request.meter,
        product=request.product,
        asset=request.asset,
        types=tuple(sorted(set(request.types))),
        seconds=request.seconds,
        days=request.days,
        at_least=Decimal(request.at_least),
    )
    await set_rule(call.connection, call.recorded, request.rule, terms, active=request.active)
    return RulesOutput(await list_rules(call.connection, call.book.book_id))


async def list_all(call: Call, _: NothingInput) -> RulesOutput:
    """Return the rules by which others are told, as they are in force."""
    return RulesOutput(await list_rules(call.connection, call.book.book_id))


async def list_raised(call: Call, request: AlertsInput) -> AlertsOutput:
    """Return the rules that went off, each with its numbers, the newest first."""
    return AlertsOutput(await newest_alerts(call.connection, call.book.book_id, request.limit))


async def raise_one(call: Call, request: RaiseInput) -> RaiseOutput:
    """Note that a rule went off, and tell it, once."""
    return RaiseOutput(await raise_alert(call.connection, call.recorded, request.rule, request.terms, request.found))


def _require_whole(request: SetRuleInput) -> None:
    """Find that the rule says what its kind needs, and nothing that it does not look at."""
    needed = _NEEDS[request.kind]
    may = {*needed, *_MAY.get(request.kind, ("customer",))}
    for field in ("customer", "meter", "product", "asset", "types", "seconds", "days"):
        given = bool(getattr(request, field))
        if field in needed and not given:
            raise InvalidInput(field=field, rule=f"A rule of the kind {request.kind} needs {', '.join(needed)}")
        if given and field not in may:
            raise InvalidInput(field=field, rule=f"A rule of the kind {request.kind} does not look at this")


OPERATIONS = [
    Operation("alerts.set_rule", SetRuleInput, RulesOutput, "alerts:write", "POST /alerts/rules", set_one),
    Operation("alerts.list_rules", NothingInput, RulesOutput, "alerts:read", "GET /alerts/rules", list_all, reads=True),
    Operation("alerts.list", AlertsInput, AlertsOutput, "alerts:read", "GET /alerts", list_raised, reads=True),
    Operation("alerts.raise", RaiseInput, RaiseOutput, "alerts:carry", INTERNAL, raise_one),
]
