"""Move: what is taken of grants goes through the ledger, and a wallet that falls below its threshold is noticed."""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.errors import GroupFailed
from tallystick.ledger.model import Batch, Reason, Status, Transfers, transfers
from tallystick.ledger.post import Ledger, post
from tallystick.notify.tell import Told, tell
from tallystick.wallets.model import GrantLeft

_queries = queries_beside(__file__)
_find_watched = _queries.tuples("find_watched")
_lock_watched = _queries.run("lock_watched")
_sum_watched = _queries.tuples("sum_watched")
_insert_low = _queries.run("insert_low")
_name_wallet = _queries.tuples("name_wallet")

_Wallet = tuple[int, int]
"""A customer and an asset."""


@dataclass(frozen=True, slots=True)
class Move:
    """An amount of a grant that goes to another account; below zero, it comes back from there."""

    grant: GrantLeft
    amount: int
    to_account: int
    transfer_id: uuid.UUID
    reason: Reason


async def move(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    moves: Sequence[Move],
    first: Transfers | None = None,
) -> None:
    """
    Post *moves* behind the transfers *first*, all or none, as the transaction's one batch.

    What is left of each grant was read before its account was locked. It only becomes less, and the ledger judges what
    is taken: so where it was not enough the transaction is run again, and where it was, the same would be taken now.

    Raises:
        GroupFailed: an account is closed, or one of *first* failed (``ledger.group_failed``).
        OrderLost: another transaction took of the same grants meanwhile.
    """
    watched = await _watch(connection, recorded.book_id, moves)
    before = 0 if first is None else len(first)
    rows = _rows(recorded, moves) if first is None else np.concatenate([first, _rows(recorded, moves)])
    if len(rows):
        outcomes = await post(connection, ledger, Batch(rows), recorded, message_hashes)
        _require_all(outcomes.statuses.tolist(), before)
    await _notice(connection, recorded, watched, _sums(moves))


def _rows(recorded: Recorded, moves: Sequence[Move]) -> Transfers:
    batch = transfers(len(moves))
    if moves:
        batch["transfer_id"] = [one.transfer_id.bytes for one in moves]
        batch["debit_account_id"] = [one.grant.account_id if one.amount > 0 else one.to_account for one in moves]
        batch["credit_account_id"] = [one.to_account if one.amount > 0 else one.grant.account_id for one in moves]
        batch["amount"] = [abs(one.amount) for one in moves]
        batch["asset_id"] = [one.grant.asset_id for one in moves]
        batch["message_place"] = recorded.message_place
        batch["reason"] = [one.reason for one in moves]
    return batch


def _require_all(statuses: Sequence[int], before: int) -> None:
    """Find that all were posted; that a grant has less than was read of it is told by running again."""
    failed = [(item, Status(status)) for item, status in enumerate(statuses) if not Status(status).done]
    for item, status in failed:
        if item < before or status is not Status.LIMIT_EXCEEDED:
            raise GroupFailed(field=f"transfers[{item}]", item=item, status=status.code)
    if failed:
        raise OrderLost


async def _watch(connection: Connection, book_id: int, moves: Sequence[Move]) -> dict[_Wallet, int]:
    """
    Return the thresholds of the wallets that are drawn on; who draws on such a wallet waits for whoever does so too.

    The accounts of two grants of one wallet are two, so without this neither would see what the other took.
    """
    wallets = sorted({(one.grant.customer_id, one.grant.asset_id) for one in moves})
    if not wallets:
        return {}
    rows = await _find_watched(connection, book_id, *_columns(wallets))
    watched: dict[_Wallet, int] = {(customer_id, asset_id): threshold for customer_id, asset_id, threshold in rows}
    if watched:
        await _lock_watched(connection, book_id, *_columns(list(watched)))
    return watched


async def _notice(
    connection: Connection, recorded: Recorded, watched: dict[_Wallet, int], taken: dict[_Wallet, int]
) -> None:
    """
    Append that a wallet fell below its threshold, where this transaction made it do so.

    Raises:
        OrderLost: a transaction that is ordered later drew on it first, without seeing this one.
    """
    if not watched:
        return
    sums = await _sum_watched(connection, recorded.book_id, *_columns(list(watched)))
    for (wallet, threshold), (balance, whole) in zip(watched.items(), sums, strict=True):
        if balance != whole:
            raise OrderLost
        if balance < threshold <= balance + taken[wallet]:
            await _insert_low(
                connection, recorded.book_id, *wallet, threshold, balance, recorded.message_place, recorded.at
            )
            await _tell_low(connection, recorded, wallet, threshold, balance)


async def _tell_low(connection: Connection, recorded: Recorded, wallet: _Wallet, threshold: int, balance: int) -> None:
    [(customer, asset)] = await _name_wallet(connection, recorded.book_id, *wallet)
    data: dict[str, object] = {"customer": customer, "asset": asset, "balance": balance, "threshold": threshold}
    await tell(connection, recorded, [Told("balance.low", f"customer/{customer}", data)])


def _sums(moves: Sequence[Move]) -> dict[_Wallet, int]:
    taken: Counter[_Wallet] = Counter()
    for one in moves:
        taken[one.grant.customer_id, one.grant.asset_id] += one.amount
    return taken


def _columns(wallets: Sequence[_Wallet]) -> tuple[list[int], list[int]]:
    return [customer_id for customer_id, _ in wallets], [asset_id for _, asset_id in wallets]
