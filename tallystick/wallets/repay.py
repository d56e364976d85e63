"""Repay: prepaid credit pays invoices after their issue, because its customer says so."""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.model import Reason
from tallystick.ledger.post import Ledger
from tallystick.wallets.model import Draw
from tallystick.wallets.move import Move, move

_queries = queries_beside(__file__)
_insert_uses = _queries.run("insert_uses")
_end_used = _queries.run("end_used")


class DrawFor(NamedTuple):
    """What is taken of a grant for an invoice."""

    draw: Draw
    invoice_id: uuid.UUID
    account_id: int
    """What is owed is its balance."""
    transfer_id: uuid.UUID


async def repay(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    draws: Sequence[DrawFor],
) -> None:
    """
    Post what grants pay, as the transaction's one batch, and keep which pays which; who is used up ends.

    Raises:
        GroupFailed: an account is closed (``ledger.group_failed``).
        OrderLost: another transaction took of the same grants meanwhile.
    """
    moves = [Move(one.draw.grant, one.draw.amount, one.account_id, one.transfer_id, Reason.CREDIT_USE) for one in draws]
    await move(connection, ledger, recorded, message_hashes, moves)
    count = len(draws)
    await _insert_uses(
        connection,
        recorded.book_id,
        recorded.message_place,
        recorded.at,
        [one.transfer_id for one in draws],
        [one.draw.grant.grant_id for one in draws],
        [one.invoice_id for one in draws],
        [None] * count,
        [one.draw.amount for one in draws],
        [None] * count,
    )
    grants = sorted({one.draw.grant.grant_id for one in draws})
    await _end_used(connection, recorded.book_id, recorded.message_place, recorded.at, grants)
