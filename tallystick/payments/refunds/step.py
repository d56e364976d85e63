"""The steps of a refund, each appended at most once: how the provider says it stands."""

import uuid
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ids import id_of_content
from tallystick.invoicing.life.note_states import note_states
from tallystick.invoicing.life.unallocated_account import open_unallocated
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.errors import GroupFailed
from tallystick.ledger.model import Reason
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import Place
from tallystick.notify.tell import tell
from tallystick.payments.enter import lock_payments
from tallystick.payments.errors import AccountsUnusable
from tallystick.payments.refunds.accounts import clearing_account, open_unlimited, refunds_account
from tallystick.payments.refunds.errors import RefundEnded, UnknownRefund
from tallystick.payments.refunds.find import find_refund
from tallystick.payments.refunds.model import Refund, RefundStanding
from tallystick.payments.refunds.told import told_of
from tallystick.repayments.dues import enter_to_repay, lock_and_read
from tallystick.repayments.receive import Row, post_rows

_queries = queries_beside(__file__)
_payment_of_refund = _queries.value("payment_of_refund")
_find_source = _queries.tuples("find_source")
_insert_step = _queries.run("insert_step")


@dataclass(frozen=True, slots=True)
class Heard:
    """How the provider says that a refund stands."""

    standing: RefundStanding
    provider_id: str | None
    """None where it never made one."""
    failure: str | None = None
    """Why it failed."""


@dataclass(frozen=True, slots=True)
class _Posting:
    """What carries a step into the ledger."""

    connection: Connection
    ledger: Ledger
    recorded: Recorded
    message_hashes: npt.NDArray[np.void]
    place: Place


async def note_refund(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    refund_id: uuid.UUID,
    heard: Heard,
) -> Refund:
    """
    Note how a refund stands, and move its money: to the provider when it succeeded, back to where it was when it failed.

    What is noted already, or stands before what is noted, changes nothing: what is heard may be late.

    Raises:
        UnknownRefund: there is none (``refunds.unknown_refund``).
        RefundEnded: it failed, and is said to have succeeded (``refunds.ended``).
        AccountsUnusable: an account is closed or limited; tried again, it may not be (``payments.accounts_unusable``).
    """
    payment_id = await _payment_of_refund(connection, recorded.book_id, refund_id)
    if payment_id is None:
        raise UnknownRefund(field="refund_id", refund=refund_id)
    await lock_payments(connection, recorded.book_id, [payment_id])
    posting = _Posting(connection, ledger, recorded, message_hashes, await enter_to_repay(connection, recorded.book_id))
    refund = await find_refund(connection, recorded.book_id, refund_id)
    stands = RefundStanding(refund.status)
    if not stands.may_become(heard.standing):
        if stands is RefundStanding.FAILED and heard.standing is RefundStanding.SUCCEEDED:
            raise RefundEnded(field="refund_id", status=stands.value, said=heard.standing.value)
        return refund
    moved = await _move(posting, refund, heard.standing)
    await _insert_step(
        connection, recorded.book_id, refund_id, heard.standing.value, heard.provider_id or refund.provider_refund_id,
        heard.failure, moved, recorded.message_place, recorded.at,
    )  # fmt: skip
    noted = await find_refund(connection, recorded.book_id, refund_id)
    if heard.standing is not RefundStanding.PENDING:
        await tell(connection, recorded, [told_of(noted)])
    return noted


async def _move(posting: _Posting, refund: Refund, standing: RefundStanding) -> list[uuid.UUID]:
    """Post what a step moves, and return the ids of the transfers."""
    if standing is RefundStanding.PENDING:
        return []
    codes = refunds_account(refund.provider, refund.asset), clearing_account(refund.provider, refund.asset)
    waiting, clearing = await open_unlimited(posting.connection, posting.recorded, refund.asset, *codes)
    if standing is RefundStanding.SUCCEEDED:
        rows: list[Row] = [(_transfer_id("settle", refund), waiting, clearing, refund.amount, Reason.REFUND_SETTLE)]
    else:
        came_back = RefundStanding(refund.status) is RefundStanding.SUCCEEDED
        rows = await _release(posting, refund, clearing if came_back else waiting)
    try:
        await post_rows(posting.connection, posting.ledger, posting.recorded, posting.message_hashes, rows)
    except GroupFailed as failed:
        raise AccountsUnusable(account=", ".join(codes) + ", or the one that the money goes back to,") from failed
    if standing is RefundStanding.FAILED and refund.take_from == "invoice":
        await note_states(posting.connection, posting.recorded, [refund.invoice_id])
    return [row[0] for row in rows]


async def _release(posting: _Posting, refund: Refund, debited: int) -> list[Row]:
    """
    Say where the money of a refund that failed goes: back to where it was taken from.

    Where its invoice was paid otherwise meanwhile, the customer has what does not fit there.
    """
    ((source, receivable),) = await _find_source(posting.connection, posting.recorded.book_id, refund.refund_id)
    if source != receivable:
        return [(_transfer_id("release", refund), debited, source, refund.amount, Reason.REFUND_RELEASE)]
    wanted = [(refund.customer, refund.asset)]
    (unallocated,) = await open_unallocated(posting.connection, posting.recorded, wanted)
    balances = await lock_and_read(posting.connection, posting.ledger, posting.place, [receivable], [unallocated])
    fits = min(balances.outstanding(receivable), refund.amount)
    parts = [("release", receivable, fits), ("rest", unallocated, refund.amount - fits)]
    return [
        (_transfer_id(what, refund), debited, account, amount, Reason.REFUND_RELEASE)
        for what, account, amount in parts
        if amount
    ]


def _transfer_id(what: str, refund: Refund) -> uuid.UUID:
    return id_of_content((f"refund.{what}", str(refund.refund_id)))
