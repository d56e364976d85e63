"""Write drafts: invoices with their lines, each once, whatever made them."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from tallystick.db.connect import SCHEMA
from tallystick.db.queries import Connection, queries_beside
from tallystick.invoicing.tax import InvoiceTax, write_taxes
from tallystick.ledger.accounts import Recorded
from tallystick.periods import Period
from tallystick.wallets.model import UnitDraw

_queries = queries_beside(__file__)
_insert_invoices = _queries.values("insert_invoices")
_LINE = ("book_id", "invoice_id", "position", "product", "charge", "price_at", "meter", "period_start", "period_end",
         "events", "quantity", "amount", "detail", "adjusts_invoice", "adjusts_position")  # fmt: skip
_NOTHING = (None, None)
_encode = msgspec.json.Encoder(decimal_format="string").encode


@dataclass(frozen=True, slots=True)
class DraftLine:
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
    """Append the lines by COPY: a month has hundreds of thousands."""
    rows = [
        (book_id, one.invoice_id, position, line.product or product, line.charge, line.price_at, line.meter,
         line.period.start_at, line.period.end_at, line.events, line.quantity, line.amount,
         _encode(line.detail).decode(), *(line.adjusts or _NOTHING))
        for one in drafts
        for position, line in enumerate(one.lines)
    ]  # fmt: skip
    if rows:
        await connection.copy_records_to_table("invoice_line", schema_name=SCHEMA, columns=_LINE, records=rows)
