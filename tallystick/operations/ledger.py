"""The ledger's operations: assets, accounts, transfers, balances, history, the log."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ids import id_of_content
from tallystick.invoicing.life.unallocated_account import is_unallocated
from tallystick.ledger import accounts as verbs
from tallystick.ledger.accounts import NewAccount
from tallystick.ledger.errors import TRANSFER_ERRORS, error_of
from tallystick.ledger.model import (
    NEVER,
    WHEN_RECORDED,
    Account,
    Batch,
    Outcomes,
    Reason,
    Status,
    microseconds,
    transfers,
)
from tallystick.ledger.post import MAX_BATCH, post
from tallystick.ledger.read_log import CheckpointNote, read_newest_checkpoint
from tallystick.ledger.resolve import resolve_accounts
from tallystick.money import MAX_AMOUNT, digits_of
from tallystick.operations.fields import Amount, AssetCode, Code, Instant, Metadata, PageSize, Reference
from tallystick.operations.model import Call, Input, NothingInput, Operation
from tallystick.security.model import Principal

if TYPE_CHECKING:
    from tallystick.operations.run import Operations

Kinds = Literal["transfer", "sweep", "reversal", "hold", "capture", "release"]
CallersReason = Literal[
    "transfer", "deposit", "withdrawal", "payment", "fee", "interest", "refund", "adjustment", "opening"
]


DERIVED = 8
"""The UUID version of ids that are derived from content (`ids.id_of_content`)."""
OWN_ROOTS = {"invoices", "providers", "revenue", "unallocated", "wallets"}
"""Where the accounts lie that the product opens for itself, and on whose being open its payments rely."""


_MOVED = ("debit", "credit", "amount")
_OPTIONAL = {"debit", "credit", "amount", "asset", "reason", "effective_at", "expires_at", "hold", "reverses"}


def _fields(needed: Sequence[str], *allowed: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(needed), tuple(sorted(_OPTIONAL - {*needed, *allowed}))


FIELDS_OF_KINDS = {
    "transfer": _fields(_MOVED, "asset", "reason", "effective_at"),
    "sweep": _fields(_MOVED, "asset", "effective_at"),
    "hold": _fields(_MOVED, "asset", "effective_at", "expires_at"),
    "capture": _fields(["hold"], "amount", "effective_at"),
    "release": _fields(["hold"]),
    "reversal": _fields(["reverses"], "effective_at"),
}
"""By kind of transfer the fields it must have, and those it must not; all have an id and may have a reference."""
_REASONS = {reason.name.lower(): int(reason) for reason in Reason}
_CODES = [status.code for status in Status]


class OwnAccount(TallystickError):
    """Accounts like {account} are opened by the product itself, and stay open."""

    code = "ledger.own_account"
    kind = Kind.REFUSED


class AssetInput(Input, frozen=True):
    """A currency or a unit of the operator's own, with how many decimal digits its major unit has."""

    asset: AssetCode
    exponent: Annotated[int, msgspec.Meta(ge=0, le=18)]


class AssetOutput(msgspec.Struct, frozen=True):
    """An asset of the book."""

    asset: str
    exponent: int


class OpenAccountInput(Input, frozen=True):
    """An account to open; a balance is credits less debits, and a bound that is null does not limit it."""

    account: Code
    asset: AssetCode
    min_balance: Annotated[int, msgspec.Meta(ge=-MAX_AMOUNT, le=0)] | None = None
    max_balance: Annotated[int, msgspec.Meta(ge=0, le=MAX_AMOUNT - 1)] | None = None
    metadata: Metadata | None = None


class LimitAccountInput(Input, frozen=True):
    """Other limits for an account; both are set, and null does not limit."""

    account: Code
    min_balance: Annotated[int, msgspec.Meta(ge=-MAX_AMOUNT, le=0)] | None
    max_balance: Annotated[int, msgspec.Meta(ge=0, le=MAX_AMOUNT - 1)] | None


class DescribeAccountInput(Input, frozen=True):
    """What is said of an account; it replaces what was said before."""

    account: Code
    metadata: Metadata


class AccountInput(Input, frozen=True):
    """The code of an account."""

    account: Code


class AccountsPageInput(Input, frozen=True):
    """Which page of accounts: those whose codes sort behind the cursor."""

    after: str = ""
    limit: PageSize = 100


class AccountsPage(msgspec.Struct, frozen=True):
    """Accounts in order of code; ``next`` is the cursor of the page behind, null on the last."""

    items: list[Account]
    next: str | None


def require_callers_id(transfer_id: uuid.UUID) -> None:
    """
    Refuse an id that the product may derive for a transfer of its own, which nobody shall take before it.

    Raises:
        ValueError: it is of UUID version 8.
    """
    if transfer_id.version == DERIVED:
        raise ValueError("Expected an `id` of another UUID version than 8, whose ids the product derives itself")


class OneTransferInput(Input, frozen=True, kw_only=True):
    """A transfer of one kind, by a door of its own."""

    id: uuid.UUID
    reference: Reference | None = None

    def __post_init__(self) -> None:
        """Find that the id is the caller's own."""
        require_callers_id(self.id)


class TransferInput(Input, frozen=True):
    """
    A transfer of minor units from the debit to the credit account, or another kind of change; ``kind`` says which.

    A ``transfer`` moves the amount, a ``sweep`` as much of it as the limits leave; a ``hold`` reserves it until it
    is captured, released or expired. A ``capture`` moves the amount, or all that is left, out of the hold it names; a
    ``release`` gives back what is left; a ``reversal`` moves back, once, what the transfer it names moved.
    """

    id: uuid.UUID
    kind: Kinds = "transfer"
    debit: Code | None = None
    credit: Code | None = None
    amount: Amount | None = None
    """Of a sweep the most to be moved; of a capture left out for all that is left."""
    asset: AssetCode | None = None
    """May be left out; given, both accounts must be of it."""
    reason: CallersReason | None = None
    """What a transfer is for; ``transfer`` if left out."""
    reference: Reference | None = None
    """The caller's own name for it; the log's leaf is bound to it."""
    effective_at: Instant | None = None
    """When it counts as having happened; left out, when it is recorded."""
    expires_at: Instant | None = None
    """When a hold ends by itself; left out, never."""
    hold: uuid.UUID | None = None
    """The hold that is captured or released."""
    reverses: uuid.UUID | None = None
    """The transfer that is reversed."""

    def __post_init__(self) -> None:
        """
        Find that the fields are those of the kind.

        An id that the product may derive for a transfer of its own is refused: nobody shall take it before it.
        """
        require_callers_id(self.id)
        needed, forbidden = FIELDS_OF_KINDS[self.kind]
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"Object missing required field `{name}` of a {self.kind}")
        for name in forbidden:
            if getattr(self, name) is not None:
                raise ValueError(f"Object contains unknown field `{name}` in a {self.kind}")


class TransferOutput(msgspec.Struct, frozen=True):
    """What became of a transfer."""

    id: uuid.UUID
    status: str
    """``ledger.posted``, ``ledger.known`` (posted before), or the code of the refusal."""
    amount: int = 0
    """What was moved, held or freed, in minor units; 0 of a refusal."""
    field: str | None = None
    """Of a refusal the field to blame; of a conflict the first that differs."""


class TransfersInput(Input, frozen=True):
    """Transfers to be judged in order; with ``group`` all are posted or none."""

    transfers: Annotated[list[TransferInput], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]
    group: bool = False


class TransfersOutput(msgspec.Struct, frozen=True):
    """What became of each transfer, in order, and how many are in the ledger."""

    done: int
    refused: int
    items: list[TransferOutput]


class HoldInput(OneTransferInput, frozen=True, kw_only=True):
    """An amount to be reserved on the debit account, to be captured for the credit account."""

    debit: Code
    credit: Code
    amount: Amount
    asset: AssetCode | None = None
    effective_at: Instant | None = None
    expires_at: Instant | None = None
    """When it ends by itself; left out, never."""


class SweepInput(OneTransferInput, frozen=True, kw_only=True):
    """Up to an amount to be moved: as much as the limits of both accounts leave."""

    debit: Code
    credit: Code
    amount: Amount
    asset: AssetCode | None = None
    effective_at: Instant | None = None


class CaptureInput(OneTransferInput, frozen=True, kw_only=True):
    """The capture of a hold: of an amount, or of all that is left."""

    hold: uuid.UUID
    amount: Amount | None = None
    effective_at: Instant | None = None


class ReleaseInput(OneTransferInput, frozen=True, kw_only=True):
    """The release of what is left of a hold."""

    hold: uuid.UUID


class ReverseInput(OneTransferInput, frozen=True, kw_only=True):
    """The reversal of a transfer."""

    reverses: uuid.UUID
    effective_at: Instant | None = None


class ExpireInput(Input, frozen=True):
    """The holds whose time has run out."""

    holds: Annotated[list[uuid.UUID], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]


class ExpireOutput(msgspec.Struct, frozen=True):
    """How many holds were ended; the others had ended already."""

    expired: int


_EARLIEST = microseconds(dt.datetime(1, 1, 1, tzinfo=dt.UTC))
_LATEST = microseconds(dt.datetime(9999, 1, 1, tzinfo=dt.UTC))


async def require_iso_digits(
    operations: "Operations", principal: Principal, book: str, name: str, request: AssetInput
) -> AssetInput:
    """
    Find that an asset which is a currency has the digits of one.

    Before the message and not by it: the table of currencies changes with time, and what a message did must not.

    Raises:
        InvalidInput: ISO 4217 gives it others (``invalid_input``).
    """
    del operations, principal, book, name
    iso = digits_of(request.asset)
    if iso not in {None, request.exponent}:
        raise InvalidInput(field="exponent", rule=f"{request.asset} is a currency of ISO 4217, with {iso} digits")
    return request


async def ensure_asset(call: Call, request: AssetInput) -> AssetOutput:
    """Add an asset to the book, or find that it is there; a currency of ISO 4217 has the digits that it has there."""
    asset = await verbs.ensure_asset(call.connection, call.book.book_id, request.asset, request.exponent)
    return AssetOutput(asset.code, asset.exponent)


async def open_account(call: Call, request: OpenAccountInput) -> Account:
    """Open an account, or find it open with the same attributes."""
    refuse_own(request.account)
    wanted = NewAccount(request.account, request.asset, request.min_balance, request.max_balance, request.metadata)
    return (await verbs.open_accounts(call.connection, call.recorded, [wanted]))[0]


async def close_account(call: Call, request: AccountInput) -> Account:
    """Close an account for good: no later transfer touches it."""
    refuse_own(request.account)
    return await verbs.close_account(call.connection, call.recorded, request.account)


async def limit_account(call: Call, request: LimitAccountInput) -> Account:
    """Give an account other limits: in force for every transfer that comes later in the order."""
    refuse_own(request.account)
    return await verbs.limit_account(
        call.connection, call.recorded, request.account, request.min_balance, request.max_balance
    )


async def describe_account(call: Call, request: DescribeAccountInput) -> Account:
    """Replace the metadata of an account."""
    return await verbs.describe_account(call.connection, call.recorded, request.account, request.metadata)


async def find_account(call: Call, request: AccountInput) -> Account:
    """Return an account."""
    return await verbs.find_account(call.connection, call.book.book_id, request.account)


async def list_accounts(call: Call, request: AccountsPageInput) -> AccountsPage:
    """Return a page of accounts in order of code."""
    found = await verbs.list_accounts(call.connection, call.book.book_id, request.after, request.limit + 1)
    items = found[: request.limit]
    return AccountsPage(items, items[-1].code if len(found) > request.limit else None)


async def post_transfers_together(
    call: Call, requests: Sequence[TransferInput]
) -> Sequence[TransferOutput | TallystickError]:
    """Post one transfer, hold, capture, release, sweep or reversal; those that arrive together are posted as one batch."""
    batch = await _as_batch(call, requests, list(range(len(requests))))
    outcomes = await post(call.connection, call.book.ledger, batch, call.recorded, call.message_hashes)
    return [
        error_of(Status(one.code_number), one.field) if one.refused else one.output
        for one in _results(requests, outcomes)
    ]


async def post_transfers(call: Call, request: TransfersInput) -> TransfersOutput:
    """Post a batch of transfers and say of each what became of it."""
    batch = await _as_batch(call, request.transfers, [call.place] * len(request.transfers))
    outcomes = await post(
        call.connection, call.book.ledger, batch, call.recorded, call.message_hashes, group=request.group
    )
    results = _results(request.transfers, outcomes)
    refused = sum(one.refused for one in results)
    return TransfersOutput(len(results) - refused, refused, [one.output for one in results])


async def hold_together(call: Call, requests: Sequence[HoldInput]) -> Sequence[TransferOutput | TallystickError]:
    """Reserve an amount on the debit account; it can be captured, released, or expires."""
    return await _post_kind(call, "hold", requests)


async def capture_together(call: Call, requests: Sequence[CaptureInput]) -> Sequence[TransferOutput | TallystickError]:
    """Move an amount out of a hold, or all that is left of it; again until it is used up."""
    return await _post_kind(call, "capture", requests)


async def release_together(call: Call, requests: Sequence[ReleaseInput]) -> Sequence[TransferOutput | TallystickError]:
    """Give back what is left of a hold."""
    return await _post_kind(call, "release", requests)


async def sweep_together(call: Call, requests: Sequence[SweepInput]) -> Sequence[TransferOutput | TallystickError]:
    """Move up to an amount, as much as the limits of both accounts leave."""
    return await _post_kind(call, "sweep", requests)


async def reverse_together(call: Call, requests: Sequence[ReverseInput]) -> Sequence[TransferOutput | TallystickError]:
    """Move back what a transfer moved; a transfer can be reversed once."""
    return await _post_kind(call, "reversal", requests)


async def expire_holds(call: Call, request: ExpireInput) -> ExpireOutput:
    """End the holds whose time has run out."""
    batch = transfers(len(request.holds))
    batch["transfer_id"] = [expiry_id(one).bytes for one in request.holds]
    batch["message_place"] = call.place
    batch["reason"] = Reason.EXPIRE
    related = np.frombuffer(b"".join(one.bytes for one in request.holds), "V16")
    outcomes = await post(call.connection, call.book.ledger, Batch(batch, related), call.recorded, call.message_hashes)
    return ExpireOutput(int((outcomes.statuses == Status.POSTED).sum()))


def expiry_id(hold_id: uuid.UUID) -> uuid.UUID:
    """Derive the id of the transfer that ends a hold which expired: there can be only one."""
    return id_of_content(("hold.expire", str(hold_id)))


async def read_checkpoint(call: Call, _: NothingInput) -> CheckpointNote:
    """Return the newest signed checkpoint of the book's log."""
    return await read_newest_checkpoint(call.connection, call.book.book_id)


def refuse_own(account: str, field: str = "account") -> None:
    """
    Refuse an account whose name is the product's own: only its own operations open such.

    Raises:
        OwnAccount: it is (``ledger.own_account``).
    """
    if account.split("/", 1)[0] in OWN_ROOTS or is_unallocated(account):
        raise OwnAccount(field=field, account=account)


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of one transfer."""

    code_number: int
    refused: bool
    field: str | None
    output: TransferOutput


def _results(requests: Sequence[TransferInput], outcomes: Outcomes) -> list[_Result]:
    results = []
    statuses, amounts = outcomes.statuses.tolist(), outcomes.amounts.tolist()
    for at, (request, number) in enumerate(zip(requests, statuses, strict=True)):
        if number <= Status.KNOWN:
            output = TransferOutput(request.id, _CODES[number], amounts[at])
            results.append(_Result(number, refused=False, field=None, output=output))
            continue
        field = outcomes.differs.get(at) or TRANSFER_ERRORS[Status(number)][1]
        output = TransferOutput(request.id, _CODES[number], 0, field)
        results.append(_Result(number, refused=True, field=field, output=output))
    return results


async def _post_kind(
    call: Call, kind: Kinds, requests: Sequence[msgspec.Struct]
) -> Sequence[TransferOutput | TallystickError]:
    """Post what came by a door of its own kind as any other."""
    return await post_transfers_together(
        call, [TransferInput(kind=kind, **msgspec.structs.asdict(request)) for request in requests]
    )


async def _as_batch(call: Call, requests: Sequence[TransferInput], places: Sequence[int]) -> Batch:
    codes = [code for one in requests for code in (one.debit, one.credit)]
    named = await resolve_accounts(call.connection, call.book.ledger, [code for code in codes if code is not None])
    found = iter(named)
    unknown: dict[str, int] = {}
    ids = [0 if code is None else next(found) or unknown.setdefault(code, -1 - len(unknown)) for code in codes]
    assets = await _asset_ids(call, {one.asset for one in requests if one.asset is not None})
    batch = transfers(len(requests))
    batch["transfer_id"] = [one.id.bytes for one in requests]
    batch["debit_account_id"] = ids[::2]
    batch["credit_account_id"] = ids[1::2]
    batch["amount"] = [one.amount or 0 for one in requests]
    batch["asset_id"] = [assets[one.asset] if one.asset else 0 for one in requests]
    batch["message_place"] = places
    batch["reason"] = [_REASONS[one.reason or one.kind] for one in requests]
    batch["effective_at"] = [_effective(one.effective_at) for one in requests]
    return Batch(batch, _related(requests), _expiries(requests), _references(requests))


def _related(requests: Sequence[TransferInput]) -> npt.NDArray[np.void] | None:
    related = [one.hold or one.reverses for one in requests]
    if not any(related):
        return None
    return np.frombuffer(b"".join(bytes(16) if one is None else one.bytes for one in related), "V16")


def _expiries(requests: Sequence[TransferInput]) -> npt.NDArray[np.int64] | None:
    if not any(one.expires_at for one in requests):
        return None
    return np.array(
        [NEVER if one.expires_at is None else _in_range("expires_at", one.expires_at) for one in requests], np.int64
    )


def _references(requests: Sequence[TransferInput]) -> list[str] | None:
    references = [one.reference or "" for one in requests]
    return references if any(references) else None


def _effective(at: dt.datetime | None) -> int:
    return WHEN_RECORDED if at is None else _in_range("effective_at", at)


def _in_range(field: str, at: dt.datetime) -> int:
    since = microseconds(at)
    if not _EARLIEST <= since < _LATEST:
        raise InvalidInput(field=field, rule="Expected an instant of the years 1 to 9998, in UTC")
    return since


async def _asset_ids(call: Call, codes: set[str]) -> dict[str, int]:
    found = {}
    for code in sorted(codes):
        try:
            found[code] = (await verbs.find_asset(call.connection, call.book.book_id, code)).asset_id
        except TallystickError:
            found[code] = UNKNOWN_ASSET
    return found


UNKNOWN_ASSET = -1
"""What an asset resolves to that the book does not have: no account is of it."""

OPERATIONS = [
    Operation(
        "ledger.ensure_asset",
        AssetInput,
        AssetOutput,
        "ledger:write",
        "POST /assets",
        ensure_asset,
        before=require_iso_digits,
    ),
    Operation("ledger.open_account", OpenAccountInput, Account, "ledger:write", "POST /accounts", open_account),
    Operation("ledger.close_account", AccountInput, Account, "ledger:write", "POST /accounts/close", close_account),
    Operation(
        "ledger.limit_account", LimitAccountInput, Account, "ledger:write", "POST /accounts/limits", limit_account
    ),
    Operation(
        "ledger.describe_account",
        DescribeAccountInput,
        Account,
        "ledger:write",
        "POST /accounts/metadata",
        describe_account,
    ),
    Operation(
        "ledger.find_account", AccountInput, Account, "ledger:read", "GET /accounts/find", find_account, reads=True
    ),
    Operation(
        "ledger.list_accounts",
        AccountsPageInput,
        AccountsPage,
        "ledger:read",
        "GET /accounts",
        list_accounts,
        reads=True,
    ),
    Operation(
        "ledger.transfer",
        TransferInput,
        TransferOutput,
        "ledger:write",
        "POST /transfers",
        together=post_transfers_together,
    ),
    *(
        Operation(f"ledger.{name}", input_, TransferOutput, "ledger:write", route, together=together)
        for name, input_, route, together in (
            ("hold", HoldInput, "POST /holds", hold_together),
            ("capture", CaptureInput, "POST /holds/{hold}/capture", capture_together),
            ("release", ReleaseInput, "POST /holds/{hold}/release", release_together),
            ("sweep", SweepInput, "POST /sweeps", sweep_together),
            ("reverse", ReverseInput, "POST /transfers/{reverses}/reverse", reverse_together),
        )
    ),
    Operation("ledger.expire_holds", ExpireInput, ExpireOutput, "ledger:write", "", expire_holds),
    Operation(
        "ledger.transfers", TransfersInput, TransfersOutput, "ledger:write", "POST /transfers/batch", post_transfers
    ),
    Operation(
        "ledger.checkpoint", NothingInput, CheckpointNote, "ledger:read", "GET /checkpoint", read_checkpoint, reads=True
    ),
]
