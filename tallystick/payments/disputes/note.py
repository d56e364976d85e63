"""Note a dispute: how the provider says it stands, each step once, with the money that it moves."""

import datetime as dt
import uuid
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.ids import id_of_content
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.errors import GroupFailed
from tallystick.ledger.model import Reason
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import take_place
from tallystick.notify.tell import tell
from tallystick.payments.disputes.errors import DisputeDecided, DisputeDiffers, DisputeTooEarly
from tallystick.payments.disputes.find import find_dispute, seek_dispute
from tallystick.payments.disputes.model import Dispute, DisputeStanding, dispute_id_of
from tallystick.payments.disputes.told import told_of
from tallystick.payments.enter import lock_payments
from tallystick.payments.errors import AccountsUnusable
from tallystick.payments.refunds.accounts import clearing_account, open_unlimited
from tallystick.repayments.dues import require_earlier
from tallystick.repayments.receive import Row, post_rows

_queries = queries_beside(__file__)
_find_payment_of = _queries.value("find_payment_of")
_find_disputed = _queries.tuples("find_disputed")
_insert_dispute = _queries.run("insert_dispute")
_insert_end = _queries.run("insert_end")


@dataclass(frozen=True, slots=True)
class Heard:
    """How the provider says that a dispute stands."""

    provider: str
    provider_dispute_id: str
    transaction_id: str
    """The provider's id of the transaction that it is about."""
    standing: DisputeStanding
    amount: int
    currency: str
    reason: str
    answer_by: dt.datetime | None

    @property
    def dispute_id(self) -> uuid.UUID:
        """Return the id of the dispute that it is."""
        return dispute_id_of(self.provider, self.provider_dispute_id)


def disputes_account(provider: str, asset: str) -> str:
    """Return the account of what a provider holds back until disputes are decided."""
    return f"disputes/{provider}/{asset}"


def losses_account(asset: str) -> str:
    """Return the account of what disputes have cost us."""
    return f"losses/disputes/{asset}"


async def find_payment_of(
    connection: Connection, book_id: int, provider: str, transaction_id: str
) -> uuid.UUID | None:  # fmt: skip
    """Return the payment that a provider's transaction is of, None where this book has none."""
    found: uuid.UUID | None = await _find_payment_of(connection, book_id, provider, transaction_id)
    return found


async def note_dispute(
    connection: Connection, ledger: Ledger, recorded: Recorded, message_hashes: npt.NDArray[np.void], heard: Heard
) -> Dispute:
    """
    Note how a dispute stands, and move its money; one that is decided when it is first heard of is opened and decided.

    What is noted already changes nothing, and a decided one that is said to be open was heard late.

    Raises:
        DisputeTooEarly: its payment is not settled in this book, or not known (``disputes.too_early``).
        DisputeDecided: it was decided otherwise (``disputes.decided``).
        DisputeDiffers: it is in another currency, about another transaction, or of another amount (``disputes.differs``).
        AccountsUnusable: an account is closed or limited; tried again, it may not be (``payments.accounts_unusable``).
    """
    payment_id = await find_payment_of(connection, recorded.book_id, heard.provider, heard.transaction_id)
    if payment_id is None:
        raise DisputeTooEarly(field="transaction_id")
    await lock_payments(connection, recorded.book_id, [payment_id])
    place = await take_place(connection)
    settled = await _find_disputed(connection, recorded.book_id, payment_id)
    if not settled:
        raise DisputeTooEarly(field="transaction_id")
    asset, ordered = settled[0]
    require_earlier(ordered, place)
    if heard.currency != asset:
        raise DisputeDiffers(field="currency", what="currency")
    known = await seek_dispute(connection, recorded.book_id, heard.dispute_id)
    steps = _next_steps(known, heard)
    if known is not None and not steps:
        return known
    rows = await _move(connection, recorded, heard, steps)
    try:
        await post_rows(connection, ledger, recorded, message_hashes, rows)
    except GroupFailed as failed:
        accounts = f"{disputes_account(heard.provider, asset)}, or one beside it,"
        raise AccountsUnusable(account=accounts) from failed
    return await _keep(connection, recorded, heard, payment_id, steps)


def _next_steps(known: Dispute | None, heard: Heard) -> list[DisputeStanding]:
    """Return what has come about since a dispute was noted last."""
    if known is None:
        return (
            [DisputeStanding.OPEN] if heard.standing is DisputeStanding.OPEN else [DisputeStanding.OPEN, heard.standing]
        )
    if known.transaction_id != heard.transaction_id:
        raise DisputeDiffers(field="transaction_id", what="transaction")
    stands = DisputeStanding(known.status)
    if heard.standing in {stands, DisputeStanding.OPEN}:
        return []
    if stands is not DisputeStanding.OPEN:
        raise DisputeDecided(field="status", status=stands.value, said=heard.standing.value)
    if known.amount != heard.amount:
        raise DisputeDiffers(field="amount", what="amount")
    return [heard.standing]


async def _move(
    connection: Connection, recorded: Recorded, heard: Heard, steps: list[DisputeStanding]
) -> list[Row]:  # fmt: skip
    """Return the transfers of steps."""
    asset = heard.currency
    codes = disputes_account(heard.provider, asset), clearing_account(heard.provider, asset), losses_account(asset)
    held, clearing, lost = await open_unlimited(connection, recorded, asset, *codes)
    recipes = {
        DisputeStanding.OPEN: (held, clearing, Reason.DISPUTE_OPEN),
        DisputeStanding.WON: (clearing, held, Reason.DISPUTE_WIN),
        DisputeStanding.LOST: (lost, held, Reason.DISPUTE_LOSE),
    }
    rows: list[Row] = []
    for step in steps:
        debit, credit, reason = recipes[step]
        rows.append((_transfer_id(heard, step), debit, credit, heard.amount, reason))
    return rows


async def _keep(
    connection: Connection, recorded: Recorded, heard: Heard, payment_id: uuid.UUID, steps: list[DisputeStanding]
) -> Dispute:
    """Append the steps, and tell them."""
    for step in steps:
        transfer_id = _transfer_id(heard, step)
        if step is DisputeStanding.OPEN:
            await _insert_dispute(
                connection, recorded.book_id, heard.dispute_id, payment_id, heard.provider_dispute_id, heard.amount,
                heard.reason, heard.answer_by, transfer_id, recorded.message_place, recorded.at,
            )  # fmt: skip
        else:
            await _insert_end(
                connection, recorded.book_id, heard.dispute_id, step.value, transfer_id, recorded.message_place,
                recorded.at,
            )  # fmt: skip
    noted = await find_dispute(connection, recorded.book_id, heard.dispute_id)
    await tell(connection, recorded, [told_of(noted, step) for step in steps])
    return noted


def _transfer_id(heard: Heard, step: DisputeStanding) -> uuid.UUID:
    return id_of_content((f"dispute.{step.value}", str(heard.dispute_id)))
