"""Rules: who is reminded when, and what being late costs; data, in versions."""

import datetime as dt
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.invoicing.life.enter_to_decide import enter_to_decide
from tallystick.ledger.accounts import Recorded
from tallystick.money import MAX_AMOUNT

_queries = queries_beside(__file__)
_insert_rules = _queries.run("insert_rules")
_find_rules = _queries.value("find_rules")

_MOST_LEVELS, _MOST_DAYS, _MOST_TERMS = 20, 3660, 3650
AssetCode = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_]{0,31}$(?!\n)")]
MinorUnits = Annotated[int, msgspec.Meta(ge=1, le=MAX_AMOUNT)]
ByAsset = Annotated[dict[AssetCode, MinorUnits], msgspec.Meta(min_length=1, max_length=100)]
Rate = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,12})?$(?!\n)")]
ProductCode = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.-]{0,62}$(?!\n)")]


class FixedFee(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="fixed"):
    """A fee that is always the same."""

    amounts: ByAsset
    """In minor units by asset; an asset that is not named costs nothing."""


class RateFee(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="rate"):
    """A fee for each day of delay: a part of what is outstanding for a year of it."""

    per_year: Rate
    """Decimal text: ``0.0912`` is 9.12 % a year."""
    year: Literal["365", "360", "actual"] = "365"
    """How many days a year has; ``actual``: each day counts for its own year, which has 366 if it is a leap year."""
    cap: ByAsset | None = None
    """The most that one reminder costs, in minor units by asset."""

    @property
    def rate(self) -> Decimal:
        """Return the rate exactly."""
        return Decimal(self.per_year)


Fee = FixedFee | RateFee


class Level(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reminder, and what it costs."""

    after_days: Annotated[int, msgspec.Meta(ge=1, le=_MOST_DAYS)]
    """So many days after the due date it is made: what lies between is days of grace."""
    fee: Fee | None = None
    """Null: it costs nothing."""


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Reminders, the first one first."""

    levels: Annotated[list[Level], msgspec.Meta(max_length=_MOST_LEVELS)]
    """Empty: nobody is reminded."""
    fee_product: ProductCode = "late-fee"
    """The product that fees are invoiced under; its own invoices are reminded of, and cost no fee."""
    fee_terms_days: Annotated[int, msgspec.Meta(ge=0, le=_MOST_TERMS)] = 14
    """So many days after its issue a fee is due."""
    fee_tax_category: ProductCode | None = None
    """The category whose taxes are asked for with a fee; null: none are."""

    @property
    def gaps(self) -> list[int]:
        """Return how many days at the least lie before each reminder, since the one before or the due date."""
        days = [0, *(level.after_days for level in self.levels)]
        return [later - earlier for earlier, later in pairwise(days)]

    def latest_due(self, on: dt.date) -> dt.date | None:
        """Return the last due date of which the first reminder is made on a day; None where nobody is reminded."""
        return on - dt.timedelta(days=self.levels[0].after_days) if self.levels else None


NOBODY = Rules([])
"""What counts where nothing was said: nobody is reminded."""


def require_sound(rules: Rules) -> None:
    """
    Find that each reminder comes after the one before.

    Raises:
        InvalidInput: one does not (``invalid_input``).
    """
    for at, gap in enumerate(rules.gaps):
        if gap <= 0:
            raise InvalidInput(
                field=f"rules.levels[{at}].after_days", rule="Each reminder is made at least a day after the one before"
            )


async def set_rules(connection: Connection, recorded: Recorded, rules: Rules) -> None:
    """
    Let rules count from now on; reminders that were made stay as they are.

    Raises:
        InvalidInput: a reminder does not come after the one before (``invalid_input``).
    """
    await enter_to_decide(connection, recorded.book_id)
    require_sound(rules)
    written = msgspec.json.encode(rules).decode()
    await _insert_rules(connection, recorded.book_id, written, recorded.message_place, recorded.at)


async def find_rules(connection: Connection, book_id: int, place: int) -> Rules:
    """Return the rules in force at a place in the order."""
    found = await _find_rules(connection, book_id, place)
    return NOBODY if found is None else msgspec.json.decode(found, type=Rules)
