"""Ask for late fees: each becomes an invoice of its own, once, as any product asks for one."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.collecting.dunning.errors import UnknownReminder
from tallystick.collecting.dunning.model import AskedFee, AskedFees
from tallystick.collecting.dunning.remind import FeeKey
from tallystick.db.queries import Connection, queries_beside
from tallystick.errors import TallystickError
from tallystick.invoicing.model import printed_number
from tallystick.invoicing.requesting.model import InvoiceWanted, LineWanted, RequestedInvoice
from tallystick.invoicing.requesting.request import request_invoices
from tallystick.ledger.accounts import Recorded
from tallystick.ledger.books import Book

_queries = queries_beside(__file__)
_find_fees = _queries.tuples("find_fees")
_end_fees = _queries.run("end_fees")


class _Terms(msgspec.Struct, frozen=True):
    """How a fee is asked for."""

    product: str
    terms_days: int
    tax_category: str | None


class _Fee(NamedTuple):
    """A fee, and what its invoice says of it."""

    key: FeeKey
    customer: str
    asset: str
    amount: int
    days: int | None
    terms: _Terms
    number: str


def fee_reference(key: FeeKey) -> str:
    """Return the reference under which a fee is asked for: there can be only one of an invoice and level."""
    return f"late-fee/{key[0]}/{key[1]}"


async def ask_fees(
    connection: Connection,
    book: Book,
    recorded: Recorded,
    message_hashes: npt.NDArray[np.void],
    keys: Sequence[FeeKey],
) -> AskedFees:
    """
    Ask for the fees of reminders, each for itself: one that cannot be is told, and the others are made.

    Raises:
        UnknownReminder: there is no such reminder with a fee (``dunning.unknown_reminder``).
        OrderLost: another transaction took of the same credits meanwhile.
    """
    rows = await _find_fees(connection, recorded.book_id, [key[0] for key in keys], [key[1] for key in keys])
    fees = {one.key: one for one in map(_read, rows)}
    for at, key in enumerate(keys):
        if key not in fees:
            raise UnknownReminder(field=f"fees[{at}]", invoice=key[0], level=key[1])
    wanted = [_wanted(fees[key]) for key in keys]
    outcomes = await request_invoices(connection, book, recorded, message_hashes, wanted)
    done = [key for key, one in zip(keys, outcomes, strict=True) if isinstance(one, RequestedInvoice)]
    await _end_fees(connection, recorded.book_id, [key[0] for key in done], [key[1] for key in done])
    return AskedFees([_asked(fees[key], one) for key, one in zip(keys, outcomes, strict=True)])


def _read(row: tuple[Any, ...]) -> _Fee:
    invoice_id, level, customer, asset, amount, days, terms, series, number = row
    return _Fee(
        (invoice_id, level), customer, asset, amount, days, msgspec.json.decode(terms, type=_Terms),
        printed_number(series, number),
    )  # fmt: skip


def _wanted(fee: _Fee) -> InvoiceWanted:
    counted = "" if fee.days is None else f", {fee.days} days"
    line = LineWanted(
        f"Late fee: {fee.number}, reminder {fee.key[1]}{counted}", Decimal(1), None, fee.amount, fee.terms.tax_category, None
    )  # fmt: skip
    return InvoiceWanted(
        product=fee.terms.product,
        reference=fee_reference(fee.key),
        customer=fee.customer,
        asset=fee.asset,
        lines=[line],
        due_on=None,
        terms_days=fee.terms.terms_days,
        zone="UTC",
        issue=True,
        memo=None,
        cost_rank=None,
        series=None,
    )


def _asked(fee: _Fee, outcome: RequestedInvoice | TallystickError) -> AskedFee:
    if isinstance(outcome, TallystickError):
        return AskedFee(
            *fee.key, fee.customer, None, fee.asset, fee.amount, code=outcome.code, message=outcome.message
        )  # fmt: skip
    return AskedFee(*fee.key, fee.customer, outcome.id, fee.asset, fee.amount, known=outcome.known)
