"""Post what one fact of an invoice moves, all or nothing."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection
from tallystick.db.retry import OrderLost
from tallystick.ids import id_of_content
from tallystick.invoicing.pair import Pairing
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.errors import GroupFailed
from tallystick.ledger.model import Batch, Reason, Status, transfers
from tallystick.ledger.post import Ledger, post


async def post_fact(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    moves: Sequence[Pairing],
    why: tuple[Reason, Sequence[str], int],
) -> None:
    """
    Post *moves* for a reason, with transfer ids that are derived from it and from what tells this fact from others.

    The third of *why* is the account of what is owed: where it bears less than was read of it, somebody was first.

    Raises:
        GroupFailed: an account is closed or bears no more (``ledger.group_failed``).
        OrderLost: less is owed by now; run the transaction again.
    """
    if not moves:
        return
    reason, parts, receivable = why
    batch = transfers(len(moves))
    batch["transfer_id"] = [
        id_of_content((reason.name.lower(), *parts, str(place))).bytes for place in range(len(moves))
    ]
    batch["debit_account_id"] = [one.debit for one in moves]
    batch["credit_account_id"] = [one.credit for one in moves]
    batch["amount"] = [one.amount for one in moves]
    batch["message_place"] = recorded.message_place
    batch["reason"] = reason
    outcomes = await post(connection, ledger, Batch(batch), recorded, message_hashes)
    for item, (number, move) in enumerate(zip(outcomes.statuses.tolist(), moves, strict=True)):
        status = Status(number)
        if status is Status.LIMIT_EXCEEDED and move.credit == receivable:
            raise OrderLost
        if not status.done:
            raise GroupFailed(field=f"transfers[{item}]", item=item, status=status.code)
