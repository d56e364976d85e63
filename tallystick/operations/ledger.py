"""The ledger's operations: assets, accounts, transfers, balances, history, the log."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated

import msgspec

from tallystick.errors import InvalidInput, Kind, TallystickError
from tallystick.ledger import accounts as verbs
from tallystick.ledger.accounts import NewAccount
from tallystick.ledger.balance import find_balance
from tallystick.ledger.errors import error_of
from tallystick.ledger.history import HistoryPage, find_transfer, page_history
from tallystick.ledger.model import (
    WHEN_RECORDED,
    Account,
    Balance,
    PostedTransfer,
    Reason,
    Status,
    Transfers,
    microseconds,
    transfers,
)
from tallystick.ledger.post import MAX_BATCH, post
from tallystick.ledger.read_log import CheckpointNote, read_newest_checkpoint
from tallystick.ledger.resolve import resolve_accounts
from tallystick.money import MAX_AMOUNT
from tallystick.operations.model import Call, Input, Operation

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""An account's code: a path such as ``customers/42/receivable``."""
AssetCode = Annotated[str, msgspec.Meta(pattern="^[A-Z][A-Z0-9_]{0,31}$")]
Amount = Annotated[int, msgspec.Meta(ge=1, le=MAX_AMOUNT)]
Instant = Annotated[dt.datetime, msgspec.Meta(tz=True)]
PageSize = Annotated[int, msgspec.Meta(ge=1, le=1000)]


DERIVED = 8
"""The UUID version of ids that are derived from content (`ids.id_of_content`)."""
OWN_ROOTS = {"invoices", "providers", "revenue", "unallocated"}
"""Where the accounts lie that the product opens for itself, and on whose being open its payments rely."""


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
    max_balance: Annotated[int, msgspec.Meta(ge=0, le=MAX_AMOUNT)] | None = None


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


class TransferInput(Input, frozen=True):
    """A transfer of minor units from the debit to the credit account."""

    id: uuid.UUID
    debit: Code
    credit: Code
    amount: Amount
    asset: AssetCode | None = None
    """May be left out; given, both accounts must be of it."""
    effective_at: Instant | None = None
    """When it counts as having happened; left out, when it is recorded."""

    def __post_init__(self) -> None:
        """Refuse an id that the product may derive for a transfer of its own, which nobody shall take before it."""
        if self.id.version == DERIVED:
            raise ValueError("Expected an `id` of another UUID version than 8, whose ids the product derives itself")


class TransferOutput(msgspec.Struct, frozen=True):
    """What became of a transfer."""

    id: uuid.UUID
    status: str
    """``ledger.posted``, ``ledger.known`` (posted before), or the code of the refusal."""


class TransfersInput(Input, frozen=True):
    """Transfers to be judged in order; with ``group`` all are posted or none."""

    transfers: Annotated[list[TransferInput], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]
    group: bool = False


class TransfersOutput(msgspec.Struct, frozen=True):
    """What became of each transfer, in order, and how many are in the ledger."""

    done: int
    refused: int
    items: list[TransferOutput]


class FindTransferInput(Input, frozen=True):
    """The id of a transfer."""

    id: uuid.UUID


class HistoryInput(Input, frozen=True):
    """A page of an account's transfers in the order they were posted, within a half-open period."""

    account: Code
    since: Instant | None = None
    until: Instant | None = None
    after: str = ""
    limit: PageSize = 100


class NothingInput(Input, frozen=True):
    """Nothing beside the book."""


_EARLIEST = microseconds(dt.datetime(1, 1, 1, tzinfo=dt.UTC))
_LATEST = microseconds(dt.datetime(9999, 1, 1, tzinfo=dt.UTC))


async def ensure_asset(call: Call, request: AssetInput) -> AssetOutput:
    """Add an asset to the book, or find that it is there."""
    asset = await verbs.ensure_asset(call.connection, call.book.book_id, request.asset, request.exponent)
    return AssetOutput(asset.code, asset.exponent)


async def open_account(call: Call, request: OpenAccountInput) -> Account:
    """Open an account, or find it open with the same attributes."""
    _refuse_own(request.account)
    wanted = NewAccount(request.account, request.asset, request.min_balance, request.max_balance)
    return (await verbs.open_accounts(call.connection, call.recorded, [wanted]))[0]


async def close_account(call: Call, request: AccountInput) -> Account:
    """Close an account for good: no later transfer touches it."""
    _refuse_own(request.account)
    return await verbs.close_account(call.connection, call.recorded, request.account)


async def find_account(call: Call, request: AccountInput) -> Account:
    """Return an account."""
    return await verbs.find_account(call.connection, call.book.book_id, request.account)


async def list_accounts(call: Call, request: AccountsPageInput) -> AccountsPage:
    """Return a page of accounts in order of code."""
    found = await verbs.list_accounts(call.connection, call.book.book_id, request.after, request.limit + 1)
    items = found[: request.limit]
    return AccountsPage(items, items[-1].code if len(found) > request.limit else None)


async def read_balance(call: Call, request: AccountInput) -> Balance:
    """Return an account's balance: the sum of everything posted to it up to now."""
    return await find_balance(call.connection, call.book.ledger, request.account)


async def post_transfers_together(
    call: Call, requests: Sequence[TransferInput]
) -> Sequence[TransferOutput | TallystickError]:
    """Post one transfer; those that arrive together are posted as one batch."""
    places = list(range(len(requests)))
    statuses = await post(
        call.connection, call.book.ledger, await _as_batch(call, requests, places), call.recorded, call.message_hashes
    )
    return [
        TransferOutput(request.id, Status(status).code) if Status(status).done else error_of(Status(status))
        for request, status in zip(requests, statuses.tolist(), strict=True)
    ]


async def post_transfers(call: Call, request: TransfersInput) -> TransfersOutput:
    """Post a batch of transfers and say of each what became of it."""
    batch = await _as_batch(call, request.transfers, [call.place] * len(request.transfers))
    statuses = await post(
        call.connection, call.book.ledger, batch, call.recorded, call.message_hashes, group=request.group
    )
    found = [Status(status) for status in statuses.tolist()]
    items = [TransferOutput(one.id, status.code) for one, status in zip(request.transfers, found, strict=True)]
    done = sum(status.done for status in found)
    return TransfersOutput(done, len(items) - done, items)


async def read_transfer(call: Call, request: FindTransferInput) -> PostedTransfer:
    """Return a transfer, with its place in the log once it is sealed."""
    return await find_transfer(call.connection, call.book.book_id, request.id)


async def read_history(call: Call, request: HistoryInput) -> HistoryPage:
    """Return a page of an account's transfers in the order they were posted."""
    return await page_history(
        call.connection,
        call.book.book_id,
        request.account,
        since=request.since,
        until=request.until,
        after=request.after,
        limit=request.limit,
    )


async def read_checkpoint(call: Call, _: NothingInput) -> CheckpointNote:
    """Return the newest signed checkpoint of the book's log."""
    return await read_newest_checkpoint(call.connection, call.book.book_id)


def _refuse_own(account: str) -> None:
    if account.split("/", 1)[0] in OWN_ROOTS:
        raise OwnAccount(field="account", account=account)


async def _as_batch(call: Call, requests: Sequence[TransferInput], places: Sequence[int]) -> Transfers:
    codes = [code for request in requests for code in (request.debit, request.credit)]
    ids = await resolve_accounts(call.connection, call.book.ledger, codes)
    assets = await _asset_ids(call, {request.asset for request in requests if request.asset is not None})
    batch = transfers(len(requests))
    batch["transfer_id"] = [request.id.bytes for request in requests]
    batch["debit_account_id"] = ids[::2]
    batch["credit_account_id"] = ids[1::2]
    batch["amount"] = [request.amount for request in requests]
    batch["asset_id"] = [assets[request.asset] if request.asset else 0 for request in requests]
    batch["message_place"] = places
    batch["reason"] = Reason.TRANSFER
    batch["effective_at"] = [_effective(one.effective_at) for one in requests]
    return batch


def _effective(at: dt.datetime | None) -> int:
    if at is None:
        return WHEN_RECORDED
    since = microseconds(at)
    if not _EARLIEST <= since < _LATEST:
        raise InvalidInput(field="effective_at", rule="Expected an instant of the years 1 to 9998, in UTC")
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
    Operation("ledger.ensure_asset", AssetInput, AssetOutput, "ledger:write", "POST /assets", ensure_asset),
    Operation("ledger.open_account", OpenAccountInput, Account, "ledger:write", "POST /accounts", open_account),
    Operation("ledger.close_account", AccountInput, Account, "ledger:write", "POST /accounts/close", close_account),
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
    Operation("ledger.balance", AccountInput, Balance, "ledger:read", "GET /balance", read_balance, reads=True),
    Operation("ledger.history", HistoryInput, HistoryPage, "ledger:read", "GET /history", read_history, reads=True),
    Operation(
        "ledger.transfer",
        TransferInput,
        TransferOutput,
        "ledger:write",
        "POST /transfers",
        together=post_transfers_together,
    ),
    Operation(
        "ledger.transfers", TransfersInput, TransfersOutput, "ledger:write", "POST /transfers/batch", post_transfers
    ),
    Operation(
        "ledger.find_transfer",
        FindTransferInput,
        PostedTransfer,
        "ledger:read",
        "GET /transfers/{id}",
        read_transfer,
        reads=True,
    ),
    Operation(
        "ledger.checkpoint", NothingInput, CheckpointNote, "ledger:read", "GET /checkpoint", read_checkpoint, reads=True
    ),
]
