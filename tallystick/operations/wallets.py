"""The wallets' operations: prepaid credit is granted, read, watched, and ends."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated

import msgspec

from tallystick.errors import InvalidInput
from tallystick.operations.catalog import CatalogCode
from tallystick.operations.fields import Amount, AssetCode, Instant, PageSize, Reference
from tallystick.operations.invoicing import CustomerRef
from tallystick.operations.ledger import require_callers_id
from tallystick.operations.model import Call, Input, NothingInput, Operation
from tallystick.rating.exact import digits_written_out
from tallystick.wallets import bind_unit as binding
from tallystick.wallets import end, find, grant, watch
from tallystick.wallets.bind_unit import BoundUnit
from tallystick.wallets.find import Wallet, WalletHistory, WalletLowPage
from tallystick.wallets.model import Grant, GrantKind

Codes = Annotated[list[CatalogCode], msgspec.Meta(min_length=1, max_length=100)]
DEFAULT_PRIORITY = 100
_MOST_DIGITS = 18
_LATEST = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


class UnitInput(Input, frozen=True):
    """Which meter credits in an asset pay for."""

    asset: AssetCode
    meter: CatalogCode
    units: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,18}(\.[0-9]{1,18})?$(?!\n)")] = "1"
    """How many metered units a major unit of the asset pays for, as decimal text."""


class UnitsOutput(msgspec.Struct, frozen=True):
    """What units pay for which meters."""

    items: list[BoundUnit]


class GrantInput(Input, frozen=True):
    """
    Credit for a customer, who is made if new, in minor units of an asset.

    A currency pays invoices when they are issued; a unit of your own pays for what is metered, before it is priced.
    """

    id: uuid.UUID
    customer: CustomerRef
    asset: AssetCode
    amount: Amount
    priority: Annotated[int, msgspec.Meta(ge=0, le=1000)] = DEFAULT_PRIORITY
    """Lower is spent first; of the same priority, what expires first, then what was granted first."""
    kind: GrantKind = "paid"
    expires_at: Instant | None = None
    """From then on nothing is spent of it; null, never."""
    products: Codes | None = None
    """All that it may be spent on; null, anything. So are charges and meters."""
    charges: Codes | None = None
    meters: Codes | None = None

    def __post_init__(self) -> None:
        """Find that the id is the caller's own."""
        require_callers_id(self.id)


class FindGrantInput(Input, frozen=True):
    """The id of a grant."""

    id: uuid.UUID


class VoidInput(Input, frozen=True):
    """A grant of which the rest is taken back, and why."""

    id: uuid.UUID
    reason: Reference


class WalletInput(Input, frozen=True):
    """Whose wallet, and of which asset; of all of them if left out."""

    customer: CustomerRef
    asset: AssetCode | None = None
    ended: bool = False
    """With the grants that were used up, expired or were voided."""


class WalletHistoryInput(Input, frozen=True):
    """A page of what came to a wallet and went."""

    customer: CustomerRef
    after: Annotated[str, msgspec.Meta(max_length=255)] = ""
    limit: PageSize = 100


class ThresholdInput(Input, frozen=True):
    """Below how much of an asset a customer's wallet is low; null to watch it no longer."""

    customer: CustomerRef
    asset: AssetCode
    threshold: Amount | None


class ThresholdOutput(msgspec.Struct, frozen=True):
    """The threshold in force from now on."""

    customer: str
    asset: str
    threshold: int | None


class WalletLowInput(Input, frozen=True):
    """A page of the times that wallets fell below their thresholds, of one customer's if named."""

    customer: CustomerRef | None = None
    after: Annotated[str, msgspec.Meta(max_length=255)] = ""
    limit: PageSize = 100


class ExpireGrantsInput(Input, frozen=True):
    """The grants whose time has run out."""

    grants: Annotated[list[uuid.UUID], msgspec.Meta(min_length=1, max_length=end.MOST_DUE)]


class ExpireGrantsOutput(msgspec.Struct, frozen=True):
    """How many grants were ended; the others had ended already."""

    expired: int


async def bind_unit(call: Call, request: UnitInput) -> BoundUnit:
    """Let credits in an asset of your own pay for a meter, or find that they do."""
    units = Decimal(request.units)
    if not units or digits_written_out(units) > _MOST_DIGITS:
        raise InvalidInput(field="units", rule=f"Expected a number above 0 of at most {_MOST_DIGITS} digits")
    return await binding.bind_unit(call.connection, call.recorded, request.asset, request.meter, units)


async def list_units(call: Call, _: NothingInput) -> UnitsOutput:
    """Return which credits pay for which meters."""
    return UnitsOutput(await binding.list_units(call.connection, call.book.book_id))


async def grant_credit(call: Call, request: GrantInput) -> Grant:
    """Grant a customer credit, on a ledger account of its own."""
    if request.expires_at is not None:
        _require_in_calendar(request.expires_at)
    wanted = grant.NewGrant(
        request.id, request.customer, request.asset, request.amount, request.priority, request.kind,
        request.expires_at, *(one and sorted(set(one)) for one in (request.products, request.charges, request.meters)),
    )  # fmt: skip
    return await grant.grant(call.connection, call.book.ledger, call.recorded, call.message_hashes, wanted)


async def find_grant(call: Call, request: FindGrantInput) -> Grant:
    """Return a grant with what is left of it."""
    return await find.find_grant(call.connection, call.book.book_id, request.id)


async def void_grant(call: Call, request: VoidInput) -> Grant:
    """Take back what is left of a grant, once; what was spent of it stays spent."""
    return await end.void_grant(
        call.connection, call.book.ledger, call.recorded, call.message_hashes, request.id, request.reason
    )


async def read_balance(call: Call, request: WalletInput) -> Wallet:
    """Return what a customer has, by asset and grant in the order in which it is spent, and what expires next."""
    customer_id = await grant.require_customer(call.connection, call.book.book_id, request.customer)
    return await find.find_wallet(
        call.connection, call.book.book_id, request.customer, customer_id, request.asset, ended=request.ended
    )


async def read_history(call: Call, request: WalletHistoryInput) -> WalletHistory:
    """Return a page of what came to a customer's wallet and went, each with the invoice that it paid."""
    customer_id = await grant.require_customer(call.connection, call.book.book_id, request.customer)
    return await find.page_wallet(call.connection, call.book.book_id, customer_id, request.after, request.limit)


async def set_threshold(call: Call, request: ThresholdInput) -> ThresholdOutput:
    """Notice from now on when a customer's wallet falls below a threshold."""
    customer_id = await grant.require_customer(call.connection, call.book.book_id, request.customer)
    await watch.set_threshold(call.connection, call.recorded, customer_id, request.asset, request.threshold)
    return ThresholdOutput(request.customer, request.asset, request.threshold)


async def list_low(call: Call, request: WalletLowInput) -> WalletLowPage:
    """Return a page of the times that wallets fell below their thresholds, in order of the log."""
    customer_id = None
    if request.customer is not None:
        customer_id = await grant.require_customer(call.connection, call.book.book_id, request.customer)
    return await find.page_low(call.connection, call.book.book_id, customer_id, request.after, request.limit)


async def expire_grants(call: Call, request: ExpireGrantsInput) -> ExpireGrantsOutput:
    """Take away what is left of the grants whose time has run out."""
    ended = await end.expire_grants(
        call.connection, call.book.ledger, call.recorded, call.message_hashes, request.grants
    )
    return ExpireGrantsOutput(len(ended))


def _require_in_calendar(at: dt.datetime) -> None:
    if at >= _LATEST:
        raise InvalidInput(field="expires_at", rule="Expected an instant before the year 9999")


OPERATIONS = [
    Operation("wallets.bind_unit", UnitInput, BoundUnit, "wallets:write", "POST /credit-units", bind_unit),
    Operation(
        "wallets.list_units", NothingInput, UnitsOutput, "wallets:read", "GET /credit-units", list_units, reads=True
    ),
    Operation("wallets.grant", GrantInput, Grant, "wallets:write", "POST /credits", grant_credit),
    Operation("wallets.find_grant", FindGrantInput, Grant, "wallets:read", "GET /credits/{id}", find_grant, reads=True),
    Operation("wallets.void", VoidInput, Grant, "wallets:write", "POST /credits/{id}/void", void_grant),
    Operation(
        "wallets.balance", WalletInput, Wallet, "wallets:read", "GET /wallets", read_balance, reads=True, snapshot=True
    ),
    Operation(
        "wallets.history",
        WalletHistoryInput,
        WalletHistory,
        "wallets:read",
        "GET /wallets/history",
        read_history,
        reads=True,
        snapshot=True,
    ),
    Operation(
        "wallets.set_threshold",
        ThresholdInput,
        ThresholdOutput,
        "wallets:write",
        "POST /wallets/threshold",
        set_threshold,
    ),
    Operation("wallets.low", WalletLowInput, WalletLowPage, "wallets:read", "GET /wallets/low", list_low, reads=True),
    Operation("wallets.expire", ExpireGrantsInput, ExpireGrantsOutput, "wallets:write", "", expire_grants),
]
