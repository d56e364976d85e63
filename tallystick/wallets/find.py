"""Find grants and wallets: what they have left is always the balance of their ledger accounts."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.ledger.errors import UnknownAccount
from tallystick.ledger.reading.history import Asked, PostedTransfer, Turn, page_history
from tallystick.rating.exact import plain
from tallystick.wallets.errors import UnknownGrant
from tallystick.wallets.model import Grant, account_of, wallet_of

_queries = queries_beside(__file__)
_find_grants = _queries.tuples("find_grants")
_page_grants = _queries.values("page_grants")
_find_uses = _queries.tuples("find_uses")
_uses_of_invoices = _queries.tuples("uses_of_invoices")
_page_low = _queries.tuples("page_low")


class Expiring(msgspec.Struct, frozen=True):
    """What expires next of a wallet in one asset, at one instant."""

    at: dt.datetime
    amount: int


class AssetBalance(msgspec.Struct, frozen=True):
    """What a customer has of one asset, grant by grant in the order in which it is spent; in minor units."""

    asset: str
    balance: int
    grants: list[Grant]
    expiring: Expiring | None
    """What expires next; null when nothing does."""


class Wallet(msgspec.Struct, frozen=True):
    """What a customer has, by asset."""

    customer: str
    assets: list[AssetBalance]


class WalletEntry(msgspec.Struct, frozen=True):
    """One transfer of a wallet; ``amount`` is below zero where credit went away."""

    transfer_id: uuid.UUID
    grant: uuid.UUID
    asset: str
    amount: int
    reason: str
    at: dt.datetime
    invoice: uuid.UUID | None
    """What it paid; null for what is no use."""
    line: int | None
    """The line whose units it paid for; null where it paid the invoice."""
    quantity: str | None
    """How many metered units it paid for."""


class WalletHistory(msgspec.Struct, frozen=True):
    """Transfers of a wallet in the order of the log; ``next`` is the cursor of the page behind, null on the last."""

    items: list[WalletEntry]
    next: str | None


class CreditUse(msgspec.Struct, frozen=True):
    """What an invoice took of a grant."""

    grant: uuid.UUID
    asset: str
    amount: int
    """In minor units of the grant's asset."""
    line: int | None
    """The line whose units it paid for; null where it paid the invoice."""
    quantity: str | None
    transfer_id: uuid.UUID


class WalletLow(msgspec.Struct, frozen=True):
    """A wallet that fell below its threshold."""

    customer: str
    asset: str
    threshold: int
    balance: int
    """Right after."""
    at: dt.datetime


class WalletLowPage(msgspec.Struct, frozen=True):
    """Wallets that fell, in order of the log; ``next`` is the cursor of the page behind, null on the last."""

    items: list[WalletLow]
    next: str | None


async def find_grants(connection: Connection, book_id: int, grant_ids: Sequence[uuid.UUID]) -> list[Grant]:
    """Return those of the grants that exist, in order of *grant_ids*."""
    found = {one.id: one for one in map(_grant, await _find_grants(connection, book_id, list(grant_ids)))}
    return [found[one] for one in grant_ids if one in found]


async def find_grant(connection: Connection, book_id: int, grant_id: uuid.UUID) -> Grant:
    """
    Return a grant.

    Raises:
        UnknownGrant: there is none (``wallets.unknown_grant``).
    """
    found = await find_grants(connection, book_id, [grant_id])
    if not found:
        raise UnknownGrant(field="id", grant=grant_id)
    return found[0]


async def find_wallet(
    connection: Connection, book_id: int, customer: str, customer_id: int, asset: str | None, *, ended: bool
) -> Wallet:  # fmt: skip
    """Return what a customer has; with *ended*, beside it the grants that have ended."""
    found = await find_grants(connection, book_id, await _page_grants(connection, book_id, customer_id, asset, ended))
    by_asset: dict[str, list[Grant]] = {}
    for one in found:
        by_asset.setdefault(one.asset, []).append(one)
    return Wallet(customer, [_balance(code, by_asset[code]) for code in sorted(by_asset)])


def _balance(asset: str, grants: list[Grant]) -> AssetBalance:
    ends = [one.expires_at for one in grants if one.expires_at is not None and one.balance > 0]
    at = min(ends, default=None)
    expiring = None if at is None else Expiring(at, sum(one.balance for one in grants if one.expires_at == at))
    return AssetBalance(asset, sum(one.balance for one in grants), grants, expiring)


async def page_wallet(connection: Connection, book_id: int, customer_id: int, after: str, limit: int) -> WalletHistory:
    """
    Return a page of what came to a customer's wallet and went, as the ledger has it.

    Raises:
        InvalidInput: *after* is no cursor (``invalid_input``).
    """
    wallet = wallet_of(customer_id)
    try:
        page = await page_history(connection, book_id, Asked(wallet, below=True), Turn(after=after, limit=limit))
    except UnknownAccount:
        return WalletHistory([], None)
    rows = await _find_uses(connection, book_id, [one.transfer_id for one in page.items])
    uses = {row[0]: row[1:] for row in rows}
    return WalletHistory([_entry(one, f"{wallet}/", uses.get(one.transfer_id)) for one in page.items], page.next)


def _entry(one: PostedTransfer, wallet: str, use: Sequence[Any] | None) -> WalletEntry:
    came = one.credit.startswith(wallet)
    code = one.credit if came else one.debit
    _, invoice, line, quantity = use or (None, None, None, None)
    return WalletEntry(
        transfer_id=one.transfer_id,
        grant=uuid.UUID(code.removeprefix(wallet)),
        asset=one.asset,
        amount=one.amount if came else -one.amount,
        reason=one.reason,
        at=one.recorded_at,
        invoice=invoice,
        line=line,
        quantity=None if quantity is None else plain(quantity),
    )


async def uses_of_invoices(
    connection: Connection, book_id: int, invoice_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[CreditUse]]:
    """Return what each of the invoices took of grants, in the order in which it was spent."""
    uses: dict[uuid.UUID, list[CreditUse]] = {}
    for invoice, grant, asset, line, amount, quantity, transfer in await _uses_of_invoices(
        connection, book_id, list(invoice_ids)
    ):
        uses.setdefault(invoice, []).append(
            CreditUse(
                grant,
                asset,
                amount,
                line,
                None if quantity is None else plain(quantity),
                transfer,
            )
        )
    return uses


async def page_low(
    connection: Connection, book_id: int, customer_id: int | None, after: str, limit: int
) -> WalletLowPage:  # fmt: skip
    """
    Return a page of the times that wallets fell below their thresholds, of one customer's if given.

    Raises:
        InvalidInput: *after* is no cursor (``invalid_input``).
    """
    rows = await _page_low(connection, book_id, customer_id, *_read_cursor(after), limit + 1)
    items = [WalletLow(*row[4:]) for row in rows[:limit]]
    return WalletLowPage(items, ".".join(map(str, rows[limit - 1][:4])) if len(rows) > limit else None)


_CURSOR_PARTS = 4


def _read_cursor(after: str) -> list[int]:
    if not after:
        return [-1] * _CURSOR_PARTS
    parts = after.split(".")
    if len(parts) != _CURSOR_PARTS or not all(part.isascii() and part.isdecimal() for part in parts):
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    numbers = [int(part) for part in parts]
    if max(numbers[0], numbers[2]) >= 2**63 or max(numbers[1], numbers[3]) >= 2**31:
        raise InvalidInput(field="after", rule="a cursor is what `next` of the page before gave")
    return numbers


def _grant(row: Sequence[Any]) -> Grant:
    (grant_id, customer, asset, amount, balance, priority, kind, expires_at, products, charges, meters, granted_at,
     customer_id, ended) = row  # fmt: skip
    return Grant(
        id=grant_id,
        customer=customer,
        asset=asset,
        amount=amount,
        balance=int(balance),
        priority=priority,
        kind=kind,
        expires_at=expires_at,
        products=products,
        charges=charges,
        meters=meters,
        granted_at=granted_at,
        account=account_of(customer_id, grant_id),
        status=ended or "active",
    )
