"""End an invoice without payment: void what should not have been asked for, write off what will not be paid."""

import uuid
from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.db.queries import Connection, queries_beside
from tallystick.db.retry import OrderLost
from tallystick.invoicing.find import InvoiceNotIssued
from tallystick.invoicing.life.enter_to_decide import enter_to_decide
from tallystick.invoicing.life.errors import DraftOfPeriod, InvoiceEnded, NothingOutstanding, SomethingPaid
from tallystick.invoicing.life.find_header import Header, find_header
from tallystick.invoicing.life.hold_invoice import hold_invoice
from tallystick.invoicing.life.note_states import Noted, append_states, find_to_note
from tallystick.invoicing.life.post_fact import post_fact
from tallystick.invoicing.model import InvoiceStatus, NotedState, NumberKind
from tallystick.invoicing.number import find_series, lock_series
from tallystick.invoicing.pair import Pairing, pair, split_sides
from tallystick.invoicing.postings import find_postings
from tallystick.ledger.accounts import NewAccount, Recorded, open_accounts
from tallystick.ledger.model import Reason
from tallystick.ledger.post import Ledger
from tallystick.ledger.resolve import resolve_accounts
from tallystick.notify.tell import Told, tell

_queries = queries_beside(__file__)
_void_draft = _queries.run("void_draft")
_enter_to_stop_issuing = _queries.run("enter_to_stop_issuing")
_has_uses = _queries.value("has_uses")


class Ended(msgspec.Struct, frozen=True):
    """An invoice that nobody owes any more."""

    id: uuid.UUID
    number: str | None
    """Null of a draft that never had one."""
    status: InvoiceStatus
    amount: int
    """What was given up, in minor units of *asset*."""
    asset: str


def write_off_account(product: str, asset: str) -> str:
    """Return the code of the account that bears what a product's customers do not pay."""
    return f"expenses/write-off/{product}/{asset}"


async def void(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    invoice_id: uuid.UUID,
    reason: str,
) -> Ended:
    """
    Void an invoice of which nothing is paid: its postings are taken back, its number stays given.

    A draft is void without a number, and never issued; what it bills of a period is not billed again. What is void already
    stays so.

    Raises:
        UnknownInvoice: there is none (``invoicing.unknown_invoice``).
        DraftOfPeriod: it is a draft that prepaid units are spent on (``invoicing.draft_of_period``).
        SomethingPaid: something of it is paid or credited (``invoicing.something_paid``).
        InvoiceEnded: it is written off (``invoicing.ended``).
        GroupFailed: an account that it credits is closed (``ledger.group_failed``).
        OrderLost: something was paid meanwhile.
    """
    head = await _hold_to_void(connection, ledger, invoice_id)
    if head.status is InvoiceStatus.VOID:
        return Ended(invoice_id, head.printed, head.status, head.total, head.asset)
    if head.account_id is None:
        if await _has_uses(connection, recorded.book_id, invoice_id):
            raise DraftOfPeriod(field="id", invoice=invoice_id)
        await _void_draft(connection, recorded.book_id, invoice_id, recorded.message_place, recorded.at, reason)
        await tell(connection, recorded, [_told_void(invoice_id, head, reason)])
        return Ended(invoice_id, None, InvoiceStatus.VOID, head.total, head.asset)
    if head.was_written_off:
        raise InvoiceEnded(field="id", invoice=invoice_id, status="written off")
    if head.settled or head.credited:
        raise SomethingPaid(field="id", invoice=invoice_id, settled=max(head.settled, head.credited))
    moves = await _taken_back(connection, ledger, invoice_id, head, head.account_id)
    why = (Reason.INVOICE_VOID, [str(invoice_id)], head.account_id)
    await post_fact(connection, ledger, recorded, message_hashes, moves, why)
    await _note(connection, recorded, invoice_id, NotedState.VOID, reason)
    return Ended(invoice_id, head.printed, InvoiceStatus.VOID, head.total, head.asset)


async def write_off(
    connection: Connection,
    ledger: Ledger,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    invoice_id: uuid.UUID,
    reason: str,
) -> Ended:
    """
    Give up what is outstanding on an invoice: it becomes an expense of the product.

    The customer's money that comes in later finds nothing due on it, so it stays on their unallocated account.

    Raises:
        UnknownInvoice: there is none (``invoicing.unknown_invoice``).
        InvoiceNotIssued: it is a draft (``invoicing.not_issued``).
        NothingOutstanding: nothing is owed of it (``invoicing.nothing_outstanding``).
        AccountExists: somebody opened the account of the expense otherwise (``ledger.account_exists``).
        GroupFailed: the account of the expense is closed (``ledger.group_failed``).
        OrderLost: what is outstanding has changed meanwhile.
    """
    await enter_to_decide(connection, ledger.book_id)
    head = await hold_invoice(connection, ledger, invoice_id)
    if head.account_id is None:
        raise InvoiceNotIssued(field="id", invoice=invoice_id)
    if not head.outstanding:
        raise NothingOutstanding(field="id", invoice=invoice_id)
    code = write_off_account(head.product, head.asset)
    (expense,) = await open_accounts(connection, recorded, [NewAccount(code, head.asset)])
    moves = [Pairing(expense.account_id, head.account_id, head.outstanding)]
    parts = str(invoice_id), str(head.settled)  # one that was opened again may be written off again
    why = (Reason.INVOICE_WRITE_OFF, parts, head.account_id)
    await post_fact(connection, ledger, recorded, message_hashes, moves, why)
    await _note(connection, recorded, invoice_id, NotedState.WRITTEN_OFF, reason)
    return Ended(invoice_id, head.printed, InvoiceStatus.WRITTEN_OFF, head.outstanding, head.asset)


async def _hold_to_void(connection: Connection, ledger: Ledger, invoice_id: uuid.UUID) -> Header:
    """Return the head of an invoice; nobody issues it, if it is a draft, or pays it until the transaction ends."""
    book_id = ledger.book_id
    await enter_to_decide(connection, book_id)
    head = await find_header(connection, book_id, invoice_id)
    if head.account_id is None and not head.requested:
        await _enter_to_stop_issuing(connection, book_id)  # under whichever series it is issued
    elif head.account_id is None:
        series = head.wanted_series or await find_series(connection, book_id, head.product, NumberKind.INVOICE)
        await lock_series(connection, book_id, NumberKind.INVOICE, [series])
    return await hold_invoice(connection, ledger, invoice_id)


async def _taken_back(
    connection: Connection, ledger: Ledger, invoice_id: uuid.UUID, head: Header, receivable: int
) -> list[Pairing]:
    """Return the postings of an invoice the other way round."""
    postings = (await find_postings(connection, ledger.book_id, [invoice_id]))[invoice_id]
    accounts = await resolve_accounts(connection, ledger, [code for code, _ in postings])
    amounts: Mapping[int, int] = {
        account: amount for account, (_, amount) in zip(accounts, postings, strict=True)
    }  # fmt: skip
    debited, credited = split_sides(amounts)
    return pair(credited, [*([(receivable, head.total)] if head.total else []), *debited])


async def _note(
    connection: Connection, recorded: Recorded, invoice_id: uuid.UUID, state: NotedState, reason: str
) -> None:
    """Append how it ended, which is behind its postings: nothing can be owed any more."""
    (one,) = await find_to_note(connection, recorded.book_id, [invoice_id])
    if one.outstanding:
        raise OrderLost
    await append_states(connection, recorded, [Noted(one, state, 0)], reason)


def _told_void(invoice_id: uuid.UUID, head: Header, reason: str) -> Told:
    said: dict[str, object] = {
        "invoice_id": invoice_id,
        "customer": head.customer,
        "product": head.product,
        "asset": head.asset,
        "total": head.total,
        "outstanding": 0,
        "reason": reason,
    }
    return Told("invoice.void", f"invoice/{invoice_id}", said)
