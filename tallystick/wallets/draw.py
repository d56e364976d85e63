"""Draw: the grants that a chunk of customers has left, and the taking of them by invoices, each once."""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.ledger.accounts import NewAccount, Recorded, open_accounts
from tallystick.ledger.model import Reason, Transfers
from tallystick.ledger.post import MAX_BATCH, Ledger
from tallystick.wallets.allocate import Wallets
from tallystick.wallets.model import Draw, GrantLeft, Unit, UnitDraw, use_transfer, used_account
from tallystick.wallets.move import Move, move

_queries = queries_beside(__file__)
_enter_to_spend = _queries.run("enter_to_spend")
_enter_to_grant = _queries.run("enter_to_grant")
_any_units_used = _queries.value("any_units_used")
_is_alone = _queries.value("is_alone")
_watch_expiry_again = _queries.run("watch_expiry_again")
_any_grants = _queries.value("any_grants")
_read_place = _queries.value("read_place")
_find_grants_left = _queries.tuples("find_grants_left")
_list_units = _queries.rows("list_units", Unit)
_insert_uses = _queries.run("insert_uses")
_end_used = _queries.run("end_used")

MOST_GRANTS = 1_000
"""So many grants of a customer are looked at, those to be spent first; the others come when these are spent."""
MOST_DRAWS = MAX_BATCH
"""So many draws fit into one transaction."""


class PaidInvoice(NamedTuple):
    """What pays an invoice at its issue."""

    invoice_id: uuid.UUID
    account_id: int
    """What is owed is its balance."""
    draws: Sequence[Draw]


class CoveredLine(NamedTuple):
    """What covers units of a line that was drafted, or what such a line gives back."""

    invoice_id: uuid.UUID
    position: int
    draws: Sequence[UnitDraw]


async def enter_to_spend(connection: Connection, book_id: int) -> None:
    """
    Let nobody grant anything until the transaction ends.

    To be called before the transaction takes its place in the order: else whoever granted meanwhile would have a later
    one, and it would have to be run again.
    """
    await _enter_to_spend(connection, book_id)


async def enter_to_cover(connection: Connection, book_id: int) -> None:
    """
    Enter to spend, and where units may be given back let nobody else spend until the transaction ends.

    What is left of a grant only becomes less while others spend of it; else the order would not tell what each had seen.
    """
    if await _any_units_used(connection, book_id):
        await _enter_to_grant(connection, book_id)
    else:
        await _enter_to_spend(connection, book_id)


async def find_wallets(
    connection: Connection, recorded: Recorded, customer_ids: Sequence[int], *, units: bool = False
) -> Wallets:
    """
    Return what the customers have left to spend; with *units*, on meters.

    The transaction must have entered. Nothing is there of what is ordered later, and nothing that has expired by now.
    A book without grants costs one short question.
    """
    if not customer_ids or not await _any_grants(connection, recorded.book_id):
        return Wallets({})
    by_meter: dict[str, list[Unit]] = {}
    if units:
        for unit in await _list_units(connection, recorded.book_id):
            by_meter.setdefault(unit.meter, []).append(unit)
        if not by_meter:
            return Wallets({})
    grants = await _find_left(connection, recorded.book_id, customer_ids, recorded.at)
    return Wallets(grants, by_meter)


async def _find_left(
    connection: Connection, book_id: int, customer_ids: Sequence[int], at: dt.datetime
) -> Mapping[int, Sequence[GrantLeft]]:
    place = await _read_place(connection)
    rows = await _find_grants_left(connection, book_id, list(customer_ids), at, place, MOST_GRANTS)
    left = [grant_left(row) for row in rows if row[4] > 0]
    return {customer_id: list(own) for customer_id, own in groupby(left, key=lambda one: one.customer_id)}


def grant_left(row: Sequence[Any]) -> GrantLeft:
    """Make what is left of a grant of its row."""
    grant_id, customer_id, asset_id, account_id, left, products, charges, meters = row[:8]
    sets = (None if one is None else frozenset(one) for one in (products, charges, meters))
    return GrantLeft(grant_id, customer_id, asset_id, account_id, left, *sets)


def how_many_fit(counts: Iterable[int], most: int = MOST_DRAWS) -> int:
    """Count how many of *counts*, from the first on, add up to at most *most*; the first always fits."""
    total = place = 0
    for place, count in enumerate(counts, 1):
        total += count
        if total > most and place > 1:
            return place - 1
    return place


async def pay_invoices(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    issuing: Transfers,
    paid: Sequence[PaidInvoice],
) -> None:
    """
    Post the transfers that issue invoices and those that pay them from grants, and keep which pays which.

    Raises:
        GroupFailed: an account is closed (``ledger.group_failed``).
        OrderLost: another transaction took of the same grants meanwhile.
    """
    moves = [
        Move(draw.grant, draw.amount, one.account_id, use_transfer(draw.grant.grant_id, one.invoice_id, None),
             Reason.CREDIT_USE)
        for one in paid for draw in one.draws
    ]  # fmt: skip
    await move(connection, ledger, recorded, message_hashes, moves, issuing)
    uses = [(draw.grant.grant_id, one.invoice_id, None, draw.amount, None) for one in paid for draw in one.draws]
    await _keep_uses(connection, recorded, moves, uses)


async def cover_lines(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    covered: Sequence[CoveredLine],
) -> None:
    """
    Take the units that cover lines, which are drafted in this transaction, and keep which cover which.

    What is given back comes first, so that a line may draw what another one gives back.

    Raises:
        OrderLost: another transaction took of the same grants meanwhile.
    """
    if not any(one.draws for one in covered):
        return
    draws = [(one, draw) for one in covered for draw in one.draws]
    draws.sort(key=lambda of: of[1].amount > 0)
    given_back = sorted({draw.grant.grant_id for _, draw in draws if draw.amount < 0})
    if given_back and not await _is_alone(connection, recorded.book_id):
        raise OrderLost  # the first units were used since it entered: run again, it lets nobody in beside it
    assets = sorted({draw.asset for _, draw in draws})
    opened = await open_accounts(connection, recorded, [NewAccount(used_account(asset), asset) for asset in assets])
    used = {account.asset: account.account_id for account in opened}
    moves = [
        Move(draw.grant, draw.amount, used[draw.asset],
             use_transfer(draw.grant.grant_id, one.invoice_id, one.position),
             Reason.CREDIT_USE if draw.amount > 0 else Reason.CREDIT_RETURN)
        for one, draw in draws
    ]  # fmt: skip
    await move(connection, ledger, recorded, message_hashes, moves)
    if given_back:
        await _watch_expiry_again(connection, recorded.book_id, given_back)
    uses = [(draw.grant.grant_id, one.invoice_id, one.position, draw.amount, draw.quantity) for one, draw in draws]
    await _keep_uses(connection, recorded, moves, uses)


async def _keep_uses(
    connection: Connection,
    recorded: Recorded,
    moves: Sequence[Move],
    uses: Sequence[tuple[uuid.UUID, uuid.UUID, int | None, int, Decimal | None]],
) -> None:
    if not uses:
        return
    columns = [list(column) for column in zip(*uses, strict=True)]
    ids = [one.transfer_id for one in moves]
    await _insert_uses(connection, recorded.book_id, recorded.message_place, recorded.at, ids, *columns)
    grants = sorted({one.grant.grant_id for one in moves})
    await _end_used(connection, recorded.book_id, recorded.message_place, recorded.at, grants)
