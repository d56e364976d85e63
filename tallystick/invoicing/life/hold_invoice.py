"""Hold an invoice: what is decided by how it stands stays right by the order of transactions."""

import uuid

from tallystick.db.queries import Connection
from tallystick.db.retry import OrderLost
from tallystick.invoicing.life.find_header import Header, find_header
from tallystick.ledger.post import Ledger
from tallystick.ledger.read_in_order import read_in_order, take_place


async def hold_invoice(connection: Connection, ledger: Ledger, invoice_id: uuid.UUID) -> Header:
    """
    Return the head of an invoice as it stands at the transaction's place in the order; nobody moves what is owed meanwhile.

    Of a draft nobody owes anything: it is returned as it is.

    Raises:
        UnknownInvoice: there is none (``invoicing.unknown_invoice``).
        OrderLost: a transaction that is ordered later moved it already; run this one again, under a later place.
    """
    place = await take_place(connection)
    head = await find_header(connection, ledger.book_id, invoice_id)
    if head.account_id is None:
        return head
    before = await read_in_order(connection, ledger, place, [head.account_id])
    if before.raised_later or before.lowered_later:
        raise OrderLost
    return await find_header(connection, ledger.book_id, invoice_id)
