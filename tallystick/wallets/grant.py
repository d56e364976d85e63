"""Grant: give a customer credit, on a ledger account of its own that can never be overdrawn."""

import datetime as dt
import uuid
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import InvalidInput
from tallystick.ledger.accounts import NewAccount, Recorded, find_asset, open_accounts
from tallystick.ledger.model import Batch, Reason, transfers
from tallystick.ledger.post import Ledger, post
from tallystick.wallets.bind_unit import require_bound
from tallystick.wallets.errors import GrantExists, UnknownCustomer
from tallystick.wallets.find import find_grants
from tallystick.wallets.model import Grant, GrantKind, account_of, funding_account, grant_transfer

_queries = queries_beside(__file__)
_enter_to_grant = _queries.run("enter_to_grant")
_make_customer = _queries.run("make_customer")
_find_customer = _queries.value("find_customer")
_insert_grant = _queries.run("insert_grant")
_insert_expiry = _queries.run("insert_expiry")

_SAID = ("customer", "asset", "amount", "priority", "kind", "expires_at", "products", "charges", "meters")


@dataclass(frozen=True, slots=True)
class NewGrant:
    """Credit to be given."""

    id: uuid.UUID
    customer: str
    asset: str
    amount: int
    priority: int
    kind: GrantKind
    expires_at: dt.datetime | None
    products: list[str] | None
    charges: list[str] | None
    meters: list[str] | None


async def grant(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    wanted: NewGrant,
) -> Grant:
    """
    Give credit, or find it given with the same content.

    The customer is made if new, since credit is paid in advance. Whoever spends is let finish first, before this transaction
    takes its place in the order.

    Raises:
        InvalidInput: it expires in the past (``invalid_input``).
        UnknownAsset: the asset is not in the book (``ledger.unknown_asset``).
        MeterNotBound: the asset pays for none of such a meter (``wallets.meter_not_bound``).
        GrantExists: the id is another grant's (``wallets.grant_exists``).
    """
    await _enter_to_grant(connection, recorded.book_id)
    if there := await find_grants(connection, recorded.book_id, [wanted.id]):
        _require_same(wanted, there[0])
        return there[0]
    if wanted.expires_at is not None and wanted.expires_at <= recorded.at:
        raise InvalidInput(field="expires_at", rule="A grant expires after the present moment")
    asset = await find_asset(connection, recorded.book_id, wanted.asset)
    await _make_customer(connection, recorded.book_id, wanted.customer, recorded.message_place, recorded.at)
    customer_id = await require_customer(connection, recorded.book_id, wanted.customer)
    if wanted.meters is not None:
        await require_bound(connection, recorded.book_id, asset.asset_id, asset.code, wanted.meters)
    account_id = await _fund(connection, ledger, recorded, message_hashes, wanted, customer_id, asset.asset_id)
    await _insert_grant(
        connection, recorded.book_id, wanted.id, customer_id, asset.asset_id, wanted.amount, wanted.priority,
        wanted.kind, wanted.expires_at, wanted.products, wanted.charges, wanted.meters, account_id,
        grant_transfer(wanted.id), recorded.message_place, recorded.at,
    )  # fmt: skip
    if wanted.expires_at is not None:
        await _insert_expiry(connection, recorded.book_id, wanted.expires_at, wanted.id)
    return (await find_grants(connection, recorded.book_id, [wanted.id]))[0]


async def require_customer(connection: Connection, book_id: int, ref: str) -> int:
    """
    Return the number of a customer.

    Raises:
        UnknownCustomer: the customer is not known (``wallets.unknown_customer``).
    """
    customer_id: int | None = await _find_customer(connection, book_id, ref)
    if customer_id is None:
        raise UnknownCustomer(field="customer", customer=ref)
    return customer_id


async def _fund(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    wanted: NewGrant,
    customer_id: int,
    asset_id: int,
) -> int:
    """Open the grant's account, which is never overdrawn, fill it, and return it."""
    own, funding = await open_accounts(
        connection,
        recorded,
        [
            NewAccount(account_of(customer_id, wanted.id), wanted.asset, min_balance=0),
            NewAccount(funding_account(wanted.kind, wanted.asset), wanted.asset),
        ],
    )
    batch = transfers(1)
    batch["transfer_id"] = grant_transfer(wanted.id).bytes
    batch["debit_account_id"], batch["credit_account_id"] = funding.account_id, own.account_id
    batch["amount"], batch["asset_id"] = wanted.amount, asset_id
    batch["message_place"], batch["reason"] = recorded.message_place, Reason.CREDIT_GRANT
    await post(connection, ledger, Batch(batch), recorded, message_hashes, group=True)
    return own.account_id


def _require_same(wanted: NewGrant, found: Grant) -> None:
    for name in _SAID:
        if getattr(wanted, name) != getattr(found, name):
            raise GrantExists(field=name, grant=wanted.id, differs=name)
