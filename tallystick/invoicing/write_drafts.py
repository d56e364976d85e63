"""Write drafts: invoices with their lines, each once, whatever made them."""

import datetime as dt
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from tallystick.db.copy import copy_in, framed
from tallystick.db.encode_field import instant, numeric, text
from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.tax import InvoiceTax, write_taxes
from tallystick.ledger.accounts import Recorded
from tallystick.periods import Period
from tallystick.wallets.model import UnitDraw

_queries = queries_beside(__file__)
_insert_invoices = _queries.values("insert_invoices")
_LINE = ("book_id", "invoice_id", "position", "product", "charge", "price_at", "meter", "period_start", "period_end",
         "events", "quantity", "amount", "detail", "adjusts_invoice", "adjusts_position")  # fmt: skip
_encode = msgspec.json.Encoder(decimal_format="string").encode

_Head = tuple[str, str, dt.datetime, str | None, Period]
"""What the lines of many invoices share: product, charge, version, meter, span."""
_FIELDS = len(_LINE).to_bytes(2, "big")
_INTEGER, _UUID = (4).to_bytes(4, "big"), (16).to_bytes(4, "big")
_EVENTS = struct.Struct(">iq")
_AMOUNT = struct.Struct(">iqib")
"""The amount, and before the text of the detail its length and the version that jsonb is sent with."""
_NEITHER = (-1).to_bytes(4, "big", signed=True) * 2


class DraftLine(msgspec.Struct, frozen=True, gc=False):
    """One line to be written."""

    charge: str
    price_at: dt.datetime
    """Which version of the charge: the instant it is in force from."""
    meter: str | None
    period: Period
    """The span whose usage it covers, or that it is due for."""
    events: int
    """How many usage events it covers; of an adjustment, how many more, or fewer, than before."""
    quantity: Decimal
    amount: int
    """In minor units; negative where an adjustment takes back."""
    detail: msgspec.Struct | Mapping[str, object]
    adjusts: tuple[uuid.UUID, int] | None = None
    """The invoice and the position of the line that this one corrects."""
    product: str | None = None
    """The plan whose charge it is, where that is another than the invoice's; None: the invoice's own product."""
    credits: Sequence[UnitDraw] = ()
    """What pays for a part of the quantity, which is not in the amount."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One invoice to be written."""

    invoice_id: uuid.UUID
    customer_id: int
    asset_id: int
    total: int
    """All lines, and the taxes that are not in them."""
    period: Period
    lines: Sequence[DraftLine]
    taxes: Sequence[InvoiceTax] = field(default=())


async def write_drafts(
    connection: Connection, recorded: Recorded, product: str, terms_days: int, through: int, drafts: Sequence[Draft]
) -> list[Draft]:
    """
    Write the drafts with lines and taxes, but for those that somebody has written meanwhile; return the new ones.

    They cover the usage recorded by transactions ordered below *through*.
    """
    if not drafts:
        return []
    new = await _insert_invoices(
        connection,
        recorded.book_id,
        [one.invoice_id for one in drafts],
        [one.customer_id for one in drafts],
        [one.asset_id for one in drafts],
        [one.total for one in drafts],
        product,
        [one.period.start_at for one in drafts],
        [one.period.end_at for one in drafts],
        terms_days,
        through,
        recorded.message_place,
        recorded.at,
    )
    there = set(new)
    written = list(drafts) if len(new) == len(drafts) else [one for one in drafts if one.invoice_id in there]
    await _write_lines(connection, recorded.book_id, product, written)
    await write_taxes(connection, recorded.book_id, [(one.invoice_id, one.taxes) for one in written if one.taxes])
    return written


async def _write_lines(connection: Connection, book_id: int, product: str, drafts: Sequence[Draft]) -> None:
    """Append the lines by COPY: a month has hundreds of thousands, and what many of them share is encoded once."""
    heads: dict[_Head, bytes] = {}
    rows: list[bytes] = []
    for one in drafts:
        invoice = b"".join((_FIELDS, _INTEGER, book_id.to_bytes(4, "big"), _UUID, one.invoice_id.bytes, _INTEGER))
        for position, line in enumerate(one.lines):
            head = (line.product or product, line.charge, line.price_at, line.meter, line.period)
            if head not in heads:
                heads[head] = b"".join(_encode_head(*head))
            detail = _encode(line.detail)
            rows += (
                invoice, position.to_bytes(4, "big"), heads[head],
                _EVENTS.pack(8, line.events), numeric(line.quantity), _AMOUNT.pack(8, line.amount, len(detail) + 1, 1),
                detail, _NEITHER if line.adjusts is None else _encode_adjusted(*line.adjusts),
            )  # fmt: skip
    if rows:
        await copy_in(connection, "invoice_line", _LINE, framed(b"".join(rows)))


def _encode_head(
    product: str, charge: str, price_at: dt.datetime, meter: str | None, period: Period
) -> tuple[bytes, ...]:
    return (
        text(product),
        text(charge),
        instant(price_at),
        text(meter),
        instant(period.start_at),
        instant(period.end_at),
    )


def _encode_adjusted(invoice_id: uuid.UUID, position: int) -> bytes:
    return b"".join((_UUID, invoice_id.bytes, _INTEGER, position.to_bytes(4, "big")))
